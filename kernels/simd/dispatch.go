package simd

import (
	"fmt"
	"os"
	"strings"
)

var (
	all       = append([]*Impl{generic}, detect()...)
	best      = all[len(all)-1]
	choiceErr = fromEnv()
)

// fromEnv applies HBAR_SIMD. An unknown or unavailable name keeps the default, and Choice reports it.
func fromEnv() error {
	name := os.Getenv("HBAR_SIMD")
	if name == "" {
		return nil
	}
	if err := Use(name); err != nil {
		return fmt.Errorf("HBAR_SIMD: %w; using %s", err, best.Name)
	}
	return nil
}

// Use makes the named implementation the one that Best returns. It is for tests and commands, before any work starts.
func Use(name string) error {
	var names []string
	for _, im := range all {
		if im.Name == name {
			best = im
			return nil
		}
		names = append(names, im.Name)
	}
	for _, known := range []string{"generic", "avx2", "avx512"} {
		if name == known {
			return fmt.Errorf("simd: %s is not available on this machine or in this build; have %s", name, strings.Join(names, ", "))
		}
	}
	return fmt.Errorf("simd: implementation %q unknown; have %s", name, strings.Join(names, ", "))
}

// Choice returns the name of the implementation in use, and an error if HBAR_SIMD asked for another that is not
// available. Commands print both.
func Choice() (name string, err error) { return best.Name, choiceErr }
