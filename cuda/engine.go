//go:build gpu && cgo

package cuda

import (
	"context"
	"errors"

	"hbar/cuda/chains"
	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/kernels"
)

// Engine runs a network on a device: General for everything, and the fused kernels where they take the network. Its
// methods may be called concurrently; one runs at a time.
type Engine struct {
	*exec.General
	d       *driver.Device
	p       *kernels.Chain
	sampler *chains.Sampler // nil: the fused kernels do not take the network
	// layered: trajectories and paths run layer by layer though the fused kernels take the network, because those multiply in plain float32, at most
	// 128 multiply-adds in a clock of a multiprocessor, and General of float32's accuracy, by products of pairs of halves, at most some 680.
	layered bool
	flow    *chains.Flow // this and the next fields are made at the first use
	path    *chains.Path
	taylor  *chains.Taylor
}

// NewEngine opens device index for a network. The error says why there is no such device, or why it cannot be used.
func NewEngine(p *kernels.Chain, index int, precision Precision) (*Engine, error) {
	if err := precision.OfChains(); err != nil {
		return nil, err
	}
	d, err := driver.Open(index)
	if err != nil {
		return nil, err
	}
	e, general := &Engine{d: d}, precision
	refused := chains.Takes(p)
	if refused == nil {
		general = FP32 // the sampler runs the trajectories in f16
	}
	if e.General, err = exec.PrepareGeneral(d, p, general); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	e.p = e.Chain()
	if refused == nil {
		e.sampler, err = chains.NewSampler(d, e.p, precision)
		e.layered = err == nil && precision == FP32 && e.sampler.Plain() && e.Wide()
	}
	if refused != nil || e.layered {
		err = errors.Join(err, e.Open()) // fails if the device has too little memory
	}
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Device describes the device: "cuda:0 NVIDIA H200 (sm_90, …)".
func (e *Engine) Device() string { return e.d.String() }

// Fused reports whether trajectories are fused: one launch for many steps, not one for each layer.
func (e *Engine) Fused() bool { return e.sampler != nil && !e.layered }

// Trajectory takes the samples x and their memory m through the rows of a step table, as infer.Engine.Trajectory does.
func (e *Engine) Trajectory(ctx context.Context, x, m []float32, rows []kernels.Row, no kernels.Noise, progress func(done int)) error {
	if !e.Fused() {
		return e.General.Trajectory(ctx, x, m, rows, no, progress)
	}
	return e.Lend(func() error { return e.sampler.Trajectory(ctx, x, m, rows, no, progress) })
}

// made returns the executor that e points to, and creates it if there is none yet.
func made[T any](e **T, create func(*driver.Device, *kernels.Chain) (*T, error), d *driver.Device, p *kernels.Chain) (_ *T, err error) {
	if *e == nil {
		*e, err = create(d, p)
	}
	return *e, err
}

// Flow integrates a probability flow and its divergence, as infer.Engine.Flow does; kernels.ErrNoFlow is its error for a
// network that the fused kernels do not take. Likelihoods are float32 at any precision of the sampler.
func (e *Engine) Flow(ctx context.Context, x, div, est []float64, probes []float32, table *kernels.FlowTable, progress func(done int)) error {
	if e.sampler == nil {
		return kernels.ErrNoFlow
	}
	return e.Lend(func() error {
		flow, err := made(&e.flow, chains.NewFlow, e.d, e.p)
		if err != nil {
			return err
		}
		return flow.Run(ctx, x, div, est, probes, table, progress)
	})
}

// PathWeights proposes paths and sums their log weights, as infer.Engine.PathWeights does.
func (e *Engine) PathWeights(ctx context.Context, x []float32, logw []float64, rows []kernels.PathRow, no kernels.Noise, progress func(done int)) error {
	if !e.Fused() {
		return e.General.PathWeights(ctx, x, logw, rows, no, progress)
	}
	return e.Lend(func() error {
		path, err := made(&e.path, chains.NewPath, e.d, e.p)
		if err != nil {
			return err
		}
		return path.Weights(ctx, x, logw, rows, no, progress)
	})
}

// Taylor integrates paths and the WKB expansion along them, as infer.Engine.Taylor does; kernels.ErrNoTaylor is its error
// for a network that the fused kernels do not take.
func (e *Engine) Taylor(ctx context.Context, y, est []float64, table *kernels.TaylorTable, progress func(done int)) error {
	if e.sampler == nil || e.p.D > chains.MaxTaylorDim {
		return kernels.ErrNoTaylor
	}
	return e.Lend(func() error {
		taylor, err := made(&e.taylor, chains.NewTaylor, e.d, e.p)
		if err != nil {
			return err
		}
		return taylor.Run(ctx, y, est, table, progress)
	})
}

// Close frees the network's memory on the device and releases the device. The methods then return errors.
func (e *Engine) Close() error {
	open := false
	err := e.CloseAfter(func() (err error) {
		open = true
		if e.sampler != nil {
			err = e.sampler.Close()
		}
		if e.flow != nil {
			err = errors.Join(err, e.flow.Close())
		}
		if e.path != nil {
			err = errors.Join(err, e.path.Close())
		}
		if e.taylor != nil {
			err = errors.Join(err, e.taylor.Close())
		}
		return err
	})
	if open {
		err = errors.Join(err, e.d.Close())
	}
	return err
}
