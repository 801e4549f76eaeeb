package main

import (
	"math"
	"slices"
	"testing"

	"hbar/solver"
)

// Constants of --h replace those of the size, profiles come beside them.
func TestStrengths(t *testing.T) {
	hs, err := solver.ParseStrengths("0.5;0;0.1@-4,1@3")
	if err != nil {
		t.Fatal(err)
	}
	s := sizes["tiny"]
	if err := s.take(hs); err != nil || !slices.Equal(s.w2h, []float64{0, 0.5}) || !slices.Equal(s.h, []float64{0.5}) || len(s.profiles) != 1 || s.profiles[0] != hs[2] {
		t.Errorf("%+v, %v", s, err)
	}
	s = sizes["tiny"]
	if err := s.take(hs[2:]); err != nil || !slices.Equal(s.h, sizes["tiny"].h) || len(s.profiles) != 1 || len(sizes["tiny"].profiles) != 0 {
		t.Errorf("profiles alone: %+v, %v", s, err)
	}
	if err := s.take([]solver.Strength{hs[0], hs[0]}); err == nil {
		t.Error("a strength that is there twice")
	}
}

func TestMean(t *testing.T) {
	m, se, failed := mean([]float64{1, 2, 3, math.NaN(), math.Inf(1)})
	if m != 2 || math.Abs(se-1/math.Sqrt(3)) > 1e-15 /* a rounding */ || failed != 2 {
		t.Errorf("mean %g ± %g, %d failed; want 2 ± %g, 2 failed", m, se, failed, 1/math.Sqrt(3))
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		v, se float64
		want  string
	}{
		{1.39123, 0.0512, "1.391 ± 0.051"},
		{-0.44, 0.38, "−0.44 ± 0.38"},
		{-19.654, 17.46, "−20 ± 17"},
		{-124612, 124533, "−1.2e+05 ± 1.2e+05"},
		{0.25, math.NaN(), "0.25"},
		{math.NaN(), 1, "–"},
	} {
		if got := number(c.v, c.se); got != c.want {
			t.Errorf("number(%g, %g) = %q; want %q", c.v, c.se, got, c.want)
		}
	}
}

// The quantiles of N(0, sd²) are at distance 0 from it, and twice the deviation at distance about sd.
func TestQuantileDistance(t *testing.T) {
	if d := quantileDistance(quantiles(1000, 1.5), 1.5); d > 1e-12 {
		t.Errorf("quantiles at distance %g from their own distribution", d)
	}
	if d := quantileDistance(quantiles(100000, 2), 1); math.Abs(d-1) > 1e-3 { // the tails beyond the last quantile
		t.Errorf("N(0, 4) at distance %g from N(0, 1); want 1", d)
	}
}
