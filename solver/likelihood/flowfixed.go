package likelihood

import (
	"context"
	"fmt"

	"hbar/solver"
)

// FlowFixed computes log q⁰ as Flow does, on one mesh for all points: o.Steps equal steps in λ (o.Clock) of the classical
// Runge–Kutta method of fourth order. o.Steps is even. A second integration with half as many steps, along the exact divergence or
// the first probe alone, gives FlowPoint.Halving, the difference that halving the step made.
//
// All points are one batch with one time, and their probes share passes through the network where the model can (solver.Tracer).
// Memory grows with n·K·D: the caller cuts the points into blocks, which does not change the results but for rounding.
//
// o.Progress is called with the part of the work that is done, in steps of points. If ctx ends, FlowFixed returns its error and no
// results.
func FlowFixed(ctx context.Context, m solver.Model, s solver.Schedule, x []float64, o FlowOptions) ([]FlowPoint, error) {
	p, err := newProblem(m, s, o.Options)
	if err != nil {
		return nil, err
	}
	n, err := p.count(x)
	if err != nil {
		return nil, err
	}
	if o.Steps < 2 || o.Steps%2 != 0 {
		return nil, fmt.Errorf("likelihood: %d steps on a fixed mesh; want an even number, as their error is estimated with half of them", o.Steps)
	}
	k, err := p.probes(o)
	if err != nil {
		return nil, err
	}
	if err := o.checkSamples(n); err != nil {
		return nil, err
	}
	if p.blocks != nil {
		return p.fixedOfBlocks(ctx, x, n, k, o)
	}
	return p.fixed(ctx, x, n, k, o)
}

// fixed is FlowFixed for n states of the problem.
func (p *problem) fixed(ctx context.Context, x []float64, n, k int, o FlowOptions) ([]FlowPoint, error) {
	f := &fixedFlow{problem: p, n: n, k: k, progress: func(float64) {}}
	probes := p.draw(o, n, k, o.sample)
	// Half the steps with one probe cost 1/(2K) of the whole.
	fine := 1 / (1 + 0.5/float64(k))
	report := func(share float64) {
		if o.Progress != nil {
			o.Progress(int(share*float64(n*o.Steps)), n*o.Steps)
		}
	}
	f.probes, f.progress = probes, func(part float64) { report(fine * part) }
	end, div, err := f.run(ctx, x, o.Steps)
	if err != nil {
		return nil, err
	}
	f.k, f.probes, f.progress = 1, first(probes, n, k, p.d), func(part float64) { report(fine + (1-fine)*part) }
	half, halfDiv, err := f.run(ctx, x, o.Steps/2)
	if err != nil {
		return nil, err
	}
	report(1)
	points := make([]FlowPoint, n)
	for i := range points {
		at, row := end[i*p.d:(i+1)*p.d], div[i*k:(i+1)*k]
		status := OK
		switch {
		case !finitePoint(x[i*p.d : (i+1)*p.d]):
			status = BadPoint
		case !finitePoint(at) || !finitePoint(row):
			status = NotFinite
		case p.escaped(at):
			status = Diverged
		}
		points[i] = p.flowPoint(status, at, row, o)
		points[i].Steps, points[i].Evals = o.Steps, 6*o.Steps
		points[i].Halving = p.logPrior(at) + row[0] - p.logPrior(half[i*p.d:(i+1)*p.d]) - halfDiv[i]
	}
	return points, nil
}

// first keeps the first of k probes of each point; nil stays nil.
func first(probes []float64, n, k, d int) []float64 {
	if probes == nil || k == 1 {
		return probes
	}
	out := make([]float64, n*d)
	for i := range n {
		copy(out[i*d:(i+1)*d], probes[i*k*d:])
	}
	return out
}

// fixedFlow integrates n points and the k integrals of each.
type fixedFlow struct {
	*problem
	n, k     int
	probes   []float64 // n×k×D; nil: the exact divergence
	progress func(part float64)

	products []float64 // buffer of n×k×D
}

// run integrates from Tmin to Tmax in the given number of steps and returns the ends, n×D, and the integrals of ∇·F, n×k.
func (f *fixedFlow) run(ctx context.Context, x []float64, steps int) (end, div []float64, err error) {
	n, d, k := f.n, f.d, f.k
	end, div = append([]float64(nil), x...), make([]float64, n*k)
	at, slope, sum := make([]float64, n*d), make([]float64, n*d), make([]float64, n*d)
	rate, total := make([]float64, n*k), make([]float64, n*k)
	from, span := f.start(), f.end()-f.start()
	h := span / float64(steps)
	for step := range steps {
		tau := from + span*float64(step)/float64(steps)
		clear(sum)
		clear(total)
		for _, stage := range []struct{ c, weight float64 }{{0, 1. / 6}, {0.5, 1. / 3}, {0.5, 1. / 3}, {1, 1. / 6}} {
			for i, v := range end {
				at[i] = v + h*stage.c*slope[i]
			}
			if err := f.slope(ctx, slope, rate, at, tau+stage.c*h); err != nil {
				return nil, nil, err
			}
			for i, v := range slope {
				sum[i] += stage.weight * v
			}
			for i, v := range rate {
				total[i] += stage.weight * v
			}
		}
		for i, v := range sum {
			end[i] += h * v
		}
		for i, v := range total {
			div[i] += h * v
		}
		f.progress(float64(step+1) / float64(steps))
	}
	return end, div, nil
}

// slope writes dx/dτ and ∇·F, by each probe, at one time for all points.
func (f *fixedFlow) slope(ctx context.Context, dst, rate, x []float64, tau float64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n, d, k := f.n, f.d, f.k
	t, drift, half := f.at(tau)
	if err := f.scoreAndTrace(ctx, dst, rate, x, t); err != nil {
		return err
	}
	for i := range n * d {
		dst[i] = drift*x[i] - half*dst[i]
	}
	for i := range n * k {
		rate[i] = float64(d)*drift - half*rate[i]
	}
	return nil
}

// scoreAndTrace writes s, n×D, and ∇·s exactly or εᵀ(∂s/∂x)ε of each probe, n×k.
func (f *fixedFlow) scoreAndTrace(ctx context.Context, s, trace, x []float64, t float64) error {
	if f.probes == nil {
		return f.model.(solver.Diverger).ScoreDiv(ctx, s, trace, x, []float64{t})
	}
	return f.hutchinson(ctx, s, trace, x, f.probes, f.k, []float64{t}, &f.products)
}
