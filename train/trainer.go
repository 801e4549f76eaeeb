package train

import (
	"context"

	"hbar/kernels"
	"hbar/kernels/cpu"
	"hbar/kernels/fit"
	"hbar/kernels/general"
	"hbar/kernels/learn"
)

// Trainer takes the steps of a run: a learn.Trainer on the CPU, or one on another device that draws the same batches.
type Trainer interface {
	// Steps is the number of steps taken.
	Steps() int64
	// Run takes a step for each learning rate, until ctx ends, which is no error. It returns the number of steps taken, with
	// their losses in losses, and the last one's result with the norm of its gradient. A loss or gradient that is not finite
	// is a *fit.NonFiniteError; the state is then the one before that step.
	Run(ctx context.Context, lrs, losses []float64) (taken int, last fit.Result, err error)
	// State, SetState, Params and Averages are those of learn.Trainer.
	State() (*fit.State, error)
	SetState(*fit.State) error
	Params(dst [][]float32) ([][]float32, error)
	Averages(dst [][]float32) ([][]float32, error)
	Close() error
	// Abort is Close at an error that other processes of Options.Peers may not have: it waits for none of them, as Close may.
	Abort(cause error) error
}

// NewTrainer makes the trainer of a program whose batches are b; nil means the CPU's.
type NewTrainer func(p *kernels.ChainTraining, o fit.Options, b *kernels.Batches) (Trainer, error)

// NetworkTrainer takes the steps of a network that is no chain, on the batches of a source; its methods are those of Trainer.
type NetworkTrainer interface {
	Steps() int64
	Run(ctx context.Context, src fit.Source, lrs, losses []float64) (taken int, last fit.Result, err error)
	State() (*fit.State, error)
	SetState(*fit.State) error
	Params(dst [][]float32) ([][]float32, error)
	Averages(dst [][]float32) ([][]float32, error)
	Close() error
	Abort(cause error) error
}

// NewNetworkTrainer makes the trainer of a network that is no chain, block samples of a batch at a time, or as many as fit if
// that is 0; nil means the CPU's.
type NewNetworkTrainer func(t general.Training, o fit.Options, block int) (NetworkTrainer, error)

// sourced is a NetworkTrainer with its source.
type sourced struct {
	NetworkTrainer
	source fit.Source
}

func (s sourced) Run(ctx context.Context, lrs, losses []float64) (int, fit.Result, error) {
	return s.NetworkTrainer.Run(ctx, s.source, lrs, losses)
}

// chainOnCPU is the Trainer of a chain of dense layers on the CPU.
type chainOnCPU struct {
	t      *learn.Trainer
	source fit.Source
}

func (c chainOnCPU) Steps() int64 { return c.t.Steps() }
func (c chainOnCPU) Run(ctx context.Context, lrs, losses []float64) (int, fit.Result, error) {
	return c.t.Run(ctx, c.source, lrs, losses)
}
func (c chainOnCPU) State() (*fit.State, error)                    { return c.t.State(), nil }
func (c chainOnCPU) SetState(s *fit.State) error                   { return c.t.SetState(s) }
func (c chainOnCPU) Params(dst [][]float32) ([][]float32, error)   { return c.t.Params(dst), nil }
func (c chainOnCPU) Averages(dst [][]float32) ([][]float32, error) { return c.t.Averages(dst), nil }
func (c chainOnCPU) Close() error                                  { c.t.Close(); return nil }
func (c chainOnCPU) Abort(error) error                             { return c.Close() }

// networkOnCPU is the Trainer of a network of another kind on the CPU.
type networkOnCPU struct {
	t      *cpu.Trainer
	source fit.Source
}

func (c networkOnCPU) Steps() int64 { return c.t.Steps() }
func (c networkOnCPU) Run(ctx context.Context, lrs, losses []float64) (int, fit.Result, error) {
	return c.t.Run(ctx, c.source, lrs, losses)
}
func (c networkOnCPU) State() (*fit.State, error)                    { return c.t.State(), nil }
func (c networkOnCPU) SetState(s *fit.State) error                   { return c.t.SetState(s) }
func (c networkOnCPU) Params(dst [][]float32) ([][]float32, error)   { return c.t.Params(dst), nil }
func (c networkOnCPU) Averages(dst [][]float32) ([][]float32, error) { return c.t.Averages(dst), nil }
func (c networkOnCPU) Close() error                                  { return c.t.Close() }
func (c networkOnCPU) Abort(error) error                             { return c.Close() }
