package main

import (
	"context"
	"math"

	"hbar/metrics"
	"hbar/solver/exact"
)

// distanceStudies are those of distances between samples.
func distanceStudies() []study {
	return []study{
		{name: "w2", about: "W₂² of two samples of 100 points of different Gaussians in two dimensions, against its mean over all repeats",
			rows: []row{{what: "W₂², 100 points"}}, start: between(100, 2, 0, func(ctx context.Context, x, y []float64, _ uint64) (metrics.Estimate, error) {
				w, err := metrics.W2(ctx, x, y, 2)
				if err != nil {
					return metrics.Estimate{}, err
				}
				return w.W2Squared, nil
			}, nil)},
		{name: "sliced", about: "sliced W₂² of two samples of 200 points in four dimensions, 20 groups, against the closed form",
			rows: []row{{what: "sliced W₂², 200 points"}}, start: between(200, 4, 0, func(ctx context.Context, x, y []float64, seed uint64) (metrics.Estimate, error) {
				return estimateOf(metrics.SlicedW2Squared(ctx, x, y, 4, 0, &metrics.SlicedOptions{Seed: seed}))
			}, slicedTruth)},
		{name: "frechet", about: "Fréchet distance of two samples of 400 points in four dimensions, 20 groups, against the closed form",
			rows: []row{{what: "Fréchet distance, 400 points"}}, start: between(400, 4, 0, func(ctx context.Context, x, y []float64, _ uint64) (metrics.Estimate, error) {
				return estimateOf(metrics.FrechetSamples(ctx, x, y, 4, 0))
			}, exact.Moments.W2Squared)},
		{name: "frechet-to", about: "Fréchet distance of 400 points in four dimensions to known moments, 20 groups, against the closed form",
			rows: []row{{what: "Fréchet distance to known moments, 400 points"}}, start: between(400, 4, 0, func(ctx context.Context, x, _ []float64, _ uint64) (metrics.Estimate, error) {
				m := pair(4, 0)[1]
				return estimateOf(metrics.FrechetTo(ctx, x, m.Mean, diagonal(m.Var), 0))
			}, exact.Moments.W2Squared)},
		{name: "kernel", about: "squared kernel distance (x·y/d + 1)³ of two samples of 200 points in two dimensions, 20 groups, against the closed form",
			rows: []row{{what: "kernel distance, 200 points"}}, start: between(200, 2, 0, func(ctx context.Context, x, y []float64, _ uint64) (metrics.Estimate, error) {
				return estimateOf(metrics.KernelDistance(ctx, x, y, 2, 0))
			}, kernelTruth)},
		{name: "mmd", about: "squared MMD with a Gaussian kernel of two samples of 100 points in two dimensions, against its mean over all repeats",
			rows: []row{{what: "MMD², 100 points"}}, start: between(100, 2, 0, func(ctx context.Context, x, y []float64, _ uint64) (metrics.Estimate, error) {
				d, err := metrics.MMD(ctx, x, y, 2, 1)
				if err != nil {
					return metrics.Estimate{}, err
				}
				return d.Squared, nil
			}, nil)},
		{name: "same", about: "the same three distances of two samples of one Gaussian, whose distance is 0",
			rows: []row{{what: "sliced W₂² of one distribution, 200 points", lo: 0.93, hi: 1}, {what: "Fréchet distance of one distribution, 400 points", lo: 0.93, hi: 1}, {what: "kernel distance of one distribution, 200 points", lo: 0.93, hi: 1}}, start: sameDistribution},
	}
}

func estimateOf(r *metrics.Resampled, err error) (metrics.Estimate, error) {
	if err != nil {
		return metrics.Estimate{}, err
	}
	return r.Estimate, nil
}

// pair are two Gaussians with means and variances that differ, by nothing if same is 1.
func pair(d int, same float64) [2]exact.Moments {
	var m [2]exact.Moments
	for k := range m {
		f := float64(k) * (1 - same)
		for i := range d {
			m[k].Mean = append(m[k].Mean, 0.2*float64(i)+0.6*f)
			m[k].Var = append(m[k].Var, (1+0.5*f)*(1+0.5*f))
		}
	}
	return m
}

// between compares n points of each of the pair. truth nil: the mean over all repeats.
func between(n, d int, same float64, distance func(ctx context.Context, x, y []float64, seed uint64) (metrics.Estimate, error), truth func(a, b exact.Moments) float64) func(context.Context) (trial, func(), error) {
	return func(ctx context.Context) (trial, func(), error) {
		m := pair(d, same)
		want := math.NaN()
		if truth != nil {
			want = truth(m[0], m[1])
		}
		return func(seed uint64) ([]outcome, error) {
			r := source(seed)
			x, y := drawn(r, m[0], n), drawn(r, m[1], n)
			e, err := distance(ctx, x, y, seed)
			return []outcome{ofEstimate(e, want)}, err
		}, nil, nil
	}
}

// slicedTruth is the mean over directions of the squared W₂ of projections of Gaussians that are spheres.
func slicedTruth(a, b exact.Moments) float64 {
	square := 0.0
	for i := range a.Mean {
		square += (a.Mean[i] - b.Mean[i]) * (a.Mean[i] - b.Mean[i])
	}
	s := math.Sqrt(a.Var[0]) - math.Sqrt(b.Var[0])
	return square/float64(len(a.Mean)) + s*s
}

// kernelTruth is E k(x,x') + E k(y,y') − 2 E k(x,y) with k = (x·y/2 + 1)³ in two dimensions.
func kernelTruth(a, b exact.Moments) float64 {
	mean := func(p, q exact.Moments) float64 {
		sum := 0.0
		for j, choose := range []float64{1, 3, 3, 1} { // (x·y/2)^j
			for i := range j + 1 { // of which the first coordinate has i
				sum += choose * binomial(j, i) / math.Pow(2, float64(j)) * raw(p, 0, i) * raw(q, 0, i) * raw(p, 1, j-i) * raw(q, 1, j-i)
			}
		}
		return sum
	}
	return mean(a, a) + mean(b, b) - 2*mean(a, b)
}

// raw is E x_i^k of a Gaussian, k ≤ 3.
func raw(m exact.Moments, i, k int) float64 {
	mu, v := m.Mean[i], m.Var[i]
	return []float64{1, mu, mu*mu + v, mu*mu*mu + 3*mu*v}[k]
}

func binomial(n, k int) float64 {
	v := 1.0
	for i := range k {
		v *= float64(n-i) / float64(i+1)
	}
	return v
}

func diagonal(v []float64) []float64 {
	d := len(v)
	out := make([]float64, d*d)
	for i, w := range v {
		out[i*d+i] = w
	}
	return out
}

func sameDistribution(ctx context.Context) (trial, func(), error) {
	return func(seed uint64) ([]outcome, error) {
		r := source(seed)
		m4, m2 := pair(4, 1)[0], pair(2, 1)[0]
		a, err := estimateOf(metrics.SlicedW2Squared(ctx, drawn(r, m4, 200), drawn(r, m4, 200), 4, 0, &metrics.SlicedOptions{Seed: seed}))
		if err != nil {
			return nil, err
		}
		b, err := estimateOf(metrics.FrechetSamples(ctx, drawn(r, m4, 400), drawn(r, m4, 400), 4, 0))
		if err != nil {
			return nil, err
		}
		c, err := estimateOf(metrics.KernelDistance(ctx, drawn(r, m2, 200), drawn(r, m2, 200), 2, 0))
		return []outcome{ofEstimate(a, 0), ofEstimate(b, 0), ofEstimate(c, 0)}, err
	}, nil, nil
}
