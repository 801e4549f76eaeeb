package main

import (
	"context"
	"math"

	"hbar/solver"
	"hbar/solver/exact"
	"hbar/solver/guidance"
	"hbar/solver/likelihood"
)

// pathStudies are those of the path integral and its bounds, and of samples with weights.
func pathStudies() []study {
	return []study{
		{name: "path", about: "log q^h of a point by 1000 paths, and by 256 of them, at h = ½ and 1, Gaussian in two dimensions, against the density of the chain",
			rows: []row{{what: "path integral, a point, 1000 paths, h = ½"}, {what: "path integral, a point, h = 1 less h = ½"}, {what: "path integral, a point, by bootstrap"}, {what: "upper bound of a generated point, 1000 paths"},
				{what: "path integral, a point, 256 paths, h = ½", lo: 0.90, hi: 0.97}}, start: pathOfPoint},
		{name: "bounds", about: "mean L_K and U_K of 24 generated points with 8 paths, Gaussian in 16 dimensions, against their means over all repeats",
			rows: []row{{what: "mean lower bound L₈, 24 points (Student, 23)"}, {what: "mean upper bound U₈, 24 points (Student, 23)"}, {what: "mean width U₈ − L₈, 24 points (Student, 23)"}}, start: boundsOfPoints},
		{name: "reward", about: "weighted mean of 500 samples, weights e^{x/2} of standard normals, against its value ½",
			rows: []row{{what: "weighted mean of 500 samples (sample --reward)"}}, start: weightedMean},
	}
}

// chainAt is the density of the chain that the path integral weighs.
func chainAt(g *exact.Gaussian, s solver.Schedule, o likelihood.PathOptions, h float64) (exact.Moments, error) {
	table, err := solver.NewTable(s, solver.Prediction{}, solver.TableOptions{Sampler: o.Sampler, Grid: o.Grid, Steps: o.Steps, H: h})
	if err != nil {
		return exact.Moments{}, err
	}
	return g.Chain(table.Rows)
}

func pathOfPoint(ctx context.Context) (trial, func(), error) {
	const d, half = 2, 0.5
	g, s, err := gaussianOf(d)
	if err != nil {
		return nil, nil, err
	}
	base := likelihood.PathOptions{Sampler: solver.Exponential, Grid: solver.GridLambda, Steps: 20, Paths: 1000}
	at, err := chainAt(g, s, base, half)
	if err != nil {
		return nil, nil, err
	}
	one, err := chainAt(g, s, base, 1)
	if err != nil {
		return nil, nil, err
	}
	return func(seed uint64) ([]outcome, error) {
		o := base
		o.Seed = seed
		x := drawn(source(seed), at, 1)
		got, err := likelihood.PathIntegral(ctx, g, s, x, []float64{half, 1}, o)
		if err != nil {
			return nil, err
		}
		o.Bootstrap = 200
		again, err := likelihood.PathIntegral(ctx, g, s, x, []float64{half}, o)
		if err != nil {
			return nil, err
		}
		o.Bootstrap, o.Sample0 = 0, 1
		made, err := likelihood.Generate(ctx, g, s, 1, half, o)
		if err != nil {
			return nil, err
		}
		o.Own = made.LogW
		upper, err := likelihood.PathIntegral(ctx, g, s, made.X, []float64{half}, o)
		if err != nil {
			return nil, err
		}
		o.Own, o.Sample0, o.Paths = nil, 0, 256
		few, err := likelihood.PathIntegral(ctx, g, s, x, []float64{half}, o)
		if err != nil {
			return nil, err
		}
		truth, f := at.LogDensity(x), few[0][0]
		p, q, b, u := got[0][0], got[0][1], again[0][0], upper[0][0]
		return []outcome{normal(p.LogQ, p.StdErr, truth), normal(q.Diff, q.DiffStdErr, one.LogDensity(x)-truth), normal(b.LogQ, b.StdErr, truth),
			normal(u.Upper, u.UpperStdErr, at.LogDensity(made.X)), normal(f.LogQ, f.StdErr, truth)}, nil
	}, nil, nil
}

func boundsOfPoints(ctx context.Context) (trial, func(), error) {
	const d, n = 16, 24
	g, s, err := gaussianOf(d)
	return func(seed uint64) ([]outcome, error) {
		o := likelihood.PathOptions{Sampler: solver.Exponential, Grid: solver.GridLambda, Steps: 20, Paths: 8, Seed: seed}
		made, err := likelihood.Generate(ctx, g, s, n, 0.5, o)
		if err != nil {
			return nil, err
		}
		o.Own = made.LogW
		got, err := likelihood.PathIntegral(ctx, g, s, made.X, []float64{0.5}, o)
		if err != nil {
			return nil, err
		}
		var values [3][]float64
		for _, e := range got {
			for i, v := range []float64{e[0].Lower, e[0].Upper, e[0].Upper - e[0].Lower} {
				values[i] = append(values[i], v)
			}
		}
		var out []outcome
		for _, v := range values {
			mean, stderr := meanOf(v)
			out = append(out, student(mean, stderr, n-1, math.NaN()))
		}
		return out, nil
	}, nil, err
}

func weightedMean(context.Context) (trial, func(), error) {
	const n, tilt = 500, 0.5
	return func(seed uint64) ([]outcome, error) {
		r := source(seed)
		x, w := make([]float64, n), make([]float64, n)
		for i := range x {
			x[i] = r.NormFloat64()
			w[i] = tilt * x[i]
		}
		e, _ := guidance.Expectation(w, x)
		return []outcome{normal(e.Value, e.StdErr, tilt)}, nil
	}, nil, nil
}
