//go:build !gpu || !cgo

package cuda

import (
	"context"

	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/general"
	"hbar/program"
)

// NetEngine runs a network of any kind on a GPU.
type NetEngine struct{ Engine }

// NewNetEngine opens a device for a network.
func NewNetEngine(net *program.Program, params []kernels.Param, index int, precision Precision, c general.Condition) (*NetEngine, error) {
	return nil, unavailable()
}

// With is the network under other labels and guidance.
func (e *NetEngine) With(label func(sample uint64) float64, guidance float64) *NetEngine { return e }

// NetTrainer takes training steps of a network of any kind on a GPU.
type NetTrainer struct{}

// NewNetTrainer uploads a training program.
func NewNetTrainer(d *Device, t general.Training, o fit.Options, precision Precision, block int, g *Group) (*NetTrainer, error) {
	return nil, unavailable()
}

// Group is a device's place among those of several processes.
type Group struct{}

// Count is the number of GPUs that this process sees.
func Count() (int, error) { return 0, unavailable() }

// Together joins the devices of all processes.
func Together(d *Device, peers fit.Peers) (*Group, error) { return nil, unavailable() }

func (g *Group) String() string { return "no GPUs" }

// Steps is the number of steps taken.
func (t *NetTrainer) Steps() int64 { return 0 }

// Run takes a step for each learning rate, on the batches that src draws.
func (t *NetTrainer) Run(ctx context.Context, src fit.Source, lrs, losses []float64) (taken int, last fit.Result, err error) {
	return 0, fit.Result{}, unavailable()
}

// Block is the number of samples that pass through the network together.
func (t *NetTrainer) Block() int { return 0 }

// Rows is the number of rows of each batch whose gradient this process computes.
func (t *NetTrainer) Rows() int { return 0 }

// Stopped says that a process has been asked to stop.
func (t *NetTrainer) Stopped() bool { return false }

// Sums is the number of sums over all processes in a step, and the part of the gradient that begins early.
func (t *NetTrainer) Sums() (sums int, early float64) { return 0, 0 }

// Bytes is the memory of the trainer on the device.
func (t *NetTrainer) Bytes() int64 { return 0 }

// Params copies the parameters to dst.
func (t *NetTrainer) Params(dst [][]float32) ([][]float32, error) { return nil, unavailable() }

// Averages copies the averaged weights to dst.
func (t *NetTrainer) Averages(dst [][]float32) ([][]float32, error) { return nil, unavailable() }

// State returns a copy of the state.
func (t *NetTrainer) State() (*fit.State, error) { return nil, unavailable() }

// SetState replaces the state.
func (t *NetTrainer) SetState(s *fit.State) error { return unavailable() }

// Abort is Close at an error that the other processes may not have.
func (t *NetTrainer) Abort(cause error) error { return nil }

// Close frees the trainer's memory on the device.
func (t *NetTrainer) Close() error { return nil }

// Program runs one program on a GPU.
type Program struct{}

// NewProgram opens a device for a program.
func NewProgram(p *program.Program, params map[string][]float32, index int, precision Precision) (*Program, error) {
	return nil, unavailable()
}

// RunContext computes a batch.
func (p *Program) RunContext(ctx context.Context, b *general.Batch) error { return unavailable() }

// Block is the number of samples that pass through the program together.
func (p *Program) Block() int { return 0 }

// Device describes the device.
func (p *Program) Device() string { return "no GPU" }

// Close releases the device.
func (p *Program) Close() error { return nil }

// PeakOfProducts is the rate of products on a GPU.
func PeakOfProducts(index int, p Precision) (float64, error) { return 0, unavailable() }
