package learn

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
	return fmt.Sprintf("learn: step %d: loss %v: %s; parameters are left as they were", e.Step, e.Loss, e.Cause)
}

func (t *Trainer) lossError(loss float64) error {
	for _, err := range t.chunkErr[:t.chunks()] {
		if err != nil {
			return &NonFiniteError{t.step, loss, err.Error()}
		}
	}
	return &NonFiniteError{t.step, loss, "the sum of squared errors is too large"}
}

func (t *Trainer) gradError(loss float64) error {
	return GradientError(t.step, loss, t.prog.Params, t.Gradients(nil))
}

// GradientError says which parameters' gradients g are not finite.
func GradientError(step int64, loss float64, params []kernels.Param, g [][]float32) *NonFiniteError {
	for i, g := range g {
		bad := 0
		first := 0.0
		for _, v := range g {
			if !finite(float64(v)) {
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
