package hbar

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"hbar/checkpoint"
	"hbar/data"
	"hbar/engine"
	"hbar/solver"
)

// None is the label that stands for no label.
const None = -1

// Options say how to run a checkpoint. The zero value is the CPU with all cores, in float32, with the checkpoint's own schedule.
type Options struct {
	// Schedule is the name of a schedule (solver.ScheduleNames) instead of the checkpoint's, or where it names none.
	Schedule string
	// Device is "cpu", "cuda", "cuda:1", … or "auto", which takes a GPU if build, machine and network allow; "" is the CPU.
	Device string
	// Workers is the number of goroutines on the CPU; 0: one for each core.
	Workers int
	// Precision is the arithmetic inside the network where scores and flows are evaluated. solver.Float64 is about twice as
	// dear for an MLP, and slow for other networks: it runs their references.
	Precision solver.Precision
}

// Model is a trained score network that runs. Its methods may be called concurrently. Close frees what it holds.
type Model struct {
	c          *checkpoint.Model
	o          Options
	schedule   solver.Schedule
	prediction solver.Prediction

	engine *engine.Engine

	// Calls hold no lock while the engine works: they run functions of the caller, which may call the model again or close it.
	mu     sync.Mutex
	users  int // calls under way
	closed bool
}

// Open reads a checkpoint, a file or a directory in the form of diffusers (package checkpoint), with a network of any kind.
func Open(path string, o Options) (*Model, error) {
	c, err := checkpoint.Load(path)
	if err != nil {
		return nil, err
	}
	return New(c, o)
}

