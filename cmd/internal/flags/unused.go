package flags

import "hbar/cmd/internal/ui"

// Use says whether an option changes anything in a run.
type Use struct {
	Option string
	Used   bool
	Is     string // what it is: "of pathintegral"
	Why    string // why it changes nothing, and what would be right
}

// Unused refuses the first option that was given and changes nothing. given says whether an option was named.
func Unused(given func(name string) bool, uses []Use) error {
	for _, u := range uses {
		if given(u.Option) && !u.Used {
			return ui.Usagef("--%s is %s, and %s", u.Option, u.Is, u.Why)
		}
	}
	return nil
}
