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
	"hbar/engine"
	"hbar/kernels/simd"
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
	// Class is the class of the samples, for a network with classes: its number, ClassAll (class i mod Classes for sample i), or
	// ClassNone. "" is none where the network knows that. Guidance is w in (1 + w) s(x | label) − w s(x | none).
	Class    string
	InTurn   bool // "" is ClassAll
	Guidance float64
}

// Model is a checkpoint that runs. Close frees what it holds.
type Model struct {
	*checkpoint.Model
	*engine.Engine
	Net *solver.Network
	// Schedule and Prediction are those that Net was made with; a --schedule flag may have chosen the first.
	Schedule   solver.Schedule
	Prediction solver.Prediction
	// Label is the label of each sample, by its number in a run; nil: the network takes none.
	Label func(sample uint64) float64

	act, prediction string // where activation and prediction are from, if not the checkpoint
}

// Report are lines for a command's report: the activation and the prediction of the network, and whether the checkpoint says so;
// where --schedule replaces the schedule that the network was trained for; and what was assumed when a directory from elsewhere was read.
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
	for _, note := range m.Notes {
		fmt.Fprintf(&b, "note      %s\n", note)
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
	return fmt.Sprintf("%s%s, %s, %s kernels", m.Device, why, ui.Plural(int64(workers), "worker"), simd.Best().Name)
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
	m := &Model{Model: c, Schedule: schedule, Prediction: prediction, act: act, prediction: pred}
	if err := m.start(o); err != nil {
		return nil, err
	}
	if m.Net, err = solver.NewNetwork(m.Solver, schedule, prediction, o.Precision); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// With is the same network asked for other labels and another guidance, as Options has them. It shares weights and goroutines with m,
// and ends with it: it is not closed by itself.
func (m *Model) With(class string, inTurn bool, guidance float64) (*Model, error) {
	other := *m
	other.Label = nil
	if err := other.labels(Options{Class: class, InTurn: inTurn, Guidance: guidance}); err != nil {
		return nil, err
	}
	var err error
	if other.Engine, err = m.Engine.With(engine.Condition{Label: other.Label, Guidance: guidance}); err != nil {
		return nil, err
	}
	other.Net, err = solver.NewNetwork(other.Solver, m.Schedule, m.Prediction, m.Net.Precision())
	return &other, err
}

// start makes the network run.
func (m *Model) start(o Options) error {
	n, err := m.Network()
	if err != nil {
		return err
	}
	if err := m.labels(o); err != nil {
		return err
	}
	m.Engine, err = engine.New(n, engine.Options{
		Device: o.Device.Kind, Index: o.Device.Index, GPU: o.GPU, Workers: o.Workers,
		Condition: engine.Condition{Label: m.Label, Guidance: o.Guidance},
	})
	var device *engine.DeviceError
	if errors.As(err, &device) {
		return fmt.Errorf("--%w", err)
	}
	return err
}
