//go:build gpu && cgo

package cuda

import (
	"errors"

	"hbar/cuda/driver"
	"hbar/cuda/programs"
	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/general"
	"hbar/program"
)

// NetEngine runs a network of any kind on a device: values, derivatives and trajectories. Its methods may be called concurrently and
// take turns.
type NetEngine struct {
	*programs.Engine
	d     *driver.Device
	owner bool // of the device
}

// NewNetEngine opens device index for a network. It fails, saying why, where there is no such device, or by name of an operation that
// has no kernel there. Derivatives are in FP32 whatever the precision.
func NewNetEngine(net *program.Program, params []kernels.Param, index int, precision Precision, c general.Condition) (*NetEngine, error) {
	if err := Runs(net); err != nil {
		return nil, err
	}
	d, err := driver.Open(index)
	if err != nil {
		return nil, err
	}
	e, err := programs.NewEngine(d, net, params, programs.EngineOptions{Precision: precision, Condition: c})
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return &NetEngine{e, d, true}, nil
}

// Device describes the device: "cuda:0 NVIDIA H200 (sm_90, …)".
func (e *NetEngine) Device() string { return e.d.String() }

// With is the network under other labels and guidance. It is closed with e.
func (e *NetEngine) With(label func(sample uint64) float64, guidance float64) *NetEngine {
	return &NetEngine{e.Engine.With(label, guidance), e.d, false}
}

// Close frees the network's memory on the device and releases the device. The methods are errors from then on.
func (e *NetEngine) Close() error {
	if !e.owner {
		return nil
	}
	e.owner = false
	return errors.Join(e.Engine.Close(), e.d.Close())
}

// NetTrainer takes training steps of a network of any kind on a device.
type NetTrainer = programs.Trainer

// NewNetTrainer uploads a training program with its parameters. Products are computed in the given precision; parameters and Adam's
// state are float32. F16 is for sampling alone. block is the most samples that pass through the network together, 0 for as many as fit. With a group the trainer computes the
// gradients of some rows of each batch, and the processes sum them. Close the trainer when done.
func NewNetTrainer(d *Device, t general.Training, o fit.Options, precision Precision, block int, g *Group) (*NetTrainer, error) {
	return programs.NewTrainer(d, t, o, programs.Options{Precision: precision, Block: block, Comm: g.communicator(), Failed: g.failed})
}

// Program runs one program on a device.
type Program struct {
	*programs.Executor
	d *driver.Device
	k *programs.Kernels
}

// NewProgram opens device index for a program with its parameters, by name.
func NewProgram(p *program.Program, params map[string][]float32, index int, precision Precision) (*Program, error) {
	if err := Runs(p); err != nil {
		return nil, err
	}
	d, err := driver.Open(index)
	if err != nil {
		return nil, err
	}
	r := &Program{d: d, k: programs.NewKernels(d)}
	if r.Executor, err = programs.NewExecutor(d, r.k, p, programs.Options{Precision: precision}); err == nil {
		err = r.SetParams(params)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Device describes the device.
func (p *Program) Device() string { return p.d.String() }

// Close frees the program's memory and releases the device.
func (p *Program) Close() error {
	var err error
	if p.Executor != nil {
		err = p.Executor.Close()
	}
	return errors.Join(err, p.k.Close(), p.d.Close())
}

// PeakOfProducts is the rate of products on the tensor cores of device index, in operations a second, in registers and in the arithmetic
// of a precision: by the instruction that the products of NetEngine and NetTrainer are made of.
func PeakOfProducts(index int, p Precision) (rate float64, err error) {
	d, err := driver.Open(index)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return programs.Peak(d, p)
}
