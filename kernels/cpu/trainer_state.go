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
	if s.Step < 0 {
		return fmt.Errorf("cpu: state has step %d; steps count from 0", s.Step)
	}
	ema := s.EMA
	if ema == nil {
		ema = s.Params
	}
	lists := []struct {
		name string
		from [][]float32
		to   func(v *trained) []float32
	}{
		{"parameters", s.Params, func(v *trained) []float32 { return v.p }},
		{"mean gradients", s.M, func(v *trained) []float32 { return v.m }},
		{"mean squared gradients", s.V, func(v *trained) []float32 { return v.v }},
		{"averaged weights", ema, func(v *trained) []float32 { return v.ema }},
	}
	for _, l := range lists {
		if len(l.from) != len(t.trained) {
			return fmt.Errorf("cpu: state has %s for %d tensors; the network trains %d", l.name, len(l.from), len(t.trained))
		}
		for i := range t.trained {
			if v := &t.trained[i]; len(l.from[i]) != len(v.p) {
				return fmt.Errorf("cpu: state has %d %s for %s; want %d", len(l.from[i]), l.name, v.Name, len(v.p))
			}
		}
	}
	for _, l := range lists {
		for i := range t.trained {
			copy(l.to(&t.trained[i]), l.from[i])
		}
	}
	t.step = s.Step
	t.x.Changed()
	return nil
}
