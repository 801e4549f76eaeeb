package data

import (
	"slices"
	"strings"
	"testing"
)

// The range of images is told by their values or stated, and mapped to −1 … 1.
func TestImageRange(t *testing.T) {
	images := func(x ...float64) *Dataset { return &Dataset{D: 2, Shape: []int{1, 2, 1}, X: x} }
	bytes := func(b ...byte) *Dataset { return &Dataset{D: 2, Shape: []int{1, 2, 1}, Bytes: b} }
	for i, c := range []struct {
		set    *Dataset
		limits []float64
		lo, hi float64 // that are mapped to −1 and 1
		note   string
	}{
		{bytes(0, 255, 3, 4), nil, 0, 255, "x/127.5 − 1"},
		{bytes(9, 100, 3, 4), nil, 0, 255, "x/127.5 − 1"},
		{bytes(0, 16, 3, 4), nil, 0, 16, "the bytes reach 16 only"},
		{bytes(0, 1, 1, 0), nil, 0, 1, "the bytes reach 1 only"},
		{bytes(0, 16, 3, 4), []float64{0, 255}, 0, 255, "as --range says"},
		{images(0, 0.25, 0.9, 1), nil, 0, 1, "the values fit"},
		{images(-0.7, 0.25, 0.9, 1), nil, -1, 1, "the values fit"},
		{images(0, 2, 9, 250), nil, 0, 255, "the values fit"},
		{images(0, 2, 9, 250), []float64{-250, 250}, -250, 250, "as --range says"},
	} {
		if err := c.set.checkRange(c.limits); err != nil {
			t.Fatal(err)
		}
		kind, err := c.set.Normalise(NormAuto)
		if err != nil || kind != NormAuto {
			t.Fatalf("%d: %s, %v", i, kind, err)
		}
		y := make([]float64, 2)
		c.set.Norm.Apply(y, []float64{c.lo, c.hi}, 2)
		if !slices.Equal(y, []float64{-1, 1}) || len(c.set.Notes) != 1 || !strings.Contains(c.set.Notes[0].Text, c.note) {
			t.Errorf("%d: %g and %g to %v, %v", i, c.lo, c.hi, y, c.set.Notes)
		}
	}
	for _, set := range []*Dataset{images(0, 3, 4, 5), images(0, 0.1, 0.2, 0.3), images(-5, 100, 200, 5000), {D: 2, Shape: []int{2, 1}, X: []float64{0, 0.5, 1, 1}, SampleRate: 8000}} {
		if kind, err := set.Normalise(NormAuto); err != nil || kind != NormSet {
			t.Errorf("%v: %s, %v", set.X, kind, err)
		}
	}
	if err := bytes(0, 255).checkRange([]float64{0, 100}); err == nil || !strings.Contains(err.Error(), "from 0 to 255, beyond the range 0 to 100") {
		t.Errorf("values outside: %v", err)
	}
	if err := (&Dataset{D: 2, Shape: []int{2}, X: []float64{0, 1}}).checkRange([]float64{0, 100}); err == nil {
		t.Error("the range of a table is no error")
	}
	for _, r := range [][]float64{{1}, {1, 0}, {0, 0}, {1, 2, 3}} {
		if err := (Options{Range: r}).Validate(); err == nil {
			t.Errorf("range %v is no error", r)
		}
	}
}

func TestSummary(t *testing.T) {
	s := &Dataset{D: 4, Shape: []int{2, 2, 1}, Bytes: []byte{1, 2, 3, 4, 9, 8, 7, 6, 5, 5, 5, 5}, Labels: []int32{1, 1, 2}, Classes: 3}
	m := s.Summary()
	if m.N != 3 || m.Kind != "images" || m.Size() != "2×2×1" || m.Values() != "bytes 1 … 9" || m.Least != 0 || m.Most != 2 || m.Names() != "" {
		t.Errorf("%+v", m)
	}
	m.ClassNames = strings.Split("a b c d e f g h i j k", " ")
	if m.Names() != "a, b, c, d, e, f, g, h, i, j, …" {
		t.Errorf("%q", m.Names())
	}
}
