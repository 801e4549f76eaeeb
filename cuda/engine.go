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
	flow    *Flow    // as sampler
	path    *Path    // as sampler
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
		err = e.fuse(d, p, precision)
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

// fuse makes the fused executors. Likelihoods are float32 at any precision of the sampler.
func (e *Engine) fuse(d *Device, p *kernels.Program, precision Precision) (err error) {
	if e.sampler, err = NewSampler(d, p, precision); err != nil {
		return err
	}
	if e.flow, err = NewFlow(d, p); err != nil {
		return err
	}
	e.path, err = NewPath(d, p)
	return err
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

// Flow integrates a probability flow and its divergence, as infer.Engine.Flow does; kernels.ErrNoFlow is its error for a
// network that the fused kernels do not take.
func (e *Engine) Flow(ctx context.Context, x, div, est []float64, probes []float32, table *kernels.FlowTable, progress func(done int)) error {
	if e.flow == nil {
		return kernels.ErrNoFlow
	}
	return e.do(func() error { return e.flow.Run(ctx, x, div, est, probes, table, progress) })
}

// PathWeights proposes paths and sums their log weights, as infer.Engine.PathWeights does.
func (e *Engine) PathWeights(ctx context.Context, x []float32, logw []float64, rows []infer.PathRow, no kernels.Noise, progress func(done int)) error {
	if e.path == nil {
		return e.General.PathWeights(ctx, x, logw, rows, no, progress)
	}
	return e.do(func() error { return e.path.Weights(ctx, x, logw, rows, no, progress) })
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
	if e.flow != nil {
		err = errors.Join(err, e.flow.Close())
	}
	if e.path != nil {
		err = errors.Join(err, e.path.Close())
	}
	return errors.Join(err, e.close(), e.d.Close())
}
