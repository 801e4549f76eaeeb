//go:build gpu && cgo

package cuda

import (
	"context"
	"errors"
	"fmt"

	"hbar/kernels"
	"hbar/kernels/infer"
)

// Engine runs a network on a device: General for everything, and the fused kernels where they take the network. Its
// methods may be called concurrently and take turns.
type Engine struct {
	*General
	sampler *Sampler // nil: the network is none for the fused kernels
}

// NewEngine opens device index for a program. It fails, saying why, where there is no such device.
func NewEngine(_ *infer.Engine, p *kernels.Program, index int, precision Precision) (*Engine, error) {
	d, err := Open(index)
	if err != nil {
		return nil, err
	}
	e := &Engine{}
	if e.General, err = newGeneral(d, p, precision); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	_, refused := newNet(p)
	switch {
	case refused == nil:
		e.sampler, err = NewSampler(d, p, precision)
	case precision == F16:
		err = fmt.Errorf("%w; networks that run layer by layer take fp32", refused)
	default:
		err = e.do(func() error { return nil }) // is there room for it?
	}
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Device describes the device: "cuda:0 NVIDIA H200 (sm_90, …)".
func (e *Engine) Device() string { return e.d.String() }

// Fused reports whether trajectories are fused: one launch for many steps, not one for each layer.
func (e *Engine) Fused() bool { return e.sampler != nil }

// Trajectory carries the samples x and their memory m through the rows of a step table, as infer.Engine.Trajectory does.
func (e *Engine) Trajectory(ctx context.Context, x, m []float32, rows []kernels.Row, no kernels.Noise, progress func(done int)) error {
	if e.sampler == nil {
		return e.General.Trajectory(ctx, x, m, rows, no, progress)
	}
	e.turn.Lock() // not e.do: it would bring the network to the device a second time
	defer e.turn.Unlock()
	if e.closed {
		return e.errClosed()
	}
	return e.sampler.Trajectory(ctx, x, m, rows, no, progress)
}

// Close frees the network's memory on the device and releases the device. The methods are errors from then on.
func (e *Engine) Close() (err error) {
	e.turn.Lock()
	defer e.turn.Unlock()
	if e.closed {
		return nil
	}
	if e.sampler != nil {
		err = e.sampler.Close()
	}
	return errors.Join(err, e.close(), e.d.Close())
}
