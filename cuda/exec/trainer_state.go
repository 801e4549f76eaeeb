//go:build gpu && cgo

package exec

import (
	"fmt"

	"hbar/cuda/driver"
	"hbar/kernels/fit"
)

// Params copies the parameters to dst, which is made if nil.
func (t *Trainer) Params(dst [][]float32) ([][]float32, error) { return t.download(dst, t.param) }

// Averages copies the averaged weights to dst, which is made if nil; it returns nil if none are kept.
func (t *Trainer) Averages(dst [][]float32) ([][]float32, error) {
	if t.ema == nil {
		return nil, nil
	}
	return t.download(dst, t.ema)
}

// Gradients copies the last batch's gradient, before clipping, to dst, which is made if nil.
func (t *Trainer) Gradients(dst [][]float32) ([][]float32, error) { return t.download(dst, t.g) }

// State returns a copy of the state.
func (t *Trainer) State() (*fit.State, error) {
	s := &fit.State{Step: t.step}
	for _, l := range []struct {
		to   *[][]float32
		from *driver.Buffer
	}{{&s.Params, t.param}, {&s.M, t.m}, {&s.V, t.v}, {&s.EMA, t.ema}} {
		if l.from == nil { // no averages are kept
			continue
		}
		var err error
		if *l.to, err = t.download(nil, l.from); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// SetParams replaces the parameters and leaves the optimiser's state alone, except that before the first step the averaged
// weights start from them too.
func (t *Trainer) SetParams(src [][]float32) error {
	if err := fit.TensorsFit("parameters", src, len(t.prog.Params), t.tensor); err != nil {
		return fmt.Errorf("cuda: %w", err)
	}
	if err := t.upload(t.param, src); err != nil {
		return err
	}
	if t.ema != nil && t.step == 0 {
		if err := t.upload(t.ema, src); err != nil {
			return err
		}
	}
	return t.recopy()
}

// SetState replaces the state. If averaged weights are kept and s has none, they start from its parameters.
func (t *Trainer) SetState(s *fit.State) error {
	if err := s.Fits(len(t.prog.Params), t.tensor); err != nil {
		return fmt.Errorf("cuda: %w", err)
	}
	for _, f := range []struct {
		b *driver.Buffer
		v [][]float32
	}{{t.param, s.Params}, {t.m, s.M}, {t.v, s.V}, {t.ema, s.Averages()}} {
		if f.b == nil {
			continue
		}
		if err := t.upload(f.b, f.v); err != nil {
			return err
		}
	}
	t.step = s.Step
	return t.recopy()
}

func (t *Trainer) download(dst [][]float32, b *driver.Buffer) ([][]float32, error) {
	if err := t.shared.Comm.Err(); err != nil {
		return nil, err
	}
	flat := make([]float32, t.layout.size)
	if err := driver.Download(flat, b); err != nil {
		return nil, err
	}
	return t.layout.unpack(dst, flat), nil
}

// tensor is the name and the size of tensor i.
func (t *Trainer) tensor(i int) (string, int) {
	q := &t.prog.Params[i]
	return q.Name, q.Rows * q.Cols
}

func (t *Trainer) upload(b *driver.Buffer, src [][]float32) error {
	flat := make([]float32, t.layout.size)
	t.layout.pack(flat, src)
	return driver.Upload(b, flat)
}

// recopy renews the transposed copy of the weights.
func (t *Trainer) recopy() error {
	if t.copied == nil {
		return nil
	}
	return t.kernels.copy.Launch(t.ntiles, new(driver.Args).Buf(t.tiles).Buf(t.param).Buf(t.copied))
}
