package solver

import (
	"math"
	"testing"
)

// posterior is the mean of x₀ given x at time t of Gaussian data: (α variance x + σ² mean)/v_t.
func (g gauss) posterior(s Schedule, t, x float64) float64 {
	return (s.Alpha(t)*g.variance*x + s.Sigma2(t)*g.mean) / g.vt(s, t)
}

// The denoising step replaces each sample by the posterior mean of the data given it, whatever the sampler; states are recorded
// before it.
func TestDenoise(t *testing.T) {
	const tol = 1e-14 // some roundings of numbers of size 1
	g := gauss{mean: 0.7, variance: 0.3}
	for _, name := range ScheduleNames() {
		s, err := NewSchedule(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, sampler := range []Sampler{EulerMaruyama, Exponential2, Heun} {
			o := Options{N: 7, Seed: 3, Record: []float64{s.Tmin()}, TableOptions: TableOptions{Sampler: sampler, Grid: GridLambda, Steps: 20, H: 0.5}}
			m := gaussModel{g, s, 2}
			plain, _, r := collect(t, m, s, o)
			o.Denoise = true
			x, states, rd := collect(t, m, s, o)
			if rd.Evaluations != r.Evaluations+1 {
				t.Errorf("%s, %s: %d evaluations with the denoising step, %d without", name, sampler, rd.Evaluations, r.Evaluations)
			}
			for i := range x {
				want := g.posterior(s, s.Tmin(), plain[i])
				if states[0][i] != plain[i] || !(math.Abs(x[i]-want) <= tol*(1+math.Abs(want))) {
					t.Errorf("%s, %s: sample %v, state %v denoised to %v, want %v", name, sampler, plain[i], states[0][i], x[i], want)
				}
			}
		}
	}
}

// The row says the same for every prediction type, of a network in terms of its own input.
func TestDenoisePredictions(t *testing.T) {
	const tol = 1e-13 // rounding, times Q and 1/Q, of which one is large at Tmin
	g := gauss{mean: -0.4, variance: 1.7}
	for _, name := range ScheduleNames() {
		s, err := NewSchedule(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range PredictionNames() {
			p, err := ParsePrediction(target)
			if err != nil {
				t.Fatal(err)
			}
			table, err := NewTable(s, p, TableOptions{Steps: 10, Denoise: true})
			if err != nil {
				t.Fatal(err)
			}
			r := table.Rows[len(table.Rows)-1]
			c, b := g.network(s, p, s.Tmin())
			for _, x := range []float64{-1, 0, 2} {
				got, want := (r.State+r.Net*c)*x+r.Net*b, g.posterior(s, s.Tmin(), x)
				if !(math.Abs(got-want) <= tol*(1+math.Abs(want))) || r.Noise != 0 {
					t.Errorf("%s, %s: x = %v is denoised to %v, want %v", name, target, x, got, want)
				}
			}
		}
	}
}
