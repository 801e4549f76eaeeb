package dynamics

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
)

// decaying is a decay from 5 to 0 by a rate of 0.2, seen with little noise at steps of 0.1. Its mean is not 0.
func decaying() *Data {
	rng := rand.New(rand.NewPCG(41, 1))
	r := Record{}
	for i := range 80 {
		t := 0.1 * float64(i)
		r.Times, r.X = append(r.Times, t), append(r.X, 5*math.Exp(-0.2*t)+0.001*rng.NormFloat64())
	}
	return &Data{P: 1, Records: []Record{r}}
}

// Without an intercept the fixed point is 0, and not the mean of the data: of a decay to 0 the rate is found.
func TestFixedPointZero(t *testing.T) {
	data := decaying()
	for _, delays := range []int{1, 2} {
		e := mustFit(t, data, LiftOptions{Delays: delays}, FitOptions{NoIntercept: true, NoBias: true})
		m, err := e.StateSpace()
		if err != nil {
			t.Fatal(err)
		}
		// The noise changes a decay of 0.8 by 0.001 or less.
		if got := e.Modes[0].Lambda; math.Abs(real(got)+0.2) > 0.002 || m.Offset[0] != 0 || m.Chain.B[0] != 0 {
			t.Errorf("%d delays: λ = %g, a fixed point of C z + %g where z goes to F z + %g; want -0.2, 0 and 0", delays, got, m.Offset[0], m.Chain.B[0])
		}
	}
	l, err := NewLift(data, LiftOptions{Degree: 2})
	if err != nil {
		t.Fatal(err)
	}
	e, err := Fit(data, l, FitOptions{NoIntercept: true, OmitBranch: true})
	if err != nil {
		t.Fatal(err)
	}
	next, zero := make([]float64, 1), make([]float64, e.Features)
	e.Lift.standardise(zero, []float64{0})
	e.Lift.finish(zero)
	if e.Lifted().predict(next, zero); next[0] != 0 || e.Lift.Mean[0] != 0 || l.Mean[0] == 0 {
		t.Errorf("polynomials: after 0 comes %g, of the mean %g", next[0], e.Lift.Mean[0])
	}
	if l, err = NewLift(data, LiftOptions{Fourier: 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := Fit(data, l, FitOptions{NoIntercept: true}); err == nil || !contains(err.Error(), "does not keep the fixed point at 0") {
		t.Errorf("Fourier features: error %v", err)
	}
	f, err := FitLikelihood(context.Background(), data, LikelihoodOptions{Order: 1, NoOffset: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Modes[0].Lambda; math.Abs(real(got)+0.2) > 0.002 || f.Model.Offset[0] != 0 {
		t.Errorf("likelihood: λ = %g, offset %g; want -0.2 and 0", got, f.Model.Offset[0])
	}
}
