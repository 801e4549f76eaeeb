package guidance

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"hbar/solver"
	"hbar/solver/exact"
)

// gaussian is a model of two coordinates with a reward, and the mean, variance and divergence of the tilted density of each.
func gaussian(t *testing.T) (m *exact.Gaussian, s solver.Schedule, e *Exact, mean, variance []float64, kl float64) {
	t.Helper()
	s, err := solver.NewSchedule("vp", nil)
	if err != nil {
		t.Fatal(err)
	}
	mu, va := []float64{0.5, -1}, []float64{0.8, 0.3}
	if m, err = exact.NewGaussian(s, mu, va, 0); err != nil {
		t.Fatal(err)
	}
	r := &Quadratic{A: []float64{0, 1.5}, W: []float64{2, 0}, C: []float64{1, 0}}
	e = &Exact{Model: m, Schedule: s, Mean: mu, Var: va, Reward: r}
	for i := range mu {
		v := 1 / (1/va[i] + r.W[i])
		c := v * (mu[i]/va[i] + r.A[i] + r.W[i]*r.C[i])
		mean, variance = append(mean, c), append(variance, v)
		kl += 0.5 * (v/va[i] + (c-mu[i])*(c-mu[i])/va[i] - 1 - math.Log(v/va[i]))
	}
	return m, s, e, mean, variance, kl
}

func moments(x []float64, d, j int) (mean, variance float64) {
	n := float64(len(x) / d)
	for i := j; i < len(x); i += d {
		mean += x[i] / n
	}
	for i := j; i < len(x); i += d {
		variance += (x[i] - mean) * (x[i] - mean) / n
	}
	return mean, variance
}

// Exact guidance samples the tilted density at every h, with the path divergence ((1+h)²/4h) KL, and weights that say little.
func TestExact(t *testing.T) {
	m, s, e, mean, variance, kl := gaussian(t)
	const n = 4000
	for _, h := range []float64{0.25, 1, 4} {
		res, err := Sample(context.Background(), m, e, s, e.Reward, Options{N: n, H: h, Steps: 300, Grid: solver.GridLambda, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		for j := range 2 {
			a, v := moments(res.X, 2, j)
			// noise of the mean and the variance, and order 1 in 300 steps
			if math.Abs(a-mean[j]) > 4*math.Sqrt(variance[j]/n)+0.02 || math.Abs(v/variance[j]-1) > 4*math.Sqrt(2.0/n)+0.05 {
				t.Errorf("h = %g, coordinate %d: mean %.4f, variance %.4f; want %.4f, %.4f", h, j, a, v, mean[j], variance[j])
			}
		}
		path := 0.0
		for _, l := range res.LogRatio {
			path -= l / n
		}
		if want := (1 + h) * (1 + h) / (4 * h) * kl; math.Abs(path/want-1) > 0.1 {
			t.Errorf("h = %g: divergence of paths %.4f, want %.4f", h, path, want)
		}
	}
	if _, err := Sample(context.Background(), m, e, s, e.Reward, Options{N: 1}); err == nil || !strings.Contains(err.Error(), "need noise, h > 0") {
		t.Errorf("h = 0: error %v", err)
	}
}

// The plug-in's samples are biased; weighted, they are not. A sample is the same in any chunk.
func TestPlugIn(t *testing.T) {
	m, s, e, mean, _, _ := gaussian(t)
	p := &PlugIn{Model: m, Schedule: s, Reward: e.Reward, MinLambda: -5}
	const n = 4000
	res, err := Sample(context.Background(), m, p, s, e.Reward, Options{N: n, H: 1, Steps: 300, Grid: solver.GridLambda, Seed: 2})
	if err != nil {
		t.Fatal(err)
	}
	for j := range 2 {
		f := make([]float64, n)
		for i := range f {
			f[i] = res.X[2*i+j]
		}
		v, ess := Expectation(res.LogWeight, f)
		if math.Abs(v.Value-mean[j]) > 4*v.StdErr+0.02 || ess < n/20 || v.StdErr > 0.1 {
			t.Errorf("coordinate %d: weighted mean %.4f ± %.4f with ESS %.0f, want %.4f", j, v.Value, v.StdErr, ess, mean[j])
		}
	}
	part, err := Sample(context.Background(), m, p, s, e.Reward, Options{N: 5, First: 10, H: 1, Steps: 300, Grid: solver.GridLambda, Seed: 2, Chunk: 2})
	if err != nil || !slices.Equal(part.X, res.X[20:30]) || !slices.Equal(part.LogWeight, res.LogWeight[10:15]) {
		t.Errorf("samples 10 to 14 by themselves differ: %v", err)
	}
}

func TestParse(t *testing.T) {
	q, err := Parse("2*x0 - 0.5*(x1-3)^2 + x2 - x2^2 -1e-1*x0", 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range [][]float64{{0, 0, 0}, {1, 2, 3}, {-1, 4, 0.5}} {
		want := 1.9*x[0] - 0.5*(x[1]-3)*(x[1]-3) + x[2] - x[2]*x[2]
		if got := q.Value(x); math.Abs(got-want) > 1e-12 {
			t.Errorf("r(%v) = %g, want %g", x, got, want)
		}
		g := make([]float64, 3)
		q.Grad(g, x)
		if math.Abs(g[0]-1.9) > 1e-12 || math.Abs(g[1]+(x[1]-3)) > 1e-12 || math.Abs(g[2]-(1-2*x[2])) > 1e-12 {
			t.Errorf("∇r(%v) = %v", x, g)
		}
	}
	z := q.Scaled(func(int) float64 { return 1 }, func(int) float64 { return 2 })
	if a, b := z.Value([]float64{1, 1, 1})-z.Value([]float64{0, 0, 0}), q.Value([]float64{3, 3, 3})-q.Value([]float64{1, 1, 1}); math.Abs(a-b) > 1e-12 {
		t.Errorf("scaled reward rises by %g, want %g", a, b)
	}
	for text, want := range map[string]string{"": "not a term", "y0": "not a term", "x3": "no x3", "x0^2+x0^2": "two squares", "2*": "not a term", "NaN*x0": "not finite", "x0^3": "not a term", "(x0-a)^2": "not a term"} {
		if _, err := Parse(text, 3); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}
