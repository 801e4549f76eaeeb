package fokkerplanck

import "fmt"

// NotFiniteError says that the model's score is NaN or infinite where the density is: there is no solution at any h.
type NotFiniteError struct{ Where string }

func (e *NotFiniteError) Error() string { return "fokkerplanck: the score is not finite " + e.Where }

func notFinite(format string, args ...any) error {
	return &NotFiniteError{fmt.Sprintf(format, args...)}
}
