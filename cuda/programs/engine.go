//go:build gpu && cgo

package programs

import (
	"context"
	"errors"
	"slices"

	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/kernels"
	"hbar/kernels/general"
	"hbar/program"
)

// Engine evaluates a network of any kind, its derivatives and whole trajectories on a device: a general.Engine. Derivatives are
// computed in FP32 whatever the precision of values.
type Engine struct {
	*general.Engine
	s *session
}

// session is what engines under different conditions share.
type session struct {
	d       *driver.Device
	k       *Kernels
	bound   []*Executor
	journey *journey
	closed  bool
}

// EngineOptions say how an Engine runs a network.
type EngineOptions struct {
	Precision exec.Precision // of values and trajectories
	Memory    int64          // bytes of the device for the values of a block of samples; 0: half of what is free
	general.Condition
}

var errClosed = errors.New("cuda: the engine is closed")

// runner is an Executor of an engine that may be closed.
type runner struct {
	*Executor
	s *session
}

func (r runner) RunContext(ctx context.Context, b *general.Batch) error {
	if r.s.closed {
		return errClosed
	}
	return r.Executor.RunContext(ctx, b)
}

// Close frees the executor and takes it out of the session.
func (r runner) Close() error {
	r.s.bound = slices.DeleteFunc(r.s.bound, func(x *Executor) bool { return x == r.Executor })
	return r.Executor.Close()
}

// NewEngine returns an engine of a network with the inputs x, t and perhaps y, and the output out. The parameters are uploaded.
// Close frees the memory on the device; it does not close d.
func NewEngine(d *driver.Device, net *program.Program, params []kernels.Param, o EngineOptions) (*Engine, error) {
	s := &session{d: d, k: NewKernels(d)}
	precision := o.Precision
	e, err := general.New(net, params, o.Condition, func(p *program.Program) (general.Runner, error) {
		if s.closed {
			return nil, errClosed
		}
		opt := Options{Memory: o.Memory}
		if values(p) {
			opt.Precision = precision
		}
		x, err := NewExecutor(d, s.k, p, opt)
		if err != nil {
			return nil, err
		}
		s.bound = append(s.bound, x)
		return runner{x, s}, nil
	})
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return &Engine{e, s}, nil
}

// values reports whether a program has values of the network alone and no derivatives.
func values(p *program.Program) bool { return len(p.Outputs) == 1 }

// With is the network under other labels and guidance, which must be 0 for a network without labels. It shares all else with
// e, and is closed with it.
func (e *Engine) With(label func(sample uint64) float64, guidance float64) *Engine {
	return &Engine{e.Engine.With(label, guidance), e.s}
}

// Block is the number of samples that pass through the network together.
func (e *Engine) Block() (n int, err error) {
	err = e.Lend(context.Background(), func() error {
		r, err := e.Runner("", true)
		if err == nil {
			n = r.Block()
		}
		return err
	})
	return n, err
}

// Close frees what the engine holds on the device.
func (e *Engine) Close() error { return e.Lend(context.Background(), e.s.close) }

func (s *session) close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.journey.close()
	for _, x := range s.bound {
		err = errors.Join(err, x.Close())
	}
	return errors.Join(err, s.k.Close())
}
