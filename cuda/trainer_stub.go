//go:build !gpu || !cgo

package cuda

import (
	"context"

	"hbar/kernels"
	"hbar/kernels/fit"
)

// Trainer takes training steps on a GPU.
type Trainer struct{}

// NewTrainer uploads a program and what its batches are drawn from.
func NewTrainer(d *Device, p *kernels.ChainTraining, opt fit.Options, b *kernels.Batches, g *Group) (*Trainer, error) {
	return nil, unavailable()
}

// Steps is the number of steps taken.
func (t *Trainer) Steps() int64 { return 0 }

// SetBatch changes the number of rows of the batches to come.
func (t *Trainer) SetBatch(n int) error { return unavailable() }

// Step takes one step on the batch that src draws, or the device if src is nil.
func (t *Trainer) Step(src fit.Source, lr float64) (fit.Result, error) {
	return fit.Result{}, unavailable()
}

// Gradient computes loss and gradient of a batch.
func (t *Trainer) Gradient(src fit.Source) (fit.Result, error) {
	return fit.Result{}, unavailable()
}

// Run takes a step for each learning rate.
func (t *Trainer) Run(ctx context.Context, lrs, losses []float64) (taken int, last fit.Result, err error) {
	return 0, fit.Result{}, unavailable()
}

// Rows is the number of rows of each batch whose gradient this process computes.
func (t *Trainer) Rows() int { return 0 }

// Stopped says that a process has been asked to stop.
func (t *Trainer) Stopped() bool { return false }

// Sums is the number of sums over all processes in a step, and the part of the gradient that begins early.
func (t *Trainer) Sums() (sums int, early float64) { return 0, 0 }

// Params copies the parameters to dst.
func (t *Trainer) Params(dst [][]float32) ([][]float32, error) { return nil, unavailable() }

// Averages copies the averaged weights to dst.
func (t *Trainer) Averages(dst [][]float32) ([][]float32, error) { return nil, unavailable() }

// Gradients copies the last batch's gradient to dst.
func (t *Trainer) Gradients(dst [][]float32) ([][]float32, error) { return nil, unavailable() }

// SetParams replaces the parameters.
func (t *Trainer) SetParams(src [][]float32) error { return unavailable() }

// State returns a copy of the state.
func (t *Trainer) State() (*fit.State, error) { return nil, unavailable() }

// SetState replaces the state.
func (t *Trainer) SetState(s *fit.State) error { return unavailable() }

// Abort is Close at an error that the other processes may not have.
func (t *Trainer) Abort(cause error) error { return nil }

// Close frees the trainer's memory on the device.
func (t *Trainer) Close() error { return nil }
