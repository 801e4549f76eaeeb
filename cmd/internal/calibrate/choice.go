package main

import (
	"context"
	"math"

	"hbar/cmd/internal/sweepcmd"
	"hbar/metrics"
	"hbar/solver"
)

// choiceStudies are those of the best h of cmd/sweep.
func choiceStudies() []study {
	return []study{
		{name: "best-h", about: "best h of four by W₂², ten repeats of 60 samples each, Gaussian in one dimension, against the closed form",
			rows: []row{{what: "sweep: the best h is among those it leaves", lo: 0.93, hi: 1}, {what: "sweep: difference of W₂², h = ½ less h = 2, ten repeats"}}, start: bestStrength},
		{name: "no-best", about: "four strengths whose losses have the same expectation, 20 units: whether sweep calls none of them worse",
			rows: []row{{what: "sweep: no difference is claimed where there is none", lo: 0.93, hi: 0.98}}, start: noBest},
	}
}

// bestStrength samples at several h and decides as cmd/sweep does.
func bestStrength(ctx context.Context) (trial, func(), error) {
	const n, repeats = 60, 10
	hs := []float64{0, 0.5, 1, 2}
	g, s, err := gaussianOf(1)
	if err != nil {
		return nil, nil, err
	}
	p := g.Data(s.Tmin())
	best, least := 0, math.Inf(1)
	table := func(h float64) solver.TableOptions {
		return solver.TableOptions{Sampler: solver.Exponential, Grid: solver.GridLambda, Steps: 20, H: h}
	}
	for j, h := range hs {
		t, err := solver.NewTable(s, solver.Prediction{}, table(h))
		if err != nil {
			return nil, nil, err
		}
		q, err := g.Chain(t.Rows)
		if err != nil {
			return nil, nil, err
		}
		if w := q.W2Squared(p); w < least {
			best, least = j, w
		}
	}
	return func(seed uint64) ([]outcome, error) {
		data := drawn(source(seed), p, n*repeats)
		loss := make([][]float64, len(hs))
		for j, h := range hs {
			x := make([]float64, 0, n*repeats)
			_, err := solver.Sample(ctx, g, s, solver.Options{TableOptions: table(h), N: n * repeats, Seed: seed}, func(c solver.Chunk) error { x = append(x, c.X...); return nil })
			if err != nil {
				return nil, err
			}
			for k := range repeats {
				w, err := metrics.W2(ctx, x[k*n:(k+1)*n], data[k*n:(k+1)*n], 1)
				if err != nil {
					return nil, err
				}
				loss[j] = append(loss[j], w.W2Squared.Value)
			}
		}
		r, err := sweepcmd.Recommend("w2_squared", hs, loss, 0.95)
		if err != nil {
			return nil, err
		}
		difference := r.Pairs[4].Difference // of h = ½ and 2
		return []outcome{{event: true, hit: contains(r, hs[best])}, ofEstimate(difference, math.NaN())}, nil
	}, nil, nil
}

func contains(r *sweepcmd.Recommendation, h float64) bool {
	for _, s := range r.NotWorse {
		if c, ok := s.IsConstant(); ok && c == h {
			return true
		}
	}
	return false
}

func noBest(context.Context) (trial, func(), error) {
	hs := []float64{0, 0.5, 1, 2}
	return func(seed uint64) ([]outcome, error) {
		r := source(seed)
		loss := make([][]float64, len(hs))
		for range 20 {
			common := r.NormFloat64()
			for j := range hs {
				loss[j] = append(loss[j], common+r.NormFloat64())
			}
		}
		rec, err := sweepcmd.Recommend("w2_squared", hs, loss, 0.95)
		if err != nil {
			return nil, err
		}
		return []outcome{{event: true, hit: !rec.Different}}, nil
	}, nil, nil
}
