package data

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func TestFit(t *testing.T) {
	// Coordinate 0: mean 2, deviation 1; coordinate 1: mean 20, deviation 10; coordinate 2 constant.
	x := []float64{1, 10, 5, 3, 30, 5, 1, 30, 5, 3, 10, 5}
	no, err := Fit(NormCoordinate, x, 3)
	if err != nil {
		t.Fatal(err)
	}
	set, err := Fit(NormSet, x, 3)
	if err != nil {
		t.Fatal(err)
	}
	if no.Mean[0] != 2 || no.Mean[1] != 20 || no.Mean[2] != 5 || no.Scale[0] != 1 || no.Scale[1] != 10 || no.Scale[2] != 5e-3 {
		t.Errorf("coordinate: %+v, the set's scale is %g", no, set.Scale[0])
	}
	if set.Mean[0] != 9 || len(set.Scale) != 1 {
		t.Errorf("set: %+v", set)
	}
	if none, err := Fit(NormNone, nil, 3); err != nil || !none.IsIdentity() {
		t.Errorf("none: %+v, %v", none, err)
	}
	for _, c := range []struct {
		kind string
		x    []float64
		d    int
		want string
	}{
		{"coord", x, 3, "have none, set, coordinate"},
		{NormSet, []float64{4, 4}, 1, "all values are 4"},
		{NormSet, nil, 1, "cannot fit"},
		{NormSet, x, 5, "rows of 5"},
		{NormCoordinate, []float64{4, 5, 4, 5}, 2, "all samples are alike"},
	} {
		if _, err := Fit(c.kind, c.x, c.d); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Fit(%q, %v, %d): %v, want %q", c.kind, c.x, c.d, err, c.want)
		}
	}
}

// Neither an offset nor the size of the values costs digits of the mean and the standard deviation.
func TestMoments(t *testing.T) {
	for _, c := range []struct {
		x         []float64
		mean, std float64
	}{
		{[]float64{1e9 - 1, 1e9 + 1}, 1e9, 1},
		{[]float64{1e15 - 2, 1e15 + 2, 1e15 - 2, 1e15 + 2}, 1e15, 2},
		{[]float64{-1e300, 1e300}, 0, 1e300},
		{[]float64{-1.5e308, 1.5e308}, 0, 1.5e308},
		{[]float64{1e-200, 3e-200}, 2e-200, 1e-200},
		{[]float64{7, 7, 7}, 7, 0},
		{[]float64{0, 0}, 0, 0},
	} {
		mean, std := moments(c.x)
		if math.Abs(mean-c.mean) > 1e-15*math.Abs(c.mean) || math.Abs(std-c.std) > 1e-15*c.std { // a few roundings
			t.Errorf("%v: %g ± %g, want %g ± %g", c.x, mean, std, c.mean, c.std)
		}
	}
}

func TestNormalisationRoundTrip(t *testing.T) {
	x := []float64{1, -2, 3, 4, 0.5, -6}
	for _, no := range []Normalisation{
		{},
		{Mean: []float64{2}},
		{Scale: []float64{3}},
		{Mean: []float64{1, 2, 3}, Scale: []float64{0.5}},
		{Mean: []float64{-1}, Scale: []float64{0.5, 2, 7}},
	} {
		y := make([]float64, len(x))
		no.Apply(y, x, 3)
		y32 := make([]float32, len(x))
		no.Apply32(y32, x, 3)
		if want := (x[4] - at(no.Mean, 1, 0)) / at(no.Scale, 1, 1); y[4] != want || y32[4] != float32(want) {
			t.Errorf("%+v: coordinate 1 of sample 1 is %g and %g, want %g", no, y[4], y32[4], want)
		}
		no.Invert(y, y, 3)
		for i := range x {
			if math.Abs(y[i]-x[i]) > 4e-16*10 { // a few roundings of numbers up to 10
				t.Errorf("%+v: value %d came back as %g, want %g", no, i, y[i], x[i])
			}
		}
		b, err := json.Marshal(no)
		if err != nil {
			t.Fatal(err)
		}
		var again Normalisation
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatal(err)
		}
		if b2, _ := json.Marshal(again); string(b2) != string(b) {
			t.Errorf("JSON %s came back as %s", b, b2)
		}
	}
}

// The density of data units: a Gaussian of deviation s has log density at its mean −½ log 2π − log s.
func TestLogDet(t *testing.T) {
	no := Normalisation{Mean: []float64{3}, Scale: []float64{2}}
	if got, want := no.LogDet(3), -3*math.Log(2); math.Abs(got-want) > 1e-15 { // roundings
		t.Errorf("LogDet = %g, want %g", got, want)
	}
	no = Normalisation{Scale: []float64{2, 0.5}}
	if got := no.LogDet(2); got != 0 {
		t.Errorf("LogDet of scales 2 and ½ = %g, want 0", got)
	}
	if got := (Normalisation{}).LogDet(5); got != 0 {
		t.Errorf("LogDet of the identity = %g", got)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		no   Normalisation
		want string
	}{
		{Normalisation{Mean: []float64{1, 2}}, "mean has 2 entries; want 0, 1 or 3"},
		{Normalisation{Scale: []float64{1, 2, 0}}, "scale[2] is 0; want a positive number"},
		{Normalisation{Scale: []float64{-1}}, "positive"},
		{Normalisation{Mean: []float64{math.NaN()}}, "mean[0] is NaN"},
		{Normalisation{Scale: []float64{math.Inf(1)}}, "scale[0] is +Inf"},
	} {
		if err := c.no.Validate(3); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Validate(%+v): %v, want %q", c.no, err, c.want)
		}
	}
	if err := (Normalisation{Mean: []float64{1, 2, 3}, Scale: []float64{2}}).Validate(3); err != nil {
		t.Error(err)
	}
}
