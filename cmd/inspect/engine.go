package main

import (
	"context"
	"fmt"

	"hbar/cuda"
	"hbar/internal/memory"
	"hbar/kernels/cpu"
	"hbar/kernels/general"
	"hbar/program"
	"hbar/program/eval"
)

// engine runs one program on chunks of samples. Values are by name, channels last.
type engine interface {
	// chunk is the number of samples to give at a time.
	chunk() int
	run(ctx context.Context, n int, given map[string][]float64) (map[string][]float64, error)
	close() error
}

// newEngine makes the engine of a precision, on a GPU if that is asked for. Close it.
func newEngine(p *program.Program, params map[string][]float32, o options, team *cpu.Team) (engine, error) {
	if o.Precision == fp64 {
		return newDouble(p, params, team.Workers()), nil
	}
	if o.Device.Kind == "cuda" {
		precision, err := cuda.ParsePrecision(o.Precision)
		if err != nil {
			return nil, err
		}
		x, err := cuda.NewProgram(p, params, o.Device.Index, precision)
		if err != nil {
			return nil, fmt.Errorf("--device %s: %w; have cpu", o.Device, err)
		}
		return &single{x, p, x.Close}, nil
	}
	x, err := cpu.NewExecutor(p, team, cpu.Options{})
	if err != nil {
		return nil, err
	}
	return &single{x, x.Program(), func() error { return nil }}, x.SetParams(params)
}

// executor is what runs the kernels of a program.
type executor interface {
	RunContext(ctx context.Context, b *general.Batch) error
	Block() int
}

// single runs the kernels, in float32.
type single struct {
	executor
	p    *program.Program
	stop func() error
}

func (e *single) close() error { return e.stop() }

// chunkBlocks is the number of the executor's blocks in a chunk: enough for the cost of a call not to count.
const chunkBlocks = 8

func (e *single) chunk() int { return chunkBlocks * e.Block() }

func (e *single) run(ctx context.Context, n int, given map[string][]float64) (map[string][]float64, error) {
	p := e.p
	b := &cpu.Batch{N: n, In: map[string][]float32{}, Wide: map[string][]float64{}, Out: map[string][]float32{}}
	for _, id := range p.With(program.Input) {
		v := p.Values[id]
		if program.Size(v.Shape) == 1 {
			b.Wide[v.Name] = given[v.Name]
			continue
		}
		f := make([]float32, len(given[v.Name]))
		for i, d := range given[v.Name] {
			f[i] = float32(d)
		}
		b.In[v.Name] = f
	}
	for _, o := range p.Outputs {
		b.Out[o.Name] = make([]float32, n*program.Size(p.Values[o.ID].Shape))
	}
	if err := e.RunContext(ctx, b); err != nil {
		return nil, err
	}
	out := map[string][]float64{}
	for name, f := range b.Out {
		d := make([]float64, len(f))
		for i, v := range f {
			d[i] = float64(v)
		}
		out[name] = d
	}
	return out, nil
}

// double runs the definitions of the operations, in float64.
type double struct {
	p      *program.Program
	params map[string][]float64
	size   int // of a chunk
}

func newDouble(p *program.Program, params map[string][]float32, workers int) *double {
	e := &double{p, map[string][]float64{}, workers}
	for name, f := range params {
		d := make([]float64, len(f))
		for i, v := range f {
			d[i] = float64(v)
		}
		e.params[name] = d
	}
	for usable := memory.Available().Usable() / 2; e.size > 1 && 8*live(p, e.size) > usable; {
		e.size--
	}
	return e
}

func (e *double) close() error { return nil }

// chunk is a sample for each worker, because eval.Run gives each a sample, or fewer where memory is short.
func (e *double) chunk() int { return e.size }

// run cannot be interrupted. If ctx ends it returns at once, and the work ends with the process.
func (e *double) run(ctx context.Context, n int, given map[string][]float64) (map[string][]float64, error) {
	all := map[string][]float64{}
	for name, d := range e.params {
		all[name] = d
	}
	for name, d := range given {
		all[name] = d
	}
	type outcome struct {
		out map[string][]float64
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		out, err := eval.Run(e.p, n, all)
		done <- outcome{out, err}
	}()
	select {
	case o := <-done:
		return o.out, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
