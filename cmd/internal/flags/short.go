package flags

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"hbar/kernels/simd"
	"hbar/train"
)

// long writes the options of a command line with two dashes where one was typed: -n 5, -n5, -h 0.5, -steps=100. A lone -h is
// --help, unless the command has an option --h and a number follows. Values of options stay as they are.
func (s *Set) long(args []string) []string {
	out := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			return append(out, args[i:]...)
		}
		if len(a) > 1 && a[0] == '-' && a[1] != '-' {
			next := ""
			if i+1 < len(args) {
				next = args[i+1]
			}
			a = s.longOption(a[1:], next)
		}
		out = append(out, a)
		if name, ok := strings.CutPrefix(a, "--"); ok && i+1 < len(args) {
			if f := s.Lookup(name); f != nil && f.NoOptDefVal == "" { // its value
				i++
				out = append(out, args[i])
			}
		}
	}
	return out
}

// longOption is the option that was typed as -text, with next behind it.
func (s *Set) longOption(text, next string) string {
	name, _, assigned := strings.Cut(text, "=")
	switch f := s.Lookup(name); {
	case name == "h" && !assigned && (f == nil || !numeric(next)):
		return "--help"
	case f != nil:
		return "--" + text
	}
	if f := s.Lookup(text[:1]); f != nil && f.NoOptDefVal == "" && numeric(text[1:]) {
		return "--" + text[:1] + "=" + text[1:]
	}
	return "--" + text
}

// numeric reports whether text begins as a number does.
func numeric(text string) bool {
	return strings.TrimLeft(text, "+-.") != "" && strings.ContainsAny(strings.TrimLeft(text, "+-.")[:1], "0123456789")
}

// Version prints on w what a command is and what it was built with, and returns pflag.ErrHelp. Parse calls it for --version; a command with
// verbs calls it where its first argument is that.
func Version(name string, w io.Writer) error {
	version, built := train.Versions()
	fmt.Fprintf(w, "%s (hbar) %s, %s/%s, %s kernels\n", name, version, runtime.GOOS, runtime.GOARCH, simd.Best().Name)
	for _, part := range slices.Sorted(maps.Keys(built)) {
		fmt.Fprintf(w, "  %s %s\n", part, built[part])
	}
	return pflag.ErrHelp
}
