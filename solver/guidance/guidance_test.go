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
		if want := (1 + h) * (1 + h) / (4 * h) * kl; math.Abs(path/want-1) > 0.03 { // Monte Carlo error, and the order of 300 steps; measured 0.011
			t.Errorf("h = %g: divergence of paths %.4f, want %.4f", h, path, want)
		}
	}
	if _, err := Sample(context.Background(), m, e, s, e.Reward, Options{N: 1}); err == nil || !strings.Contains(err.Error(), "need noise, h > 0") {
		t.Errorf("h = 0: error %v", err)
	}
}

// With exact guidance the weights of paths vary by the steps alone at h = 1, as steps^(−½), and by the divergence of the paths
// elsewhere: the effective sample size is largest at h = 1.
func TestWeightsByH(t *testing.T) {
	m, s, e, _, _, _ := gaussian(t)
	const n = 1000
	weights := func(h float64, steps int) (sd, ess float64) {
		res, err := Sample(context.Background(), m, e, s, e.Reward, Options{N: n, H: h, Steps: steps, Grid: solver.GridLambda, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		_, variance := moments(res.LogWeight, 1, 0)
		_, ess = Expectation(res.LogWeight, make([]float64, n))
		return math.Sqrt(variance), ess / n
	}
	coarse, _ := weights(1, 75)
	fine, best := weights(1, 300)
	// A fourfold number of steps; measured 0.149 and 0.072.
	if r := coarse / fine; math.Abs(r-2) > 0.3 || best < 0.98 {
		t.Errorf("log weights deviate by %.4f at 75 steps and %.4f at 300; the effective sample size is %.3f", coarse, fine, best)
	}
	for h, want := range map[float64]float64{0.25: 0.58, 0.5: 0.88, 2: 0.84} { // of 2000 samples
		if _, ess := weights(h, 75); math.Abs(ess-want) > 0.08 {
			t.Errorf("h = %g: the effective sample size is %.3f of the samples, want %.2f", h, ess, want)
		}
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
		// Four standard errors, and 0.02 for the discretisation.
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
		const rounding = 1e-14 // of polynomials of numbers up to 16
		if got := q.Value(x); math.Abs(got-want) > rounding {
			t.Errorf("r(%v) = %g, want %g", x, got, want)
		}
		g := make([]float64, 3)
		q.Grad(g, x)
		if math.Abs(g[0]-1.9) > rounding || math.Abs(g[1]+(x[1]-3)) > rounding || math.Abs(g[2]-(1-2*x[2])) > rounding {
			t.Errorf("∇r(%v) = %v", x, g)
		}
	}
	z := q.Scaled(func(int) float64 { return 1 }, func(int) float64 { return 2 })
	if a, b := z.Value([]float64{1, 1, 1})-z.Value([]float64{0, 0, 0}), q.Value([]float64{3, 3, 3})-q.Value([]float64{1, 1, 1}); math.Abs(a-b) > 1e-14 { // roundings of numbers up to ten
		t.Errorf("scaled reward rises by %g, want %g", a, b)
	}
	for text, want := range map[string]string{"": "not a term", "y0": "not a term", "x3": "no x3", "x0^2+x0^2": "two squares", "2*": "not a term", "NaN*x0": "not finite", "x0^3": "not a term", "(x0-a)^2": "not a term"} {
		if _, err := Parse(text, 3); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}

// The posterior's guidance is exact for Gaussian data: the same as in closed form, for known coordinates and for forms of several, and the
// weights of its paths say little.
func TestPosterior(t *testing.T) {
	m, s, e, mean, _, _ := gaussian(t)
	q := &Quadratic{A: e.Reward.A, W: e.Reward.W, C: e.Reward.C}
	forms, err := FormsOf(q)
	if err != nil {
		t.Fatal(err)
	}
	p := &Posterior{Model: m, Schedule: s, Reward: forms, MinLambda: math.Inf(-1)}
	x := []float64{0.3, -1, 1.7, 0.2}
	got, want := make([]float64, 4), make([]float64, 4)
	for _, at := range []float64{0.05, 0.3, 0.9} {
		if err := p.Score(context.Background(), got, x, []float64{at}); err != nil {
			t.Fatal(err)
		}
		if err := e.Score(context.Background(), want, x, []float64{at}); err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if math.Abs(got[i]-want[i]) > 1e-9*(1+math.Abs(want[i])) { // roundings of two small linear solves
				t.Errorf("t = %g: guided score %d is %g, want %g", at, i, got[i], want[i])
			}
		}
	}
	// x0 + x1 = 1 ± 0.2, by Bayes' rule for Gaussians: gain K = V fᵀ/(f V fᵀ + noise²)
	sum := &Forms{A: []float64{0, 0}, F: [][]float64{{1, 1}}, C: []float64{1}, W: []float64{25}}
	p.Reward = sum
	const n = 2000
	res, err := Sample(context.Background(), m, p, s, sum, Options{N: n, H: 1, Steps: 60, Grid: solver.GridLambda, Sampler: solver.Exponential, Seed: 4})
	if err != nil {
		t.Fatal(err)
	}
	v, mu := []float64{0.8, 0.3}, []float64{0.5, -1}
	for j := range 2 {
		gain := v[j] / (1.1 + 0.04)
		want, variance := mu[j]+gain*(1+0.5), v[j]-gain*v[j]
		got, spread := moments(res.X, 2, j)
		// noise of n samples, and order 1 in 60 steps
		if math.Abs(got-want) > 4*math.Sqrt(variance/n)+0.05 || math.Abs(spread/variance-1) > 4*math.Sqrt(2.0/n)+0.15 {
			t.Errorf("coordinate %d: mean %.4f, variance %.4f, want %.4f, %.4f", j, got, spread, want, variance)
		}
	}
	if _, ess := Expectation(res.LogWeight, res.LogRatio); ess < 0.5*n { // the exact guide leaves the error of 60 steps alone in the weights
		t.Errorf("effective sample size %.0f of %d", ess, n)
	}
	scaled := sum.Scaled(func(i int) float64 { return mean[i] }, func(int) float64 { return 2 })
	at := []float64{mean[0] + 2*0.3, mean[1] - 2*0.7}
	if a, b := scaled.Value([]float64{0.3, -0.7}), sum.Value(at); math.Abs(a-b) > 1e-12 { // a few roundings
		t.Errorf("scaled reward %g, want %g", a, b)
	}
	if _, err := FormsOf(&Quadratic{A: []float64{0}, W: []float64{-1}, C: []float64{0}}); err == nil || !strings.Contains(err.Error(), "has a plus") {
		t.Errorf("a square with a plus: error %v", err)
	}
}

// Under a schedule of matrices guided samples have the moments of the tilted density, and equal weights in the limit of small steps.
func TestGuidedBlocks(t *testing.T) {
	s, err := solver.NewSchedule("cld", nil)
	if err != nil {
		t.Fatal(err)
	}
	mu, va := []float64{0.5, -1}, []float64{0.8, 0.3}
	m, err := exact.NewGaussian(s, mu, va, 0)
	if err != nil {
		t.Fatal(err)
	}
	q := &Quadratic{A: []float64{0, 1.5}, W: []float64{2, 0}, C: []float64{1, 0}}
	e := &Exact{Model: m, Schedule: s, Mean: mu, Var: va, Reward: q}
	const n = 1000
	res, err := Sample(context.Background(), m, e, s, q, Options{N: n, H: 1, Steps: 100, Grid: solver.GridLambda, Sampler: solver.Exponential, Seed: 6})
	if err != nil {
		t.Fatal(err)
	}
	for j := range 2 {
		v := 1 / (1/va[j] + q.W[j])
		mean := v * (mu[j]/va[j] + q.A[j] + q.W[j]*q.C[j])
		f := make([]float64, n)
		for i := range f {
			f[i] = res.X[2*i+j]
		}
		w, ess := Expectation(res.LogWeight, f)
		// order 1 in 100 steps
		if math.Abs(w.Value-mean) > 4*w.StdErr+0.06 || ess < 0.3*n {
			t.Errorf("coordinate %d: mean %.4f ± %.4f with ESS %.0f, want %.4f", j, w.Value, w.StdErr, ess, mean)
		}
	}
	if _, err := Sample(context.Background(), m, e, s, q, Options{N: 1, H: 1}); err == nil || !strings.Contains(err.Error(), "sampler exp") {
		t.Errorf("em: error %v", err)
	}
}
