package main

import (
	"context"
	"fmt"

	"hbar/solver"
	"hbar/solver/likelihood"
	"hbar/solver/likelihood/ode"
)

// slopeStudies are those of the expansion in h.
func slopeStudies() []study {
	return []study{
		{name: "l1-dual", about: "ℓ₁ of a point along the whole path, 64 and 16 pairs of a tangent and its dual, mixture in two dimensions, against the Taylor expansion",
			rows: []row{{what: "ℓ₁ of a point, 64 tangents and duals (Student, 63)"}, {what: "ℓ₁ of a point, 16 tangents and duals (Student, 15)", lo: 0.90, hi: 0.97}}, start: slopeOfPoint(likelihood.EstimateDual, 64, 16)},
		{name: "l1-times", about: "ℓ₁ of a point at 16 random times, mixture in two dimensions, against the Taylor expansion",
			rows: []row{{what: "ℓ₁ of a point, random times (Student, 15)", lo: 0.93, hi: 1}}, start: slopeOfPoint(likelihood.EstimateTimes, 16)},
		{name: "l1-mean", about: "mean ℓ₁ of 16 points by 2 random times each, Gaussian in 8 dimensions, against its expectation",
			rows: []row{{what: "mean ℓ₁ of 16 points, 2 probes each (Student, 15)", lo: 0.90, hi: 0.97}}, start: meanSlope},
		{name: "l2-mean", about: "mean ℓ₁ and ℓ₂ of 200 points and of 24 of them by the Taylor expansion, Gaussian in one dimension, against their expectations",
			rows: []row{{what: "mean ℓ₁ of 200 points, exact for each"}, {what: "mean ℓ₂ of 200 points, exact for each"},
				{what: "mean ℓ₁ of 24 points, exact for each (Student, 23)", lo: 0.86, hi: 0.97}, {what: "mean ℓ₂ of 24 points, exact for each (Student, 23)", lo: 0.86, hi: 0.97}}, start: meanSecond},
	}
}

// slopeOfPoint takes the estimator of a point at 16 points in turn, with those numbers of probes.
func slopeOfPoint(by func(context.Context, solver.Model, solver.Schedule, []float64, likelihood.EstimateOptions) ([]likelihood.Estimate, error), probes ...int) func(context.Context) (trial, func(), error) {
	return func(ctx context.Context) (trial, func(), error) {
		const points = 16
		m, s, err := mixtureOf(2)
		if err != nil {
			return nil, nil, err
		}
		var x []float64
		r := source(1)
		for range points {
			x = append(x, inMixture(r, 2)...)
		}
		want, err := likelihood.Expand(ctx, m, s, x, likelihood.ExpandOptions{Options: likelihood.Options{Tol: 1e-6}})
		if err != nil {
			return nil, nil, err
		}
		return func(seed uint64) ([]outcome, error) {
			i := int(seed % points)
			var out []outcome
			for _, k := range probes {
				got, err := by(ctx, m, s, x[2*i:2*i+2], likelihood.EstimateOptions{Options: likelihood.Options{Steps: 24, Method: ode.RK4}, Probes: k, Inner: 1, Seed: seed})
				if err != nil {
					return nil, err
				}
				if got[0].Status != likelihood.OK || want[i].Status != likelihood.OK {
					return nil, fmt.Errorf("point %d: %s, %s", i, got[0].Status, want[i].Status)
				}
				out = append(out, student(got[0].L1, got[0].StdErr, k-1, want[i].L1))
			}
			return out, nil
		}, nil, nil
	}
}

func meanSlope(ctx context.Context) (trial, func(), error) {
	const d, n = 8, 16
	g, s, err := gaussianOf(d)
	if err != nil {
		return nil, nil, err
	}
	p := g.Data(s.Tmin())
	truth := expected(p, func(x []float64) float64 { return g.Expand(x, s.Tmin()).L1 })
	return func(seed uint64) ([]outcome, error) {
		got, err := likelihood.EstimateTimes(ctx, g, s, drawn(source(seed), p, n), likelihood.EstimateOptions{Options: likelihood.Options{Steps: 16, Method: ode.RK4}, Probes: 2, Inner: 1, Seed: seed})
		if err != nil {
			return nil, err
		}
		l1 := make([]float64, n)
		for i, e := range got {
			if e.Status != likelihood.OK {
				return nil, errFailed
			}
			l1[i] = e.L1
		}
		mean, stderr := meanOf(l1)
		return []outcome{student(mean, stderr, n-1, truth)}, nil
	}, nil, nil
}

func meanSecond(ctx context.Context) (trial, func(), error) {
	const n, few = 200, 24
	g, s, err := gaussianOf(1)
	if err != nil {
		return nil, nil, err
	}
	p := g.Data(s.Tmin())
	first := expected(p, func(x []float64) float64 { return g.Expand(x, s.Tmin()).L1 })
	second := expected(p, func(x []float64) float64 { return g.Expand(x, s.Tmin()).L2 })
	return func(seed uint64) ([]outcome, error) {
		got, err := likelihood.Expand(ctx, g, s, drawn(source(seed), p, n), likelihood.ExpandOptions{Options: likelihood.Options{Steps: 16, Method: ode.RK4}, Order: 2})
		if err != nil {
			return nil, err
		}
		l1, l2 := make([]float64, n), make([]float64, n)
		for i, e := range got {
			if e.Status != likelihood.OK {
				return nil, errFailed
			}
			l1[i], l2[i] = e.L1, e.L2
		}
		var out []outcome
		for _, k := range []int{n, few} {
			m1, e1 := meanOf(l1[:k])
			m2, e2 := meanOf(l2[:k])
			out = append(out, student(m1, e1, k-1, first), student(m2, e2, k-1, second))
		}
		return out, nil
	}, nil, nil
}
