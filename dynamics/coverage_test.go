package dynamics

import (
	"context"
	"math"
	"os"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// The studies of coverage: how often a 95 % interval holds the truth. `make calibrate` runs all trials; go test a few, which
// find what is grossly wrong.
var calibrating = os.Getenv("HBAR_CALIBRATE") != ""

// trials is their number, and how far from 95 % coverage may be: three standard errors, and what a study shows.
func trials(few int) int {
	if calibrating {
		return 1000
	}
	return few
}

// pairSystem decays with time tau at frequency omega, driven by noise.
func pairSystem(tau, omega float64) *System {
	r := 0.0
	if !math.IsInf(tau, 0) {
		r = -1 / tau
	}
	return &System{A: mat.NewDense(2, 2, []float64{r, -omega, omega, r}), Q: identity(2)}
}

func TestCalibrateSpectrum(t *testing.T) {
	for _, c := range []struct {
		name         string
		s            *System
		lambda       complex128
		span, dt     float64
		lo, hi       float64 // coverage allowed in the full study
		class, wrong Class
	}{
		{"τ 5 in T 50", pairSystem(5, 1), -0.2 + 1i, 50, 0.1, 0.915, 0.965, Decay, Growth},
		{"τ 5 in T 200", pairSystem(5, 1), -0.2 + 1i, 200, 0.1, 0.93, 0.965, Decay, Growth},
		{"τ 20 in T 200", pairSystem(20, 1), -0.05 + 1i, 200, 0.1, 0.93, 0.965, Decay, Growth},
		{"τ 20 in T 50", pairSystem(20, 1), -0.05 + 1i, 50, 0.1, 0.88, 0.965, Decay, Growth},
		{"neutral in T 50", pairSystem(math.Inf(1), 1), 1i, 50, 0.1, 0.9, 0.99, Neutral, Growth},
		{"growth in T 50", pairSystem(-20, 1), 0.05 + 1i, 50, 0.1, 0.9, 0.965, Growth, Decay},
	} {
		n := trials(40)
		re, im, bias, raw, square := 0, 0, 0.0, 0.0, 0.0
		classes := map[Class]int{}
		for k := range n {
			data := sequence(t, c.s, c.dt, int(c.span/c.dt), uint64(k))
			e := mustFit(t, data, LiftOptions{}, FitOptions{})
			m := nearest(e.Modes, c.lambda)
			if lo, hi := m.ReCI(); lo <= real(c.lambda) && real(c.lambda) <= hi {
				re++
			}
			if lo, hi := m.ImCI(); lo <= imag(c.lambda) && imag(c.lambda) <= hi {
				im++
			}
			classes[m.Class]++
			bias += real(m.Lambda-c.lambda) / float64(n)
			square += real(m.Lambda-c.lambda) * real(m.Lambda-c.lambda) / float64(n)
			e = mustFit(t, data, LiftOptions{}, FitOptions{NoBias: true})
			raw += real(nearest(e.Modes, c.lambda).Lambda-c.lambda) / float64(n)
		}
		coverage, se := float64(re)/float64(n), math.Sqrt(0.05*0.95/float64(n))
		coverageIm := float64(im) / float64(n)
		t.Logf("%s: coverage of Re λ %.1f %%, of Im λ %.1f %% (± %.1f), bias %.4f, uncorrected %.4f, classes %v", c.name, 100*coverage, 100*coverageIm, 100*se, bias, raw, classes)
		if slack := 3 * se; coverage < c.lo-slack || !calibrating && coverageIm < 0.93-slack || calibrating && (coverage < c.lo || coverage > c.hi || coverageIm < 0.92) { // three standard errors of a proportion
			t.Errorf("%s: coverage of Re λ %.3f, of Im λ %.3f; want %.3f to %.3f", c.name, coverage, coverageIm, c.lo, c.hi)
		}
		// The correction takes six sevenths of the bias or more, half of it for a neutral mode. It leaves growth as it is.
		left := 1.0 / 7
		switch c.class {
		case Neutral:
			left = 1.0 / 2
		case Growth:
			left = 1
		}
		if spread := math.Sqrt((square - bias*bias) / float64(n)); math.Abs(bias) > left*math.Abs(raw)+3*spread { // three standard errors
			t.Errorf("%s: bias %.4f ± %.4f, of %.4f without the correction", c.name, bias, spread, raw)
		}
		if classes[c.wrong]*20 > n {
			t.Errorf("%s: %d of %d are %s", c.name, classes[c.wrong], n, c.wrong)
		}
	}
}

// Polynomials of an Ornstein–Uhlenbeck process have modes at whole multiples of λ (Hermite's polynomials), and noise whose
// size depends on the state.
func TestCalibrateNonlinear(t *testing.T) {
	s := &System{A: mat.NewDense(1, 1, []float64{-1}), Q: mat.NewDense(1, 1, []float64{2})}
	n := trials(20)
	var hit, same [3]int
	for k := range n {
		e := mustFit(t, sequence(t, s, 0.2, 1000, uint64(k)), LiftOptions{Degree: 3}, FitOptions{OmitBranch: true})
		for i := range hit {
			want := -float64(i + 1)
			m := nearest(e.Modes, complex(want, 0))
			if lo, hi := m.ReCI(); lo <= want && want <= hi {
				hit[i]++
			}
			if sd := e.homoscedastic(t, m.Mu); math.Abs(real(m.Lambda)-want) <= z95*sd {
				same[i]++
			}
		}
	}
	for i, h := range hit {
		c := float64(h) / float64(n)
		alike := float64(same[i]) / float64(n)
		t.Logf("mode %d: coverage of Re λ %.1f %%; %.1f %% if noise were the same everywhere", i+1, 100*c, 100*alike)
		if i > 0 && (alike > c || calibrating && alike > c-0.15) {
			t.Errorf("mode %d: intervals of noise that is the same everywhere hold the truth in %.3f, those of each snapshot's influence in %.3f", i+1, alike, c)
		}
		// The third has the fourth powers of a normal in its error, whose variance a record this short does not show.
		want := []float64{0.92, 0.92, 0.78}[i]
		if !calibrating {
			want -= 0.2
		}
		if c < want {
			t.Errorf("mode %d: coverage %.3f of %d trials, want %.2f", i+1, c, n, want)
		}
	}
}

// homoscedastic is the standard error of Re λ of a real mode if all residuals had one covariance: (wᵀ P w)(vᵀ v)/(n μ² Δ²).
func (e *EDMD) homoscedastic(t *testing.T, mu complex128) float64 {
	t.Helper()
	m, err := modesOf(e.F)
	if err != nil {
		t.Fatal(err)
	}
	for j := range m.mu {
		if m.mu[j] != mu {
			continue
		}
		v, w := mat.NewVecDense(e.Rank, nil), mat.NewVecDense(e.Rank, nil)
		for i := range e.Rank {
			v.SetVec(i, real(m.right.At(i, j)))
			w.SetVec(i, real(m.left.At(i, j)))
		}
		return math.Sqrt(mat.Inner(w, e.Residual, w)*mat.Dot(v, v)/float64(e.Pairs)) / (real(mu) * e.Dt)
	}
	t.Fatalf("no mode has μ = %v", mu)
	return 0
}

// The decay of an oscillator seen with noise, by maximum likelihood with the observed information; least squares on delays,
// which know nothing of the noise, are far off.
func TestCalibrateLikelihood(t *testing.T) {
	m := oscillator(0.2, 2, 1, 0.3)
	want := complex(-0.2, math.Sqrt(4-0.04))
	times := make([]float64, 400)
	for i := range times {
		times[i] = 0.2 * float64(i)
	}
	n := min(trials(8), 300)
	re, im, plain := 0, 0, 0.0
	for k := range n {
		r, err := m.Generate(times, uint64(k), 0)
		if err != nil {
			t.Fatal(err)
		}
		data := &Data{P: 1, Records: []Record{*r}}
		f, err := FitLikelihood(context.Background(), data, LikelihoodOptions{Order: 2})
		if err != nil {
			t.Fatal(err)
		}
		mode := nearest(f.Modes, want)
		if lo, hi := mode.ReCI(); lo <= real(want) && real(want) <= hi {
			re++
		}
		if lo, hi := mode.ImCI(); lo <= imag(want) && imag(want) <= hi {
			im++
		}
		e := mustFit(t, data, LiftOptions{Delays: 2}, FitOptions{OmitBranch: true})
		plain += real(nearest(e.Modes, want).Lambda) / float64(n)
	}
	a, b := float64(re)/float64(n), float64(im)/float64(n)
	t.Logf("%d trials: coverage of Re λ %.1f %%, of Im λ %.1f %%; least squares on two delays find Re λ = %.2f for −0.2", n, 100*a, 100*b, plain)
	lo := 0.91
	if !calibrating {
		lo = 0.7
	}
	if a < lo || b < lo || plain > -0.5 {
		t.Errorf("coverage %.3f and %.3f, least squares %.3f", a, b, plain)
	}
}
