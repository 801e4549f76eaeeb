package guidance

import (
	"context"
	"math"
	"testing"

	"hbar/solver"
	"hbar/solver/exact"
)

// tiltedMixture is a mixture in two dimensions with a reward that is quadratic in x0, and the same tilted by it: again a mixture, whose
// score is therefore the exact guide. mean is E[x1] of the tilted one, which the reward moves through the weights alone.
func tiltedMixture(t *testing.T) (m, guided *exact.Mixture, s solver.Schedule, r *Quadratic, mean float64) {
	t.Helper()
	s, err := solver.NewSchedule("vp", nil)
	if err != nil {
		t.Fatal(err)
	}
	weights := []float64{0.5, 0.3, 0.2}
	means := [][]float64{{-1, 0}, {1, 1.5}, {0.2, -1}}
	vars := [][]float64{{0.2, 0.1}, {0.15, 0.2}, {0.1, 0.15}}
	if m, err = exact.NewMixture(s, weights, means, vars, 0); err != nil {
		t.Fatal(err)
	}
	r = &Quadratic{A: []float64{0, 0}, W: []float64{2, 0}, C: []float64{0.8, 0}}
	var w []float64
	var mu, va [][]float64
	sum := 0.0
	for k, v := range vars {
		e := means[k][0] - r.C[0]
		z := weights[k] / math.Sqrt(1+r.W[0]*v[0]) * math.Exp(-0.5*e*e/(1/r.W[0]+v[0]))
		c := 1 / (1/v[0] + r.W[0])
		w, mu, va = append(w, z), append(mu, []float64{c * (means[k][0]/v[0] + r.W[0]*r.C[0]), means[k][1]}), append(va, []float64{c, v[1]})
		sum, mean = sum+z, mean+z*means[k][1]
	}
	if guided, err = exact.NewMixture(s, w, mu, va, 0); err != nil {
		t.Fatal(err)
	}
	return m, guided, s, r, mean / sum
}

