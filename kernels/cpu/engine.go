package cpu

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"hbar/kernels"
	"hbar/program"
	"hbar/program/diff"
	"hbar/program/eval"
)

// EngineOptions say how an Engine runs a network.
type EngineOptions struct {
	Workers int   // goroutines; 0: GOMAXPROCS
	Memory  int64 // bytes for the values of a block of samples; 0: 1 GiB

	// Label is the label of a sample, for networks with labels. Trajectories, ForwardFrom and Forward64From ask for the number
	// of the sample in the run; all other methods for sample 0. nil means the label None everywhere.
	Label func(sample uint64) float64
	// None is the label that stands for none.
	None float64
	// Guidance is w in (1 + w) n(x | label) − w n(x | none) (Ho and Salimans 2022, arXiv:2207.12598), in trajectories and
	// values.
	Guidance float64
}

// Engine evaluates a network n(x, τ) of any kind, its derivatives and whole trajectories. Its methods may be called
// concurrently; they run one after the other, each on all workers. A program is made and bound for each kind of derivative
// when it is first asked for.
//
// Arguments are those of infer.Engine: samples n×D, directions n×k×D, and n times or one for all. The methods of float64 are
// computed by the references of the operations, slowly.
type Engine struct {
	*network
	o EngineOptions
}

// network is what engines under different labels and guidance share.
type network struct {
	net    *program.Program
	params map[string][]float32
	wide   map[string][]float64 // parameters in float64, when they are first needed
	d      int
	labels bool

	mu       sync.Mutex
	team     *Team
	programs map[string]*program.Program
	bound    map[string]*Executor
}

// NewEngine returns an engine of a network with the inputs x, t and perhaps y, and the output out. The parameters are read and
// not copied. Close ends its goroutines.
func NewEngine(net *program.Program, params []kernels.Param, o EngineOptions) (*Engine, error) {
	e := &Engine{o: o, network: &network{net: net, params: map[string][]float32{}, programs: map[string]*program.Program{}, bound: map[string]*Executor{}}}
	for _, p := range params {
		e.params[p.Name] = p.Data
	}
	e.d = program.Size(net.Values[net.Lookup("x")].Shape)
	e.labels = net.Lookup("y") != program.None
	if o.Guidance != 0 && !e.labels {
		return nil, errors.New("cpu: guidance is for networks with labels")
	}
	e.team = NewTeam(o.Workers)
	if _, err := e.executor("", false); err != nil {
		e.team.Close()
		return nil, err
	}
	return e, nil
}

// With is the network under other labels and guidance, which must be 0 for a network without labels. It shares all else with
// e, and is closed with it.
func (e *Engine) With(label func(sample uint64) float64, guidance float64) *Engine {
	other := *e
	other.o.Label, other.o.Guidance = label, guidance
	return &other
}

// Close ends the engine's goroutines.
func (e *Engine) Close() error {
	e.team.Close()
	return nil
}

// Dim is the number of elements of a sample.
func (e *Engine) Dim() int { return e.d }

// MACs is the number of multiply-adds of one evaluation for one sample.
func (e *Engine) MACs() int { return int(e.net.Cost(1).MulAdds) }

// Bytes is the memory for values of n samples.
func (e *Engine) Bytes(n int) (int64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	x, err := e.executor("", true)
	if err != nil {
		return 0, err
	}
	return x.Bytes(n), nil
}

// derived is the program of the network with derivatives: letters say which. v and w are tangents along the inputs v and w; a, b,
// c, e after g are the terms of the gradient g of a·out + b·sv + c·sw + e·svw in x.
func (e *Engine) derived(kind string) (*program.Program, error) {
	if p := e.programs[kind]; p != nil {
		return p, nil
	}
	p := e.net
	var err error
	has := func(c rune) bool {
		for _, k := range kind {
			if k == c {
				return true
			}
		}
		return false
	}
	if has('v') {
		if p, err = diff.JVP(p, map[string]string{"x": "v"}, map[string]string{"out": "sv"}); err != nil {
			return nil, err
		}
	}
	if has('w') {
		if p, err = diff.JVP(p, map[string]string{"x": "w"}, map[string]string{"out": "sw", "sv": "svw"}); err != nil {
			return nil, err
		}
	}
	if has('g') {
		seeds := map[string]string{}
		for _, t := range []struct {
			term   rune
			output string
		}{{'a', "out"}, {'b', "sv"}, {'c', "sw"}, {'e', "svw"}} {
			if has(t.term) {
				seeds[t.output] = string(t.term)
			}
		}
		if p, err = diff.VJP(p, seeds, map[string]string{"x": "g"}); err != nil {
			return nil, err
		}
	}
	e.programs[kind] = p
	return p, nil
}

