package exact

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"hbar/kernels"
	"hbar/kernels/simd"
	"hbar/solver"
)

func randoms(r *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	return x
}

func threeComponents(t *testing.T, s solver.Schedule, d int, eps float64) *Mixture {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(d), 5))
	m, err := NewMixture(s, []float64{1, 2, 0.5}, [][]float64{randoms(r, d), randoms(r, d), randoms(r, d)}, [][]float64{{0.3}, {0.5}, {0.2}}, eps)
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.vars {
		m.vars[i] *= 1 + 0.1*float64(i%3) // not isotropic
	}
	return m
}

var ctx = context.Background()

// The score is the gradient of log p, by central differences (their error: d² = 1e-10 of the third derivative; measured 8e-11).
func TestScoreIsTheGradient(t *testing.T) {
	for _, name := range solver.ScheduleNames() {
		s := schedule(t, name)
		m := threeComponents(t, s, 3, 0.2)
		r := rand.New(rand.NewPCG(7, 8))
		for _, tt := range []float64{s.Tmin(), s.TimeOfLambda(0), s.TimeOfLambda(-2)} {
			x, score, lp := randoms(r, 3), make([]float64, 3), make([]float64, 2)
			if err := m.Score(ctx, score, x, []float64{tt}); err != nil {
				t.Fatal(err)
			}
			const d = 1e-5
			for i := range x {
				pm := append(append([]float64(nil), x...), x...)
				pm[i] += d
				pm[3+i] -= d
				if err := m.LogP(ctx, lp, pm, []float64{tt}); err != nil {
					t.Fatal(err)
				}
				close(t, name+" score", score[i], 1.2*(lp[0]-lp[1])/(2*d), 1e-9) // central differences: d² = 1e-10 and rounding over d
			}
		}
	}
}

// Jets evaluated as polynomials reproduce the score nearby; the error falls with the order.
func TestJetsExtrapolate(t *testing.T) {
	s := schedule(t, "simple")
	for d := 1; d <= 3; d++ {
		m := threeComponents(t, s, d, 0.1)
		r := rand.New(rand.NewPCG(9, uint64(d)))
		x, dir := randoms(r, d), randoms(r, d)
		for order := range 6 {
			n := simd.NJet(d, order)
			jets := make([]float64, d*n)
			if err := m.ScoreJets(ctx, jets, x, []float64{0.3}, order); err != nil {
				t.Fatal(err)
			}
			err := func(h float64) (worst float64) {
				y, want := append([]float64(nil), x...), make([]float64, d)
				for i := range y {
					y[i] += h * dir[i]
				}
				if err := m.Score(ctx, want, y, []float64{0.3}); err != nil {
					t.Fatal(err)
				}
				for i := range d {
					sum := 0.0
					for a, alpha := range simd.JetIndex(d, order) {
						term := jets[i*n+a]
						for j, p := range alpha {
							term *= math.Pow(h*dir[j], float64(p))
						}
						sum += term
					}
					worst = max(worst, math.Abs(sum-want[i]))
				}
				return worst
			}
			const h = 0.04
			if got := math.Log2(err(h) / err(h/2)); !(math.Abs(got-float64(order+1)) < 0.6) { // h = 0.04 is not small: terms of the next order are a part of that of this one
				t.Errorf("D=%d order %d: the remainder has order %.2f", d, order, got)
			}
		}
	}
}

