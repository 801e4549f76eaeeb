package data

import (
	"fmt"
	"testing"
)

// Digits differ where numbers do.
func TestDigitsBetween(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		want      string
	}{
		{-2.2, 2.06, "-2.2 2.06"}, {1e9 - 2.25, 1e9 + 3.5, "999999997.75 1000000003.5"}, {1e-9, 3e-9, "1e-09 3e-09"}, {5, 5, "5 5"}, {-1e308, 1e308, "-1e+308 1e+308"},
	} {
		d := Digits(c.low, c.high)
		if got := fmt.Sprintf("%.*g %.*g", d, c.low, d, c.high); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}
