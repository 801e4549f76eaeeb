package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/ui"
	"hbar/data/npz"
	"hbar/internal/memory"
	"hbar/kernels/cpu"
	"hbar/program"
)

// evaluate runs the network on the arrays of a file.
func (s *subject) evaluate(ctx context.Context, o options, io ui.Streams) error {
	in, err := ui.Wait(ctx, io.Err, "reading "+o.Eval, func() (*inputs, error) { return s.readInputs(o.Eval, o) })
	if err != nil {
		return err
	}
	var ref *reference
	if o.Compare != "" {
		if ref, err = readReference(o.Compare); err != nil {
			return err
		}
	}
	for _, name := range in.unused {
		fmt.Fprintf(io.Err, "%s: array %s is not used\n", o.Eval, name)
	}
	begin := time.Now()
	out, err := s.compute(ctx, o, in, ref, io)
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w; nothing is written", ui.ErrInterrupted)
	}
	if err != nil {
		return err
	}
	seconds := time.Since(begin).Seconds()
	fmt.Fprintf(io.Out, "evaluated %s in %s, %s\n", ui.Plural(int64(in.n), "sample"), ui.Span(time.Since(begin)), o.Precision)
	for _, name := range npz.Names(out) {
		if bad := nonFinite(out[name].X); bad > 0 {
			fmt.Fprintf(io.Err, "%s of %s numbers of %s are not finite\n", ui.Count(int64(bad)), ui.Count(int64(len(out[name].X))), name)
		}
	}
	if o.Out != "" {
		if err := npz.Write(o.Out, out); err != nil {
			return err
		}
		fmt.Fprintf(io.Out, "written   %s\n", o.Out)
	}
	res := result{Samples: in.n, Precision: o.Precision, Seconds: seconds, Arrays: map[string][]int{}}
	for name, a := range out {
		res.Arrays[name] = a.Shape
	}
	var failed error
	if ref != nil {
		if res.Differences, err = ref.compare(out); err != nil {
			return err
		}
		res.Tolerance = o.Tol
		failed = printDifferences(io.Out, res.Differences, o)
		res.NotCompared = ref.left(out, o.Eval)
		for _, line := range res.NotCompared {
			fmt.Fprintln(io.Err, line)
		}
	}
	if o.JSON != "" {
		if err := rundir.WriteJSON(o.JSON, res); err != nil {
			return errors.Join(err, failed)
		}
		fmt.Fprintf(io.Out, "written   %s\n", o.JSON)
	}
	return failed
}

// result is what --json says of an evaluation.
type result struct {
	Samples     int              `json:"samples"`
	Precision   string           `json:"precision"`
	Seconds     float64          `json:"seconds"`
	Arrays      map[string][]int `json:"arrays"` // shapes
	Tolerance   float64          `json:"tolerance,omitempty"`
	Differences []difference     `json:"differences,omitempty"`
	NotCompared []string         `json:"not_compared,omitempty"` // a line for each array that only one of the two has
}

// compute returns the results of all samples, in the layout of the inputs. It begins only if they can be compared with the reference, which may be nil.
func (s *subject) compute(ctx context.Context, o options, in *inputs, ref *reference, io ui.Streams) (map[string]*npz.Array, error) {
	all, err := programs(s.net.Program, in.given)
	if err != nil {
		return nil, err
	}
	out := map[string]*npz.Array{}
	for _, p := range all {
		for _, output := range p.Outputs {
			out[output.Name] = &npz.Array{Shape: in.resultShape(output.Name), Single: o.Precision != fp64}
		}
	}
	if ref != nil {
		if _, err := ref.common(out); err != nil {
			return nil, err
		}
	}
	team := cpu.NewTeam(o.Workers)
	defer team.Close()
	if err := s.checkEval(all, o, in.n, results(all, in.layout), team, memory.Available()); err != nil {
		return nil, err
	}
	bar := ui.NewProgress(io.Err, "evaluations", 0, int64(in.n*len(all)), nil)
	for i, p := range all {
		e, err := newEngine(p, s.params(), o, team)
		if err != nil {
			return nil, err
		}
		for _, output := range p.Outputs {
			a := out[output.Name]
			a.X = make([]float64, program.Size(a.Shape))
		}
		for lo := 0; lo < in.n; lo += e.chunk() {
			hi := min(in.n, lo+e.chunk())
			if err := in.chunk(ctx, e, p, out, lo, hi); err != nil {
				return nil, errors.Join(err, e.close())
			}
			bar.Show(int64(i*in.n + hi))
		}
		if err := e.close(); err != nil {
			return nil, err
		}
	}
	bar.Done()
	return out, nil
}

// resultShape is the shape of a result.
func (in *inputs) resultShape(name string) []int {
	if name == "quad" {
		return []int{in.n}
	}
	return in.shape(in.n)
}

// results is the number of elements of all results for one sample.
func results(all []*program.Program, l layout) int {
	n := 0
	for _, p := range all {
		for _, output := range p.Outputs {
			if output.Name == "quad" {
				n++
			} else {
				n += l.size()
			}
		}
	}
	return n
}

// chunk evaluates samples lo to hi.
func (in *inputs) chunk(ctx context.Context, e engine, p *program.Program, out map[string]*npz.Array, lo, hi int) error {
	given := map[string][]float64{}
	for _, id := range p.With(program.Input) {
		switch name := p.Values[id].Name; name {
		case "t", "y":
			given[name] = in.arrays[name][lo:hi]
		case "one":
			given[name] = make([]float64, hi-lo)
			for i := range given[name] {
				given[name][i] = 1
			}
		default:
			given[name] = in.read(in.arrays[name], lo, hi)
		}
	}
	got, err := e.run(ctx, hi-lo, given)
	if err != nil {
		return err
	}
	for name, y := range got {
		if name == "quad" {
			copy(out[name].X[lo:hi], y)
			continue
		}
		in.write(out[name].X, y, lo)
	}
	return nil
}

// nonFinite counts the elements that are not finite.
func nonFinite(x []float64) int {
	n := 0
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			n++
		}
	}
	return n
}
