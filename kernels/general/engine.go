package general

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"hbar/kernels"
	"hbar/program"
	"hbar/program/diff"
	"hbar/program/eval"
)

// Runner runs a program on a back end. If it is an io.Closer, it is closed where its parameters cannot be bound.
type Runner interface {
	// SetParams binds the parameters, in their layouts in the program, by name.
	SetParams(params map[string][]float32) error
	// RunContext computes a batch, or returns the error of a context that has ended.
	RunContext(ctx context.Context, b *Batch) error
	// Block is the number of samples that pass through the program together.
	Block() int
	// Bytes is the memory for the values of n samples.
	Bytes(n int) int64
}

// Condition is the label of each sample, for networks with labels, and the strength of guidance.
type Condition struct {
	// Label is the label of a sample, for networks with labels. Trajectories, ForwardFrom and Forward64From ask for the number
	// of the sample in the run; all other methods for sample 0. nil means the label None everywhere.
	Label func(sample uint64) float64
	// None is the label that stands for none.
	None float64
	// Guidance is w in (1 + w) n(x | label) − w n(x | none) (Ho and Salimans 2022, arXiv:2207.12598), in trajectories and
	// values.
	Guidance float64
}

// Engine evaluates a network n(x, τ) of any kind and its derivatives. Its methods may be called concurrently; they run one after
// the other. A program is made and bound for each kind of derivative when it is first asked for.
//
// Arguments are those of infer.Engine: samples n×D, directions n×k×D, and n times or one for all. The methods of float64 are
// computed by the references of the operations, slowly. A back end adds trajectories.
type Engine struct {
	*network
	o Condition
}

// network is what engines under different conditions share.
type network struct {
	net    *program.Program
	params map[string][]float32
	wide   map[string][]float64 // parameters in float64, when they are first needed
	d      int
	labels bool

	lock     chan struct{} // holds a value while a method runs
	bind     func(p *program.Program) (Runner, error)
	programs map[string]*program.Program
	bound    map[string]Runner
}

// New returns an engine of a network with the inputs x, t and perhaps y, and the output out, whose programs bind prepares. The
// parameters are read and not copied.
func New(net *program.Program, params []kernels.Param, o Condition, bind func(p *program.Program) (Runner, error)) (*Engine, error) {
	e := &Engine{o: o, network: &network{net: net, lock: make(chan struct{}, 1), bind: bind, params: map[string][]float32{}, programs: map[string]*program.Program{}, bound: map[string]Runner{}}}
	for _, p := range params {
		e.params[p.Name] = p.Data
	}
	e.d = program.Size(net.Values[net.Lookup("x")].Shape)
	e.labels = net.Lookup("y") != program.None
	if o.Guidance != 0 && !e.labels {
		return nil, errors.New("guidance is for networks with labels")
	}
	if _, err := e.Runner("", false); err != nil {
		return nil, err
	}
	return e, nil
}

// With is the network under other labels and guidance, which must be 0 for a network without labels. It shares all else with e.
func (e *Engine) With(label func(sample uint64) float64, guidance float64) *Engine {
	other := *e
	other.o.Label, other.o.Guidance = label, guidance
	return &other
}

// Condition is the condition that e was made for.
func (e *Engine) Condition() Condition { return e.o }

// HasLabels reports whether the network takes labels.
func (e *Engine) HasLabels() bool { return e.labels }

// acquire waits until no other method runs, or until ctx ends. release must follow if the error is nil.
func (e *network) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case e.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *network) release() { <-e.lock }

// Lend calls f while no other method runs. It is not called if ctx ends before.
func (e *Engine) Lend(ctx context.Context, f func() error) error {
	if err := e.acquire(ctx); err != nil {
		return err
	}
	defer e.release()
	return f()
}

// Runners calls f for all programs that are bound. Call it within Lend only.
func (e *Engine) Runners(f func(r Runner)) {
	for _, r := range e.bound {
		f(r)
	}
}

// Dim is the number of elements of a sample.
func (e *Engine) Dim() int { return e.d }

