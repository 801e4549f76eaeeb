package learn

import (
	"fmt"

	"hbar/kernels/fit"
)

// Params copies the parameters to dst, which is made if nil.
func (t *Trainer) Params(dst [][]float32) [][]float32 { return t.unpack(dst, t.param) }

// Averages copies the averaged weights to dst, which is made if nil; it returns nil if none are kept.
func (t *Trainer) Averages(dst [][]float32) [][]float32 {
	if t.ema == nil {
		return nil
	}
	return t.unpack(dst, t.ema)
}

// Gradients copies the last batch's gradient, before clipping, to dst, which is made if nil.
func (t *Trainer) Gradients(dst [][]float32) [][]float32 { return t.unpack(dst, t.g) }

// SetParams replaces the parameters and leaves the optimiser's state alone, except that before the first step the
// averaged weights start from them too.
func (t *Trainer) SetParams(src [][]float32) error {
	if err := fit.TensorsFit("parameters", src, len(t.prog.Params), t.tensor); err != nil {
		return fmt.Errorf("learn: %w", err)
	}
	t.pack(t.param, src)
	if t.ema != nil && t.step == 0 {
		t.pack(t.ema, src)
	}
	t.refreshAll()
	return nil
}

// State returns a copy of the state.
func (t *Trainer) State() *fit.State {
	return &fit.State{Step: t.step, Params: t.Params(nil), M: t.unpack(nil, t.m), V: t.unpack(nil, t.v), EMA: t.Averages(nil)}
}

// SetState replaces the state. If averaged weights are kept and s has none, they start from its parameters.
func (t *Trainer) SetState(s *fit.State) error {
	if err := s.Fits(len(t.prog.Params), t.tensor); err != nil {
		return fmt.Errorf("learn: %w", err)
	}
	t.step = s.Step
	t.pack(t.param, s.Params)
	t.pack(t.m, s.M)
	t.pack(t.v, s.V)
	if t.ema != nil {
		t.pack(t.ema, s.Averages())
	}
	t.refreshAll()
	return nil
}

func (t *Trainer) refreshAll() {
	for i := range t.pieces {
		t.refresh(&t.pieces[i])
	}
}

// tensor is the name and the size of tensor i.
func (t *Trainer) tensor(i int) (string, int) {
	q := &t.prog.Params[i]
	return q.Name, q.Rows * q.Cols
}

// pack converts from the natural layout.
func (t *Trainer) pack(dst []float32, src [][]float32) {
	for _, l := range t.layers {
		w, b := src[l.w], src[l.b]
		for o := range l.out {
			for k := range l.in {
				dst[l.index(o, k)] = w[o*l.in+k]
			}
			dst[l.index(o, l.in)] = b[o]
		}
	}
}

// unpack converts to the natural layout.
func (t *Trainer) unpack(dst [][]float32, src []float32) [][]float32 {
	if dst == nil {
		dst = make([][]float32, len(t.prog.Params))
		for i, q := range t.prog.Params {
			dst[i] = make([]float32, q.Rows*q.Cols)
		}
	}
	for _, l := range t.layers {
		w, b := dst[l.w], dst[l.b]
		for o := range l.out {
			for k := range l.in {
				w[o*l.in+k] = src[l.index(o, k)]
			}
			b[o] = src[l.index(o, l.in)]
		}
	}
	return dst
}
