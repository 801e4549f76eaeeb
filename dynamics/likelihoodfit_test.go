package dynamics

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// oscillator is z̈ = −ω₀² z − 2γ ż + noise, seen as z with measurement noise.
func oscillator(gamma, omega0, q, r float64) *StateSpace {
	s := &System{A: mat.NewDense(2, 2, []float64{0, 1, -omega0 * omega0, -2 * gamma}), Q: mat.NewDense(2, 2, []float64{0, 0, 0, q})}
	m := &StateSpace{System: s, C: mat.NewDense(1, 2, []float64{1, 0}), Offset: []float64{3}, R: mat.NewDense(1, 1, []float64{r * r}), M0: []float64{1, 0}, P0: identity(2)}
	if gamma > 0 && q > 0 {
		m.M0 = []float64{0, 0}
		m.P0 = s.Step(50 / gamma).P
	}
	return m
}

// Damped and undamped oscillators with unknown noise at equal and irregular times: the frequency and the decay are within
// four standard errors, the noise is found, and no class is wrong.
func TestFitLikelihood(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 1))
	equal := make([]float64, 500)
	for i := range equal {
		equal[i] = 0.2 * float64(i)
	}
	for name, c := range map[string]struct {
		m     *StateSpace
		times []float64
		order int
		re    float64
		im    float64
		class Class
	}{
		"damped, equal, order unknown": {oscillator(0.2, 2, 1, 0.3), equal, 0, -0.2, math.Sqrt(4 - 0.04), Decay},
		"damped, irregular":            {oscillator(0.2, 2, 1, 0.3), irregular(rng, 300), 2, -0.2, math.Sqrt(4 - 0.04), Decay},
		"undamped, equal":              {oscillator(0, 2, 0, 0.3), equal, 2, 0, 2, Neutral},
		"undamped, irregular":          {oscillator(0, 2, 0, 0.3), irregular(rng, 300), 2, 0, 2, Neutral},
	} {
		r, err := c.m.Generate(c.times, 5, 0)
		if err != nil {
			t.Fatal(err)
		}
		data := &Data{P: 1, Records: []Record{*r}}
		f, err := FitLikelihood(context.Background(), data, LikelihoodOptions{Order: c.order})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		truth, err := c.m.LogLik(data)
		if err != nil {
			t.Fatal(err)
		}
		m := nearest(f.Modes, complex(c.re, c.im))
		sdRe, sdIm := math.Sqrt(m.Cov[0][0]), math.Sqrt(m.Cov[1][1])
		t.Logf("%s: order %d, log p %.3f (truth %.3f), λ %.4f ± %.4f %+.4fi ± %.4f, %s, noise %.3f, notes %v", name, f.Order, f.LogLik, truth.LogLik, real(m.Lambda), sdRe, imag(m.Lambda), sdIm, m.Class, f.Noise[0], f.Notes)
		if !(math.Abs(real(m.Lambda)-c.re) < 4*sdRe) || !(math.Abs(imag(m.Lambda)-c.im) < 4*sdIm) || sdRe > 0.1 || f.Order != 2 || math.Abs(f.Noise[0]-0.3) > 0.06 {
			t.Errorf("%s: order %d, λ = %v ± %.2g, %.2g; want %g%+gi; noise %g", name, f.Order, m.Lambda, sdRe, sdIm, c.re, c.im, f.Noise[0])
		}
		if m.Class != c.class && m.Class != Undetermined {
			t.Errorf("%s: the mode is called %s, and it is %s", name, m.Class, c.class)
		}
		// The model that is written explains the data as the fit says, but for the law of the first state.
		if l, err := f.Model.LogLik(data); err != nil || !(math.Abs(l.LogLik-f.LogLik) < 15) {
			t.Errorf("%s: log p of the model %v (%v), of the fit %g", name, l, err, f.LogLik)
		}
	}
}

