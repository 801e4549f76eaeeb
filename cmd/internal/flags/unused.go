package flags

import "hbar/cmd/internal/ui"

// Use says whether an option changes anything in a run.
type Use struct {
	option  string
	used    bool
	is, why string
}

// Of is the use of an option. is says what the option is, as in "of pathintegral"; why says why it changes nothing in a run that does not
// use it, and what would be right.
func Of(option string, used bool, is, why string) Use { return Use{option, used, is, why} }

// Unused refuses the first option that was given and changes nothing. given says whether an option was named.
func Unused(given func(name string) bool, uses []Use) error {
	for _, u := range uses {
		if given(u.option) && !u.used {
			return ui.Usagef("--%s is %s, and %s", u.option, u.is, u.why)
		}
	}
	return nil
}