// New makes a checkpoint that is in memory run. Its weights must not be changed any more.
func New(c *checkpoint.Model, o Options) (*Model, error) {
	m := &Model{c: c, o: o}
	var err error
	if m.schedule, m.prediction, err = c.Process(o.Schedule); err != nil {
		return nil, err
	}
	if err := c.Norm.Validate(c.D()); err != nil {
		return nil, err
	}
	n, err := c.Network()
	if err != nil {
		return nil, err
	}
	e := engine.Options{Device: o.Device, Workers: o.Workers}
	if kind, index, ok := strings.Cut(o.Device, ":"); ok {
		i, err := strconv.ParseUint(index, 10, 16)
		if err != nil || kind != "cuda" {
			return nil, fmt.Errorf("hbar: device %q unknown; have auto, cpu, cuda, cuda:0, cuda:1, …", o.Device)
		}
		e.Device, e.Index = kind, int(i)
	}
	if n.Config.Classes() > 0 && !n.Config.NoLabel() {
		e.Label = func(uint64) float64 { return 0 } // until a call says which
	}
	if m.engine, err = engine.New(n, e); err != nil {
		return nil, fmt.Errorf("hbar: %w", err)
	}
	if _, err := m.network(engine.Condition{Label: e.Label}); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// Close ends the model's goroutines and frees what it holds on a GPU. If calls are under way it does not wait for them: the last
// one does it when it returns. Later calls return an error.
func (m *Model) Close() error {
	m.mu.Lock()
	idle := m.users == 0 && !m.closed
	m.closed = true
	m.mu.Unlock()
	if !idle {
		return nil
	}
	return m.engine.Close()
}

// Checkpoint is what the model was made of.
func (m *Model) Checkpoint() *checkpoint.Model { return m.c }

// Schedule is the forward process: α(t), σ(t) and the times Tmin and Tmax.
func (m *Model) Schedule() solver.Schedule { return m.schedule }

// Shape is the shape of a sample: [H, W, C], [T, C] or [D].
func (m *Model) Shape() []int { return slices.Clone(m.c.SampleShape()) }

// Dim is the number D of numbers in a sample.
func (m *Model) Dim() int { return m.c.D() }

// Classes is the number of labels; 0: the network takes none.
func (m *Model) Classes() int { return m.c.Config().Classes() }

// Device is where the network runs: "cpu", or the name of a GPU.
func (m *Model) Device() string { return m.engine.Device }

// Network is the model for the packages solver and solver/likelihood, which work in the network's units. label is one of the
// classes, or None. The network is of no use after Close.
func (m *Model) Network(label int) (*solver.Network, error) {
	c, err := m.condition([]int{label}, 0, 0)
	if err != nil {
		return nil, err
	}
	return m.network(c)
}

func (m *Model) network(c engine.Condition) (*solver.Network, error) {
	e, err := m.engine.With(c)
	if err != nil {
		return nil, fmt.Errorf("hbar: %w", err)
	}
	return solver.NewNetwork(e.Solver, m.schedule, m.prediction, m.o.Precision)
}

// condition is the engine's condition for labels of the samples from first on: none, one for all, or one for each.
func (m *Model) condition(labels []int, first uint64, guidance float64) (engine.Condition, error) {
	var c engine.Condition
	classes := m.Classes()
	some := false
	for _, y := range labels {
		if y != None && classes > 0 && (y < 0 || y >= classes) {
			return c, fmt.Errorf("hbar: label %d; want 0 to %d, or None", y, classes-1)
		}
		if y == None && classes > 0 && !m.c.Config().NoLabel() {
			return c, fmt.Errorf("hbar: this network takes one of %d labels, and None is not among them", classes)
		}
		some = some || y != None
	}
	if math.IsNaN(guidance) || math.IsInf(guidance, 0) {
		return c, fmt.Errorf("hbar: guidance %g; want a finite number", guidance)
	}
	c.Guidance = guidance
	if some {
		c.Label = func(sample uint64) float64 {
			y := labels[0]
			if i := sample - first; len(labels) > 1 && i < uint64(len(labels)) {
				y = labels[i]
			}
			if y == None {
				return float64(classes)
			}
			return float64(y)
		}
	}
	return c, nil
}

// use holds the model open for a call; done ends it.
func (m *Model) use(ctx context.Context) (_ context.Context, done func(), err error) {
	if ctx == nil {
		ctx = context.Background()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, nil, errors.New("hbar: the model is closed")
	}
	m.users++
	return ctx, m.unuse, nil
}

// unuse ends a call.
func (m *Model) unuse() {
	m.mu.Lock()
	m.users--
	last := m.users == 0 && m.closed
	m.mu.Unlock()
	if last {
		_ = m.engine.Close() // the call has its result, and Close has returned
	}
}

// count is the number of samples in x, with their labels and values checked.
func (m *Model) count(x []float64, labels []int) (int, error) {
	d := m.Dim()
	n := len(x) / d
	switch {
	case len(x) != n*d:
		return 0, fmt.Errorf("hbar: x has %d numbers; want a multiple of D = %d", len(x), d)
	case len(labels) > 1 && len(labels) != n:
		return 0, fmt.Errorf("hbar: %d labels for %d samples; want none, one, or one each", len(labels), n)
	}
	return n, nil
}

// runs calls f for each run lo … hi−1 of the n samples that have one label, with the network under it.
func (m *Model) runs(n int, labels []int, guidance float64, f func(net *solver.Network, lo, hi int) error) error {
	if _, err := m.condition(labels, 0, guidance); err != nil {
		return err
	}
	for lo := 0; lo < n; {
		hi, of := n, labels
		if len(labels) > 1 {
			for hi = lo + 1; hi < n && labels[hi] == labels[lo]; hi++ {
			}
			of = labels[lo : lo+1]
		}
		c, err := m.condition(of, 0, guidance)
		if err != nil {
			return err
		}
		net, err := m.network(c)
		if err != nil {
			return err
		}
		if err := f(net, lo, hi); err != nil {
			return err
		}
		lo = hi
	}
	return nil
}

// toNetwork is x in the network's units.
func (m *Model) toNetwork(x []float64) []float64 {
	y := make([]float64, len(x))
	m.c.Norm.Apply(y, x, m.Dim())
	return y
}

// perUnit divides gradients in the network's units by its scale, in place.
func (m *Model) perUnit(g []float64) {
	data.Normalisation{Scale: m.c.Norm.Scale}.Apply(g, g, m.Dim())
}
