package cpu

import (
	"fmt"

	"hbar/kernels/fit"
)

// lists copies a part of all trained parameters to dst, which is made if nil.
func (t *Trainer) lists(dst [][]float32, part func(v *trained) []float32) [][]float32 {
	if dst == nil {
		dst = make([][]float32, len(t.trained))
	}
	for i := range t.trained {
		s := part(&t.trained[i])
		if dst[i] == nil {
			dst[i] = make([]float32, len(s))
		}
		copy(dst[i], s)
	}
	return dst
}

// Params copies the trained parameters, in their order, to dst, which is made if nil.
func (t *Trainer) Params(dst [][]float32) [][]float32 {
	return t.lists(dst, func(v *trained) []float32 { return v.p })
}

// Gradients copies the last batch's gradient, before clipping, to dst, which is made if nil.
func (t *Trainer) Gradients(dst [][]float32) [][]float32 {
	return t.lists(dst, func(v *trained) []float32 { return v.g })
}

// Averages copies the averaged weights to dst, which is made if nil; it returns nil if none are kept.
func (t *Trainer) Averages(dst [][]float32) [][]float32 {
	if t.opt.EMA == 0 {
		return nil
	}
	return t.lists(dst, func(v *trained) []float32 { return v.ema })
}

// State returns a copy of the state. Its lists are of the trained parameters.
func (t *Trainer) State() *fit.State {
	return &fit.State{Step: t.step, Params: t.Params(nil), EMA: t.Averages(nil),
		M: t.lists(nil, func(v *trained) []float32 { return v.m }),
		V: t.lists(nil, func(v *trained) []float32 { return v.v })}
}

// SetState replaces the state. If averaged weights are kept and s has none, they start from its parameters.
func (t *Trainer) SetState(s *fit.State) error {
	tensor := func(i int) (string, int) { return t.trained[i].Name, len(t.trained[i].p) }
	if err := s.Fits(len(t.trained), tensor); err != nil {
		return fmt.Errorf("cpu: %w", err)
	}
	averages := s.Averages()
	for i := range t.trained {
		v := &t.trained[i]
		copy(v.p, s.Params[i])
		copy(v.m, s.M[i])
		copy(v.v, s.V[i])
		copy(v.ema, averages[i])
	}
	t.step = s.Step
	t.x.Changed()
	return nil
}
