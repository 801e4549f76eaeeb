package engine

import (
	"fmt"
	"strings"

	"hbar/cuda"
	"hbar/kernels"
	"hbar/kernels/cpu"
	"hbar/kernels/general"
	"hbar/kernels/infer"
	"hbar/nets"
	"hbar/program/chain"
	"hbar/solver"
)

// Options say where and how to run a network. The zero value is the CPU with all cores, without labels.
type Options struct {
	// Device is "cpu", "cuda" or "auto"; "" is the CPU. A GPU that was asked for and cannot do it is a *DeviceError. Under
	// auto the CPU does it then, and Engine.NoGPU says why.
	Device string
	Index  int            // of the GPU
	GPU    cuda.Precision // of trajectories on a GPU, and of values of networks that are no chains
	// Workers is the number of goroutines on the CPU; 0: GOMAXPROCS.
	Workers int
	Condition
}

// Condition is the label of each sample for a network with classes, and the strength of guidance. The zero value is the label none.
type Condition struct {
	// Label is the label of each sample, by its number in a run, from 0 to Classes − 1. Trajectories and solver.Network.ScoreFrom
	// ask for each sample's; other values and derivatives take that of sample 0 for all. nil means the label none.
	Label func(sample uint64) float64
	// Guidance is w in (1 + w) n(x | label) − w n(x | none) (Ho and Salimans 2022, arXiv:2207.12598), in trajectories and
	// values. Derivatives are those without guidance.
	Guidance float64
}

// check reports what a network of this kind does not take.
func (o Condition) check(c nets.Config) error {
	switch {
	case c.Classes() == 0 && (o.Label != nil || o.Guidance != 0):
		return fmt.Errorf("this network was trained without labels; labels and guidance are for networks with classes")
	case o.Guidance != 0 && !c.NoLabel():
		return fmt.Errorf("guidance needs a network that was trained with the label none too; this one was trained with its %d classes only", c.Classes())
	case c.Classes() > 0 && o.Label == nil && !c.NoLabel():
		return fmt.Errorf("this network takes one of %d labels and none was chosen", c.Classes())
	}
	return nil
}

// DeviceError says why a device that was asked for does not run a network.
type DeviceError struct {
	Device string // as one asks for it: "cuda", "cuda:1"
	Err    error
}

func (e *DeviceError) Error() string { return fmt.Sprintf("device %s: %v; have cpu", e.Device, e.Err) }

// Unwrap is the reason.
func (e *DeviceError) Unwrap() error { return e.Err }

// Engine is a network that runs. Close frees what it holds.
type Engine struct {
	// Solver does the work. Its dynamic type says what else it can do: fused likelihoods, for instance.
	Solver solver.Engine
	Device string // "cpu", or "cuda:0 NVIDIA H200 (…)"
	NoGPU  string // why "auto" means the CPU here

	config nets.Config
	gpu    *cuda.Engine    // of a chain on a GPU
	net    *cuda.NetEngine // of another network on a GPU
	cpu    *cpu.Engine     // of another network on the CPU
}

// New makes a network with weights run. Weights are read and not copied where the network is no chain.
func New(n *nets.Network, o Options) (*Engine, error) {
	if err := n.CheckWeights(); err != nil {
		return nil, err
	}
	if err := o.check(n.Config); err != nil {
		return nil, err
	}
	e := &Engine{config: n.Config, Device: "cpu"}
	c, notChain := chain.Of(n.Program, n.Matrices())
	run := func() error { return e.general(n, o) }
	if notChain == nil {
		run = func() error { return e.chain(c, o) }
	}
	if err := run(); err != nil {
		return nil, err
	}
	return e, nil
}

// general runs a program.
func (e *Engine) general(n *nets.Network, o Options) error {
	c := general.Condition{Label: o.Label, None: float64(n.Config.Classes()), Guidance: o.Guidance}
	used, err := e.wants(o, func() (err error) {
		e.net, err = cuda.NewNetEngine(n.Program, n.Matrices(), o.Index, o.GPU, c)
		return err
	})
	switch {
	case err != nil:
		return err
	case used:
		e.Solver, e.Device = e.net, e.net.Device()
		return nil
	}
	e.net = nil
	e.cpu, err = cpu.NewEngine(n.Program, n.Matrices(), cpu.EngineOptions{Workers: o.Workers, Label: c.Label, None: c.None, Guidance: c.Guidance})
	e.Solver = e.cpu
	return err
}

// wants tries a GPU if the options ask for one, and reports whether it is used.
func (e *Engine) wants(o Options, try func() error) (bool, error) {
	switch o.Device {
	case "", "cpu":
		return false, nil
	case "auto", "cuda":
	default:
		return false, fmt.Errorf("device %q unknown; have auto, cpu, cuda", o.Device)
	}
	err := try()
	if err == nil {
		return true, nil
	}
	if o.Device == "auto" {
		e.NoGPU = strings.TrimPrefix(err.Error(), "cuda: ")
		return false, nil
	}
	name := o.Device
	if o.Index != 0 {
		name = fmt.Sprintf("%s:%d", name, o.Index)
	}
	return false, &DeviceError{name, err}
}

// chain runs a chain of dense layers.
func (e *Engine) chain(c *kernels.Chain, o Options) error {
	used, err := e.wants(o, func() (err error) {
		e.gpu, err = cuda.NewEngine(c, o.Index, o.GPU)
		return err
	})
	switch {
	case err != nil:
	case used:
		e.Solver, e.Device = e.gpu, e.gpu.Device()
	default:
		e.gpu = nil
		e.Solver, err = infer.New(c, infer.Options{Workers: o.Workers})
	}
	return err
}

// With is the same network under another condition. It shares the weights and the goroutines of e, and ends with it: it is not
// closed by itself.
func (e *Engine) With(c Condition) (*Engine, error) {
	if err := c.check(e.config); err != nil {
		return nil, err
	}
	other := *e
	if e.net != nil {
		other.net = e.net.With(c.Label, c.Guidance)
		other.Solver = other.net
	}
	if e.cpu != nil {
		other.cpu = e.cpu.With(c.Label, c.Guidance)
		other.Solver = other.cpu
	}
	return &other, nil
}

// OnGPU reports whether the network runs on a GPU.
func (e *Engine) OnGPU() bool { return e.gpu != nil || e.net != nil }

// Fused reports whether trajectories on a GPU run fused, and not layer by layer.
func (e *Engine) Fused() bool { return e.gpu != nil && e.gpu.Fused() }

// Close frees what the engine holds on a GPU, and ends its goroutines.
func (e *Engine) Close() error {
	switch {
	case e.gpu != nil:
		return e.gpu.Close()
	case e.net != nil:
		return e.net.Close()
	case e.cpu != nil:
		return e.cpu.Close()
	}
	return nil
}