// MACs is the number of multiply-adds of one evaluation for one sample.
func (e *Engine) MACs() int { return int(e.net.Cost(1).MulAdds) }

// Bytes is the memory for values of n samples.
func (e *Engine) Bytes(n int) (int64, error) {
	_ = e.acquire(context.Background()) // which does not end
	defer e.release()
	x, err := e.Runner("", true)
	if err != nil {
		return 0, err
	}
	return x.Bytes(n), nil
}

// derived is the program of the network with the derivatives of a kind, a string of letters. With "v" and "w" it has the directional
// derivatives sv, sw and svw along the inputs v and w (see kernels.Adjoint). With "g" it has the gradient g in x of the sum of
// those terms of a·out + b·sv + c·sw + e·svw whose letters follow, the covectors a, b, c and e being inputs. Letters "p" count the
// probes of Traces.
func (e *Engine) derived(kind string) (*program.Program, error) {
	if p := e.programs[kind]; p != nil {
		return p, nil
	}
	p := e.net
	var err error
	if k := strings.Count(kind, "p"); k > 0 {
		if p, err = probed(p, k); err == nil {
			e.programs[kind] = p
		}
		return p, err
	}
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

// Runner binds the program of a kind of derivative, "" for none. With common all samples have one time, and what depends on it
// alone is computed once. Call it within Lend only.
func (e *Engine) Runner(kind string, common bool) (Runner, error) {
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
	x, err := e.bind(p)
	if err != nil {
		return nil, err
	}
	if err := x.SetParams(e.params); err != nil {
		if c, ok := x.(io.Closer); ok {
			err = errors.Join(err, c.Close())
		}
		return nil, err
	}
	e.bound[key] = x
	return x, nil
}

// samples checks x and the times and returns n.
func (e *Engine) samples(x int, tau []float64) (int, error) {
	n := x / e.d
	if x != n*e.d {
		return 0, fmt.Errorf("engine: x has %d elements; want a multiple of D = %d", x, e.d)
	}
	if len(tau) != 1 && len(tau) != n {
		return 0, fmt.Errorf("engine: %d times for %d samples; want one, or one each", len(tau), n)
	}
	return n, nil
}

// run computes one of the programs.
func (e *Engine) run(ctx context.Context, kind string, n int, in map[string][]float32, tau []float64, label func(i int) float64, out map[string][]float32) error {
	if err := e.acquire(ctx); err != nil {
		return err
	}
	defer e.release()
	return e.runLocked(ctx, kind, n, in, tau, label, out)
}

func (e *Engine) runLocked(ctx context.Context, kind string, n int, in map[string][]float32, tau []float64, label func(i int) float64, out map[string][]float32) error {
	if n == 0 {
		return nil
	}
	common := len(tau) == 1
	x, err := e.Runner(kind, common)
	if err != nil {
		return err
	}
	b := &Batch{N: n, In: in, Wide: map[string][]float64{"t": tau}, Out: out}
	if e.labels {
		b.Wide["y"] = Labels(n, label)
	}
	return x.RunContext(ctx, b)
}

// Labels are the labels of n samples.
func Labels(n int, label func(i int) float64) []float64 {
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

// LabelFrom is the label of the samples sample0, sample0 + 1, ….
func (e *Engine) LabelFrom(sample0 uint64) func(i int) float64 {
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
	if err := e.acquire(ctx); err != nil {
		return err
	}
	p, err := e.derived(kind)
	if e.wide == nil {
		e.wide = map[string][]float64{}
		for name, s := range e.params {
			e.wide[name] = widened(s)
		}
	}
	e.release()
	if err != nil {
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
		given["y"] = Labels(n, label)
		if rows, ok := LabelRows(p)[p.Lookup("y")]; ok {
			if err := CheckLabels("engine", "y", rows, given["y"]); err != nil {
				return err
			}
		}
	}
	var names []string
	for name := range out {
		names = append(names, name)
	}
	got, err := eval.RunContext(ctx, program.Prune(p, names...), n, given)
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
