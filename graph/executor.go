package graph

import (
	"gorgonia.org/tensor"

	"hbar/kernels/fit"
	"hbar/kernels/learn"
)

// Executor computes loss, gradient and steps of a ChainTraining, with a copy of the parameters of its own: learn.Trainer on the
// CPU, cuda.Trainer on a device. The methods are those of learn.Trainer.
type Executor interface {
	// SetBatch changes the number of rows of the batches to come, at least 1.
	SetBatch(n int) error
	SetParams(src [][]float32) error
	// Params and Gradients copy to dst, which is made if nil.
	Params(dst [][]float32) ([][]float32, error)
	Gradients(dst [][]float32) ([][]float32, error)
	// Gradient computes loss and gradient of the batch that src draws, Step takes a step of Adam.
	Gradient(src fit.Source) (fit.Result, error)
	Step(src fit.Source, lr float64) (fit.Result, error)
	Close() error
}

// Resident is an Executor whose numbers are in memory that Go cannot read. It shows them as tensors whose engine carries
// them: see Carrier.
type Resident interface {
	Executor
	// ParamTensors are parameters and gradients in the order of Chain.Params, until Close; Refresh follows a change of the
	// parameters by their tensors.
	ParamTensors() (params, grads []*tensor.Dense, err error)
	Refresh() error
	// BatchTensors are the first rows of a batch, until the next SetBatch.
	BatchTensors(rows int) (x, time, target, weight, output *tensor.Dense, err error)
	// SetInputs draws a batch into the tensors; Evaluate computes output, loss and gradient of what is there, Advance takes
	// a step on it.
	SetInputs(src fit.Source) error
	Evaluate() (fit.Result, error)
	Advance(lr float64) (fit.Result, error)
}

// Carrier is the engine of tensors in a device's memory: it copies their numbers from and to tensors in Go's memory.
type Carrier interface {
	tensor.Engine
	Upload(t, host *tensor.Dense) error
	Download(host, t *tensor.Dense) error
}

// onCPU is a learn.Trainer as an Executor.
type onCPU struct{ *learn.Trainer }

func (c onCPU) SetBatch(n int) error { c.Trainer.SetBatch(n); return nil }
func (c onCPU) Params(dst [][]float32) ([][]float32, error) {
	return c.Trainer.Params(dst), nil
}
func (c onCPU) Gradients(dst [][]float32) ([][]float32, error) {
	return c.Trainer.Gradients(dst), nil
}
func (c onCPU) Close() error { c.Trainer.Close(); return nil }