// executor binds a program. common says that all samples have one time, so that what depends on it alone is computed once.
func (e *Engine) executor(kind string, common bool) (*Executor, error) {
	key := fmt.Sprint(kind, common)
	if x := e.bound[key]; x != nil {
		return x, nil
	}
	p, err := e.derived(kind)
	if err != nil {
		return nil, err
	}
	if common {
		p = program.WithRate(p, program.Step, "t")
	}
	x, err := NewExecutor(p, e.team, Options{Memory: e.o.Memory})
	if err != nil {
		return nil, err
	}
	if err := x.SetParams(e.params); err != nil {
		return nil, err
	}
	e.bound[key] = x
	return x, nil
}

// samples checks x and the times and returns n.
func (e *Engine) samples(x int, tau []float64) (int, error) {
	n := x / e.d
	if x != n*e.d {
		return 0, fmt.Errorf("cpu: x has %d elements; want a multiple of D = %d", x, e.d)
	}
	if len(tau) != 1 && len(tau) != n {
		return 0, fmt.Errorf("cpu: %d times for %d samples; want one, or one each", len(tau), n)
	}
	return n, nil
}

// run computes one of the programs.
func (e *Engine) run(ctx context.Context, kind string, n int, in map[string][]float32, tau []float64, label func(i int) float64, out map[string][]float32) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.runLocked(ctx, kind, n, in, tau, label, out)
}

func (e *Engine) runLocked(ctx context.Context, kind string, n int, in map[string][]float32, tau []float64, label func(i int) float64, out map[string][]float32) error {
	if n == 0 {
		return nil
	}
	common := len(tau) == 1
	x, err := e.executor(kind, common)
	if err != nil {
		return err
	}
	b := &Batch{N: n, In: in, Wide: map[string][]float64{"t": tau}, Out: out}
	if e.labels {
		b.Wide["y"] = labelsOf(n, label)
	}
	return x.RunContext(ctx, b)
}

func labelsOf(n int, label func(i int) float64) []float64 {
	y := make([]float64, n)
	for i := range y {
		y[i] = label(i)
	}
	return y
}

// label is that of values and derivatives.
func (e *Engine) label(int) float64 {
	if e.o.Label == nil {
		return e.o.None
	}
	return e.o.Label(0)
}

// labelFrom is the label of the samples sample0, sample0 + 1, ….
func (e *Engine) labelFrom(sample0 uint64) func(i int) float64 {
	return func(i int) float64 {
		if e.o.Label == nil {
			return e.o.None
		}
		return e.o.Label(sample0 + uint64(i))
	}
}

// run64 computes one of the programs by the references.
func (e *Engine) run64(ctx context.Context, kind string, n int, in map[string][]float64, tau []float64, label func(i int) float64, out map[string][]float64) error {
	if n == 0 {
		return nil
	}
	e.mu.Lock()
	p, err := e.derived(kind)
	if e.wide == nil {
		e.wide = map[string][]float64{}
		for name, s := range e.params {
			e.wide[name] = widened(s)
		}
	}
	e.mu.Unlock()
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	given := map[string][]float64{}
	for name, v := range e.wide {
		given[name] = v
	}
	for name, v := range in {
		given[name] = v
	}
	given["t"] = make([]float64, n)
	for i := range given["t"] {
		given["t"][i] = tau[min(i, len(tau)-1)]
	}
	if e.labels {
		given["y"] = labelsOf(n, label)
	}
	var names []string
	for name := range out {
		names = append(names, name)
	}
	got, err := eval.Run(program.Prune(p, names...), n, given)
	if err != nil {
		return err
	}
	for name, dst := range out {
		copy(dst, got[name])
	}
	return nil
}

func widened(s []float32) []float64 {
	w := make([]float64, len(s))
	for i, v := range s {
		w[i] = float64(v)
	}
	return w
}