// The order of a process is found: one for Ornstein and Uhlenbeck's seen with noise, whose innovations are white.
func TestOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(22, 1))
	m := &StateSpace{System: &System{A: mat.NewDense(1, 1, []float64{-0.5}), Q: mat.NewDense(1, 1, []float64{1})}, C: mat.NewDense(1, 1, []float64{2}),
		R: mat.NewDense(1, 1, []float64{0.1}), M0: []float64{0}, P0: mat.NewDense(1, 1, []float64{1})}
	first, err := m.Generate(irregular(rng, 400), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	second, err := m.Generate(irregular(rng, 200), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	f, err := FitLikelihood(context.Background(), &Data{P: 1, Records: []Record{*first, *second}}, LikelihoodOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mode := f.Modes[0]
	if f.Order != 1 || mode.Class != Decay || math.Abs(real(mode.Lambda)+0.5) > 4*math.Sqrt(mode.Cov[0][0]) || f.white() < 1e-3 { // four standard errors; white residuals in all but one of a thousand seeds
		t.Errorf("order %d, λ = %v ± %.2g, innovations white with P = %g", f.Order, mode.Lambda, math.Sqrt(mode.Cov[0][0]), f.white())
	}
}

// One output that is the sum of two oscillators needs four states, though three are hardly better than two: the order goes on to four, and
// both pairs are found. Fewer states than the process has are said to explain too little.
func TestSumOfOscillators(t *testing.T) {
	a := mat.NewDense(4, 4, []float64{0, 1, 0, 0, -4, -0.2, 0, 0, 0, 0, 0, 1, 0, 0, -25, -0.6})
	q := mat.NewDense(4, 4, nil)
	q.Set(1, 1, 1)
	q.Set(3, 3, 3)
	s := &System{A: a, Q: q}
	m := &StateSpace{System: s, C: mat.NewDense(1, 4, []float64{1, 0, 1, 0}), R: mat.NewDense(1, 1, []float64{0.01}), M0: make([]float64, 4), P0: s.Step(400).P}
	times := make([]float64, 1200)
	for i := range times {
		times[i] = 0.1 * float64(i)
	}
	r, err := m.Generate(times, 3, 0)
	if err != nil {
		t.Fatal(err)
	}
	data := &Data{P: 1, Records: []Record{*r}}
	f, err := FitLikelihood(context.Background(), data, LikelihoodOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if f.Order != 4 || len(f.Notes) > 0 {
		t.Errorf("order %d, notes %v", f.Order, f.Notes)
	}
	for _, want := range []complex128{complex(-0.1, math.Sqrt(4-0.01)), complex(-0.3, math.Sqrt(25-0.09))} {
		l := nearest(f.Modes, want)
		re, im := math.Sqrt(l.Cov[0][0]), math.Sqrt(l.Cov[1][1])
		if !(math.Abs(real(l.Lambda-want)) < 4*re) || !(math.Abs(imag(l.Lambda-want)) < 4*im) || re > 0.1 { // four standard errors
			t.Errorf("λ = %v ± %.2g, %.2g; want %v", l.Lambda, re, im, want)
		}
	}
	few, err := FitLikelihood(context.Background(), data, LikelihoodOptions{Order: 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(few.Notes) == 0 || !contains(few.Notes[0], "innovations are correlated") {
		t.Errorf("two states for two oscillators: notes %v", few.Notes)
	}
}

// Outputs that repeat others are refused by name: they make the system singular.
func TestRepeatedOutputs(t *testing.T) {
	rng := rand.New(rand.NewPCG(23, 1))
	r := Record{}
	for i := range 50 {
		x, y := rng.NormFloat64(), rng.NormFloat64()
		r.Times, r.X = append(r.Times, float64(i)), append(r.X, x, y, 3-2*x, x+y)
	}
	for want, column := range map[string]int{"x[2] repeats x[0], up to": 2, "x[2] repeats a combination of the outputs before it": 3} {
		data := &Data{P: 3, Records: []Record{{Times: r.Times}}}
		for i := range r.Len() {
			row := r.Row(i, 4)
			data.Records[0].X = append(data.Records[0].X, row[0], row[1], row[column])
		}
		if _, err := FitLikelihood(context.Background(), data, LikelihoodOptions{}); err == nil || !contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