// The other interfaces agree with the jets, to rounding.
func TestDerivativesAgreeWithJets(t *testing.T) {
	const d, tt = 2, 0.2
	m := threeComponents(t, schedule(t, "vp"), d, -0.1)
	r := rand.New(rand.NewPCG(11, 12))
	const n = 5
	x, v, w := randoms(r, n*d), randoms(r, n*d), randoms(r, n*d)
	a, b, c, e := randoms(r, n*d), randoms(r, n*d), randoms(r, n*d), randoms(r, n*d)
	size := simd.NJet(d, 3)
	jets := make([]float64, n*d*size)
	buf := func() []float64 { return make([]float64, n*d) }
	s, div, g, sv, sw, svw, jv, s1, s2, vj := buf(), make([]float64, n), buf(), buf(), buf(), buf(), buf(), buf(), buf(), buf()
	for _, err := range []error{
		m.ScoreJets(ctx, jets, x, []float64{tt}, 3),
		m.ScoreDiv(ctx, s, div, x, []float64{tt}),
		m.ScoreAdjoint(ctx, &kernels.Adjoint[float64]{X: x, V: v, W: w, CovS: a, CovSV: b, CovSW: c, CovSVW: e, Grad: g, S: s1, SV: sv, SW: sw, SVW: svw}, []float64{tt}),
		m.ScoreJVP(ctx, s2, jv, x, w, 1, []float64{tt}),
		m.ScoreVJP(ctx, nil, vj, x, a, []float64{tt}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// deriv is the mixed derivative of s_k along dirs at row i, from the jet.
	index := simd.JetIndex(d, 3)
	var deriv func(i, k int, alpha []int, dirs ...[]float64) float64
	deriv = func(i, k int, alpha []int, dirs ...[]float64) float64 {
		if len(dirs) == 0 {
			for pos, beta := range index {
				if beta[0] == alpha[0] && beta[1] == alpha[1] {
					return jets[(i*d+k)*size+pos] * math.Gamma(float64(alpha[0]+1)) * math.Gamma(float64(alpha[1]+1))
				}
			}
		}
		sum := 0.0
		for j := range d {
			next := append([]int(nil), alpha...)
			next[j]++
			sum += dirs[0][j] * deriv(i, k, next, dirs[1:]...)
		}
		return sum
	}
	zero := []int{0, 0}
	for i := range n {
		row := func(m []float64) []float64 { return m[i*d : (i+1)*d] }
		trace := 0.0
		for k := range d {
			unit := []float64{0, 0}
			unit[k] = 1
			trace += deriv(i, k, zero, unit)
			want := 0.0
			for l := range d {
				want += row(a)[l]*deriv(i, l, zero, unit) + row(b)[l]*deriv(i, l, zero, row(v), unit) +
					row(c)[l]*deriv(i, l, zero, row(w), unit) + row(e)[l]*deriv(i, l, zero, row(v), row(w), unit)
			}
			const tol = 1e-13 // rounding of sums over the components
			close(t, "g", row(g)[k], want, tol)
			close(t, "s", row(s)[k], jets[(i*d+k)*size], tol)
			close(t, "s of VJP2", row(s1)[k], row(s)[k], tol)
			close(t, "s of JVP", row(s2)[k], row(s)[k], tol)
			close(t, "sv", row(sv)[k], deriv(i, k, zero, row(v)), tol)
			close(t, "sw", row(sw)[k], deriv(i, k, zero, row(w)), tol)
			close(t, "svw", row(svw)[k], deriv(i, k, zero, row(v), row(w)), tol)
			close(t, "jv", row(jv)[k], row(sw)[k], tol)
			along := 0.0
			for l := range d {
				along += row(a)[l] * deriv(i, l, zero, unit)
			}
			close(t, "vj", row(vj)[k], along, tol)
		}
		close(t, "div", div[i], trace, 1e-13) // the same sum in another order
	}
}

// ∫ p = 1, and the 25 Gaussians are where they should be.
func TestTwentyFiveGaussians(t *testing.T) {
	s := schedule(t, "cosine")
	m := TwentyFiveGaussians(s)
	tt := 0.1
	sum, lp := 0.0, make([]float64, 1)
	const h = 0.05 // a third of the components' σ: the trapezoid rule is exact to rounding
	for x := -4.0; x <= 4; x += h {
		for y := -4.0; y <= 4; y += h {
			if err := m.LogP(ctx, lp, []float64{x, y}, []float64{tt}); err != nil {
				t.Fatal(err)
			}
			sum += math.Exp(lp[0]) * h * h
		}
	}
	close(t, "mass", sum, 1, 1e-12) // the trapezoidal rule converges faster than any power; the tails beyond the grid are less
	at := make([]float64, 2)
	if err := m.LogP(ctx, at, []float64{4 / 2.828, -2 / 2.828, 3 / 2.828, 3 / 2.828}, []float64{s.Tmin()}); err != nil {
		t.Fatal(err)
	}
	if !(at[0] > 0 && at[1] < -100) {
		t.Errorf("log p = %g at a component, %g between four", at[0], at[1])
	}
}

func TestMixtureRefusesNonsense(t *testing.T) {
	s := schedule(t, "edm")
	one := [][]float64{{0, 0}}
	for i, f := range []func() (*Mixture, error){
		func() (*Mixture, error) { return NewMixture(nil, nil, one, one, 0) },
		func() (*Mixture, error) { return NewMixture(s, nil, nil, nil, 0) },
		func() (*Mixture, error) { return NewMixture(s, []float64{-1}, one, one, 0) },
		func() (*Mixture, error) { return NewMixture(s, nil, one, [][]float64{{-1}}, 0) },
		func() (*Mixture, error) { return NewMixture(s, nil, one, [][]float64{{1, 2, 3}}, 0) },
	} {
		if m, err := f(); err == nil {
			t.Errorf("case %d accepted: %+v", i, m)
		}
	}
	m, err := NewMixture(s, nil, one, one, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Score(ctx, make([]float64, 3), make([]float64, 3), []float64{1}); err == nil {
		t.Error("three coordinates of a 2-D model accepted")
	}
}
