// Package model turns a checkpoint into a score model that runs: the path that all commands share.
package model

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"

	"hbar/checkpoint"
	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/ui"
	"hbar/cuda"
	"hbar/kernels"
	"hbar/kernels/cpu"
	"hbar/kernels/infer"
	"hbar/kernels/simd"
	"hbar/program/chain"
	"hbar/solver"
)

// Options say how to run a model. The zero value is the CPU, all cores, float32 and the checkpoint's own schedule.
type Options struct {
	Schedule string // instead of the checkpoint's, or where it names none
	// Act and Prediction are the activation of an MLP and the prediction type instead of the checkpoint's; "" leaves them.
	Act, Prediction string
	Workers         int              // of the CPU
	Precision       solver.Precision // of scores and their derivatives
	// Device runs the network, its trajectories in GPU's precision if it is a GPU. A GPU that was asked for and cannot do it is
	// an error; under auto the CPU does it then, and Model.NoGPU says why.
	Device flags.Device
	GPU    cuda.Precision
	// Label is the label of each sample, by its number in a run, for networks with classes; nil: none. Guidance is w in
	// (1 + w) s(x | label) − w s(x | none).
	Label    func(sample uint64) float64
	Guidance float64
}

// Model is a checkpoint that runs. Close frees what it holds on a GPU.
type Model struct {
	*checkpoint.Model
	Net *solver.Network
	// Schedule and Prediction are those that Net was made with; a --schedule flag may have chosen the first.
	Schedule   solver.Schedule
	Prediction solver.Prediction
	Device     string // "cpu", or "cuda:0 NVIDIA H200 (…)"
	NoGPU      string // why --device auto means the CPU here

	gpu *cuda.Engine // nil: the CPU
	cpu *cpu.Engine  // of a network that is no chain

	act, prediction string // where activation and prediction are from, if not the checkpoint
}

// Report are lines for a command's report: the activation and the prediction of the network, and whether the checkpoint says so;
// and where --schedule replaces the schedule that the network was trained for.
func (m *Model) Report() string {
	var b strings.Builder
	b.WriteString("network   ")
	if m.Model.Net == nil {
		fmt.Fprintf(&b, "activation %s%s, ", m.Spec.Act, m.act)
	}
	fmt.Fprintf(&b, "%s prediction%s\n", m.Prediction, m.prediction)
	if m.Model.Schedule != "" && m.Model.Schedule != m.Schedule.Name() {
		fmt.Fprintf(&b, "schedule  %s, as --schedule says; the network was trained for %s\n", m.Schedule.Name(), m.Model.Schedule)
	}
	return b.String()
}

// origin is where a property of the network is from: "" for the checkpoint.
func origin(option, given, stored string, assumed bool) string {
	switch {
	case given != "" && given != stored && !assumed:
		return fmt.Sprintf(" (as --%s says; the checkpoint says %s)", option, stored)
	case given != "":
		return fmt.Sprintf(" (as --%s says)", option)
	case assumed:
		return fmt.Sprintf(" (assumed: the checkpoint does not say; --%s does)", option)
	}
	return ""
}

// Where describes the device for a command's report; workers is the --workers option.
func (m *Model) Where(workers int) string {
	if m.OnGPU() {
		return m.Device
	}
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	why := ""
	if m.NoGPU != "" {
		why = " (" + m.NoGPU + ")"
	}
	return fmt.Sprintf("%s%s, %d workers, %s kernels", m.Device, why, workers, simd.Best().Name)
}

// OnGPU reports whether the model runs on a GPU.
func (m *Model) OnGPU() bool { return m.gpu != nil }

// Fused reports whether trajectories on a GPU run fused, and not layer by layer.
func (m *Model) Fused() bool { return m.gpu != nil && m.gpu.Fused() }

// Close frees what the model holds on a GPU, and ends its goroutines.
func (m *Model) Close() error {
	switch {
	case m.gpu != nil:
		return m.gpu.Close()
	case m.cpu != nil:
		return m.cpu.Close()
	}
	return nil
}

// Load reads a model file and makes it run.
func Load(path string, o Options) (*Model, error) {
	c, err := checkpoint.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no checkpoint %s; train one with: %s", path, ui.Program("train"))
	}
	if err != nil {
		return nil, err
	}
	return New(c, o)
}

// New makes a checkpoint run.
func New(c *checkpoint.Model, o Options) (*Model, error) {
	act, pred := origin("act", o.Act, c.Spec.Act, c.ActAssumed), origin("prediction", o.Prediction, c.Prediction, c.PredictionAssumed)
	if o.Act != "" || o.Prediction != "" {
		changed := *c
		if c = &changed; o.Prediction != "" {
			c.Prediction = o.Prediction
		}
		if o.Act != "" && c.Net != nil {
			return nil, fmt.Errorf("--act %s is for MLPs; the checkpoint has a network of the kind %s", o.Act, c.Config().Kind())
		} else if o.Act != "" {
			c.Spec.Act = o.Act
		}
	}
	schedule, prediction, err := c.Process(o.Schedule)
	if err != nil {
		return nil, err
	}
	m := &Model{Model: c, Schedule: schedule, Prediction: prediction, Device: "cpu", act: act, prediction: pred}
	engine, err := m.network(o)
	if err != nil {
		return nil, err
	}
	if m.Net, err = solver.NewNetwork(engine, schedule, prediction, o.Precision); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// network is the engine of the checkpoint's network: a fused one for a chain of dense layers, else that of any program.
func (m *Model) network(o Options) (solver.Engine, error) {
	n, err := m.Network()
	if err != nil {
		return nil, err
	}
	c, notChain := chain.Of(n.Program, n.Matrices())
	if notChain == nil {
		if o.Label != nil || o.Guidance != 0 {
			return nil, fmt.Errorf("this network was trained without labels; labels and guidance are for networks with classes")
		}
		return m.engine(c, o)
	}
	if err := m.labels(o); err != nil {
		return nil, err
	}
	if o.Device.Kind == "auto" || o.Device.Kind == "cuda" {
		err := cuda.Runs(n.Program)
		if o.Device.Kind == "cuda" {
			return nil, fmt.Errorf("--device %s: %w; have cpu", o.Device, err)
		}
		m.NoGPU = strings.TrimPrefix(err.Error(), "cuda: ")
	}
	e, err := cpu.NewEngine(n.Program, n.Matrices(), cpu.EngineOptions{
		Workers: o.Workers, Label: o.Label, None: float64(m.Config().Classes()), Guidance: o.Guidance,
	})
	if err != nil {
		return nil, err
	}
	m.cpu = e
	return e, nil
}

// labels checks that the network takes what the options ask for.
func (m *Model) labels(o Options) error {
	c := m.Config()
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

// engine is the GPU's if it is wished for and can be had, else the CPU's.
func (m *Model) engine(p *kernels.Chain, o Options) (solver.Engine, error) {
	if o.Device.Kind == "auto" || o.Device.Kind == "cuda" {
		gpu, err := cuda.NewEngine(p, o.Device.Index, o.GPU)
		if err == nil {
			m.gpu, m.Device = gpu, gpu.Device()
			return gpu, nil
		}
		if o.Device.Kind == "cuda" {
			return nil, fmt.Errorf("--device %s: %w; have cpu", o.Device, err)
		}
		m.NoGPU = strings.TrimPrefix(err.Error(), "cuda: ")
	}
	return infer.New(p, infer.Options{Workers: o.Workers})
}
