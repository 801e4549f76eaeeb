package loglik

import (
	"math"
	"testing"
)

// TestAgreements: the trust radius is the last h up to which first order and path integral agree; a loose bound ends it without a verdict.
func TestAgreements(t *testing.T) {
	const n = 50
	r := &Results{H: []float64{0, 0.1, 0.5, 1}, N: n, D: 2, Expansion: make([]Expansion, n), Path: perStrength(n, []float64{0, 0.1, 0.5, 1})}
	set := func(curve float64, bound float64) {
		for i := range n {
			noise := 0.01 * math.Sin(float64(7*i))
			r.Expansion[i] = Expansion{LogQ0: float64(i), L1: 1 + noise, Status: OK}
			for j, h := range r.H {
				if h > 0 {
					r.Path[i][j] = Value{LogQ: float64(i) + h + curve*h*h + noise - bound, Status: OK, IsBound: bound > 0}
				}
			}
		}
	}
	for _, c := range []struct{ curve, bound, trust float64 }{
		{0, 0, 1},          // linear
		{-1.5, 0, 0.5},     // the second order is the larger from h = 1/1.5 on
		{-30, 0, 0},        // from h = 1/30 on
		{0, 5, math.NaN()}, // a bound 5 nats off says nothing at h = 0.1
		{0, 0.05, 1},       // a tight one does
	} {
		set(c.curve, c.bound)
		all, trust := r.Agreements()
		if len(all) != 3 || trust != c.trust && !(math.IsNaN(trust) && math.IsNaN(c.trust)) {
			t.Errorf("%+v: trust %g, %d comparisons", c, trust, len(all))
		}
		// the noise of the points in the mean; it cancels in the difference but for roundings
		if math.Abs(all[2].Linear.Value+1) > 0.01 || math.Abs(all[2].Difference.Value+c.curve-c.bound) > 1e-9 {
			t.Errorf("%+v: %+v, difference %+v", c, all[2].Linear, all[2].Difference)
		}
	}
	r.Path = nil
	if all, trust := r.Agreements(); all != nil || !math.IsNaN(trust) {
		t.Errorf("without a path integral: %v, %g", all, trust)
	}
}

// The spread tells a mean that one point makes from one of equal points, and the median's interval is that of order statistics: of 20
// values the 6th and the 15th, of 5 none (with 2⁻⁵ all are on one side).
func TestSlopeSpread(t *testing.T) {
	of := func(l1 ...float64) *SlopeSpread {
		r := &Results{}
		for _, v := range l1 {
			r.Expansion = append(r.Expansion, Expansion{L1: v, Status: OK})
		}
		r.Expansion = append(r.Expansion, Expansion{L1: math.NaN(), Status: "failed"})
		return r.Spread()
	}
	equal := make([]float64, 20)
	for i := range equal {
		equal[i] = -float64(i + 1)
	}
	// roundings alone
	if s := of(equal...); !s.Settled || s.MedianLo != 6 || s.MedianHi != 15 || math.Abs(float64(s.Largest)-20./210) > 1e-12 || math.Abs(float64(s.Effective)-210.*210/2870) > 1e-9 {
		t.Errorf("%+v", s)
	}
	equal[7] = 5e4
	if s := of(equal...); s.Settled || s.Largest < 0.99 || s.Effective > 1.1 || s.MedianLo != 5 {
		t.Errorf("with one that is large: %+v", s)
	}
	if s := of(1, 2, 3, 4, 5); s.Settled || !math.IsNaN(float64(s.MedianLo)) {
		t.Errorf("five: %+v", s)
	}
	if s := of(1, 2, 3, 4, 5, 6); s.MedianLo != -6 || s.MedianHi != -1 {
		t.Errorf("six: %+v", s)
	}
	if s := of(); s != nil {
		t.Errorf("none: %+v", s)
	}
	if s := of(make([]float64, 12)...); !s.Settled || s.Largest != 0 {
		t.Errorf("an exact model: %+v", s)
	}
}
