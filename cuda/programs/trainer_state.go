//go:build gpu && cgo

package programs

import (
	"fmt"

	"hbar/cuda/driver"
	"hbar/kernels/fit"
)

// lists downloads a part of one of the arrays for each trained parameter to dst, which is made if nil.
func (r *Trainer) lists(dst [][]float32, from *driver.Buffer) ([][]float32, error) {
	if err := r.comm.Err(); err != nil {
		return nil, err
	}
	if dst == nil {
		dst = make([][]float32, len(r.trained))
	}
	for i, v := range r.trained {
		if dst[i] == nil {
			dst[i] = make([]float32, v.n)
		}
		if v.n == 0 {
			continue
		}
		if err := driver.Download(dst[i], from.View(4*v.at, 4*v.n)); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// Params copies the trained parameters, in their order, to dst, which is made if nil.
func (r *Trainer) Params(dst [][]float32) ([][]float32, error) { return r.lists(dst, r.params) }

// Gradients copies the last batch's gradient, before clipping, to dst, which is made if nil.
func (r *Trainer) Gradients(dst [][]float32) ([][]float32, error) { return r.lists(dst, r.grads) }

// Averages copies the averaged weights to dst, which is made if nil; it returns nil if none are kept.
func (r *Trainer) Averages(dst [][]float32) ([][]float32, error) {
	if r.ema == nil {
		return nil, nil
	}
	return r.lists(dst, r.ema)
}

// State returns a copy of the state. Its lists are of the trained parameters.
func (r *Trainer) State() (*fit.State, error) {
	s := &fit.State{Step: r.step}
	for _, l := range []struct {
		to   *[][]float32
		from *driver.Buffer
	}{{&s.Params, r.params}, {&s.M, r.m}, {&s.V, r.v}, {&s.EMA, r.ema}} {
		if l.from == nil { // no averages are kept
			continue
		}
		var err error
		if *l.to, err = r.lists(nil, l.from); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// SetState replaces the state. If averaged weights are kept and s has none, they start from its parameters.
func (r *Trainer) SetState(s *fit.State) error {
	tensor := func(i int) (string, int) { return r.trained[i].Name, r.trained[i].n }
	if err := s.Fits(len(r.trained), tensor); err != nil {
		return fmt.Errorf("cuda: %w", err)
	}
	for _, l := range []struct {
		from [][]float32
		to   *driver.Buffer
	}{{s.Params, r.params}, {s.M, r.m}, {s.V, r.v}, {s.Averages(), r.ema}} {
		if l.to == nil { // no averages are kept
			continue
		}
		for i, v := range r.trained {
			if err := driver.Upload(l.to.View(4*v.at, 4*v.n), l.from[i]); err != nil {
				return err
			}
		}
	}
	r.step = s.Step
	r.x.Changed()
	return nil
}