// weighed samples, and returns E[x1] as the samples are and weighted, with the effective sample size as a share and the deviation of log weights.
func weighed(t *testing.T, m, guided solver.Model, s solver.Schedule, r Reward, h float64, steps, n int) (raw, weighted Estimate, ess, sd float64) {
	t.Helper()
	res, err := Sample(context.Background(), m, guided, s, r, Options{N: n, H: h, Steps: steps, Grid: solver.GridLambda, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	f := make([]float64, n)
	for i := range f {
		f[i] = res.X[2*i+1]
	}
	raw, _ = Expectation(make([]float64, n), f)
	weighted, ess = Expectation(res.LogWeight, f)
	_, variance := moments(res.LogWeight, 1, 0)
	return raw, weighted, ess / float64(n), math.Sqrt(variance)
}

// Of a mixture the plug-in is biased by many standard errors, and weighted it is right.
func TestMixturePlugIn(t *testing.T) {
	m, _, s, r, mean := tiltedMixture(t)
	p := &PlugIn{Model: m, Schedule: s, Reward: r, MinLambda: -5}
	raw, weighted, ess, _ := weighed(t, m, p, s, r, 1, 300, 2000)
	t.Logf("E[x1] = %.4f: plug-in %.4f ± %.4f raw, %.4f ± %.4f weighted, ESS %.3f", mean, raw.Value, raw.StdErr, weighted.Value, weighted.StdErr, ess)
	if math.Abs(raw.Value-mean) < 5*raw.StdErr {
		t.Errorf("the plug-in has E[x1] = %.4f ± %.4f, the truth is %.4f: this mixture does not show its bias", raw.Value, raw.StdErr, mean)
	}
	// 0.01 for the order of 300 steps
	if math.Abs(weighted.Value-mean) > 4*weighted.StdErr+0.01 {
		t.Errorf("weighted E[x1] = %.4f ± %.4f, want %.4f", weighted.Value, weighted.StdErr, mean)
	}
}

// Exact guidance of a mixture is right as it is. Its weights are most even at h = 1, where they deviate as steps^(−½).
func TestMixtureExact(t *testing.T) {
	m, guided, s, r, mean := tiltedMixture(t)
	shares := map[float64]float64{}
	for _, h := range []float64{0.25, 0.5, 1, 2, 4} {
		raw, weighted, ess, _ := weighed(t, m, guided, s, r, h, 150, 1000)
		t.Logf("h = %g: E[x1] %.4f ± %.4f raw, %.4f ± %.4f weighted, want %.4f; ESS %.3f", h, raw.Value, raw.StdErr, weighted.Value, weighted.StdErr, mean, ess)
		shares[h] = ess
		// 0.03 for the order of 150 steps
		if math.Abs(raw.Value-mean) > 4*raw.StdErr+0.03 || math.Abs(weighted.Value-mean) > 4*weighted.StdErr+0.03 {
			t.Errorf("h = %g: E[x1] %.4f ± %.4f raw, %.4f ± %.4f weighted, want %.4f", h, raw.Value, raw.StdErr, weighted.Value, weighted.StdErr, mean)
		}
	}
	if shares[1] < 0.95 || !(shares[0.25] < shares[0.5] && shares[0.5] < shares[1] && shares[4] < shares[2] && shares[2] < shares[1]) {
		t.Errorf("effective sample sizes by h: %v", shares)
	}
	_, _, _, coarse := weighed(t, m, guided, s, r, 1, 75, 1000)
	_, _, _, fine := weighed(t, m, guided, s, r, 1, 300, 1000)
	if math.Abs(coarse/fine-2) > 0.4 { // a fourfold number of steps
		t.Errorf("log weights deviate by %.4f at 75 steps and %.4f at 300", coarse, fine)
	}
}

// With g² in place of (1+h)/2 g² for the guide's part of the score, the samples are wrong where h is not 1.
func TestWrongFactor(t *testing.T) {
	m, s, e, mean, _, _ := gaussian(t)
	for _, h := range []float64{0.25, 1, 2} {
		wrong := &factored{m, e, 2 / (1 + h)}
		res, err := Sample(context.Background(), m, wrong, s, e.Reward, Options{N: 2000, H: h, Steps: 150, Grid: solver.GridLambda, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		worst := 0.0
		for j := range 2 {
			a, _ := moments(res.X, 2, j)
			worst = math.Max(worst, math.Abs(a-mean[j]))
		}
		t.Logf("h = %g: the mean is off by %.3f", h, worst)
		if (worst > 0.08) != (h != 1) { // noise and the order of 150 steps leave less than 0.05
			t.Errorf("h = %g: the mean is off by %.3f", h, worst)
		}
	}
}

// factored multiplies the guide's part of the score.
type factored struct {
	model, guided solver.Model
	by            float64
}

func (f *factored) Dim() int { return f.model.Dim() }

func (f *factored) Score(ctx context.Context, dst, x, t []float64) error {
	plain := make([]float64, len(x))
	if err := f.model.Score(ctx, plain, x, t); err != nil {
		return err
	}
	if err := f.guided.Score(ctx, dst, x, t); err != nil {
		return err
	}
	for i, p := range plain {
		dst[i] = p + f.by*(dst[i]-p)
	}
	return nil
}

// The moments of exactly guided Gaussian samples, from those of the chain itself, go to the tilted ones with the first order of the step.
func TestExactOrder(t *testing.T) {
	_, s, e, mean, variance, _ := gaussian(t)
	for _, h := range []float64{0.25, 1, 4} {
		worst := map[int]float64{}
		for _, steps := range []int{800, 1600} {
			table, err := solver.NewTable(s, solver.Prediction{}, solver.TableOptions{Grid: solver.GridLambda, Steps: steps, H: h})
			if err != nil {
				t.Fatal(err)
			}
			mu, va := []float64{0, 0}, []float64{s.PriorStd() * s.PriorStd(), s.PriorStd() * s.PriorStd()}
			for _, row := range table.Rows {
				// the score of a Gaussian is a x + b
				b, a := make([]float64, 2), make([]float64, 2)
				if err := e.Score(context.Background(), b, []float64{0, 0}, []float64{row.Tau}); err != nil {
					t.Fatal(err)
				}
				if err := e.Score(context.Background(), a, []float64{1, 1}, []float64{row.Tau}); err != nil {
					t.Fatal(err)
				}
				for j := range 2 {
					f := row.State + row.Net*(a[j]-b[j])
					mu[j], va[j] = f*mu[j]+row.Net*b[j], f*f*va[j]+row.Noise*row.Noise
				}
			}
			// at Tmin the tilted density is of α x₀ + σ ε
			alpha, s2 := s.Alpha(s.Tmin()), s.Sigma2(s.Tmin())
			for j := range 2 {
				worst[steps] = math.Max(worst[steps], math.Max(math.Abs(mu[j]-alpha*mean[j]), math.Abs(va[j]-alpha*alpha*variance[j]-s2)))
			}
		}
		order := math.Log2(worst[800] / worst[1600])
		t.Logf("h = %g: errors %.2g, %.2g, order %.2f", h, worst[800], worst[1600], order)
		// At h = ¼ the two largest errors have opposite signs, and their maximum no order.
		if h >= 1 && math.Abs(order-1) > 0.05 || worst[1600] > 1e-3 {
			t.Errorf("h = %g: errors %.2g and %.2g of 800 and 1600 steps, order %.2f", h, worst[800], worst[1600], order)
		}
	}
}
