package flags

import (
	"slices"

	"github.com/spf13/pflag"
)

// Values are all options with what they are set to, by default or by the user, but for those named.
func (s *Set) Values(except ...string) map[string]string {
	out := map[string]string{}
	s.VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(except, f.Name) && f.Name != "help" && f.Name != "version" {
			out[f.Name] = f.Value.String()
		}
	})
	return out
}

// Line is the command line that sets what the user has set, but for the options named.
func (s *Set) Line(except ...string) []string {
	var out []string
	s.VisitAll(func(f *pflag.Flag) {
		if !f.Changed || slices.Contains(except, f.Name) {
			return
		}
		out = append(out, "--"+f.Name)
		switch {
		case f.NoOptDefVal == "":
			out = append(out, f.Value.String())
		case f.Value.String() != f.NoOptDefVal:
			out[len(out)-1] += "=" + f.Value.String()
		}
	})
	return out
}
