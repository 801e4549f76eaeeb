package fit

import (
	"fmt"
	"math"

	"hbar/kernels"
)

// NonFiniteError says that a step was not taken because a number was NaN or infinite. The parameters and the
// optimiser's state are those before the step.
type NonFiniteError struct {
	Step  int64   // steps taken before this one
	Loss  float64 // the loss, finite if only the gradient is not
	Cause string
}

func (e *NonFiniteError) Error() string {
	return fmt.Sprintf("fit: step %d: loss %v: %s; parameters are left as they were", e.Step, e.Loss, e.Cause)
}

// GradientError says which parameters' gradients g are not finite.
func GradientError(step int64, loss float64, params []kernels.Param, g [][]float32) *NonFiniteError {
	for i, g := range g {
		bad := 0
		first := 0.0
		for _, v := range g {
			if v-v != 0 {
				if bad == 0 {
					first = float64(v)
				}
				bad++
			}
		}
		if bad > 0 {
			kind := "infinite"
			if math.IsNaN(first) {
				kind = "NaN"
			}
			return &NonFiniteError{step, loss, fmt.Sprintf("%d of %d gradients of %s are not finite, the first is %s", bad, len(g), params[i].Name, kind)}
		}
	}
	return &NonFiniteError{step, loss, "the gradient is not finite"}
}
