package infer

import (
	"fmt"
	"math"
)

// batch checks a batch of samples x (n×d) and their times (1 or n), and returns n.
func batch(d, x int, tau []float64) (int, error) {
	if x%d != 0 {
		return 0, fmt.Errorf("infer: x has %d elements, want a multiple of D = %d", x, d)
	}
	n := x / d
	if len(tau) != 1 && len(tau) != n {
		return 0, fmt.Errorf("infer: %d times for %d samples, want 1 or %d", len(tau), n, n)
	}
	for i, t := range tau {
		if math.IsNaN(t) || math.IsInf(t, 0) {
			return 0, fmt.Errorf("infer: time %d is %g, want a finite number", i, t)
		}
	}
	return n, nil
}

// length checks the length of one argument.
func length(name string, have, want int) error {
	if have != want {
		return fmt.Errorf("infer: %s has %d elements, want %d", name, have, want)
	}
	return nil
}
