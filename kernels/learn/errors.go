package learn

import "hbar/kernels/fit"

func (t *Trainer) lossError(loss float64) error {
	for _, err := range t.chunkErr[:t.chunks()] {
		if err != nil {
			return &fit.NonFiniteError{Step: t.step, Loss: loss, Cause: err.Error()}
		}
	}
	return &fit.NonFiniteError{Step: t.step, Loss: loss, Cause: "the sum of squared errors is too large"}
}

func (t *Trainer) gradError(loss float64) error {
	return fit.GradientError(t.step, loss, t.prog.Params, t.Gradients(nil))
}
