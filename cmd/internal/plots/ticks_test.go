package plots

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
)

// Labels of an axis differ, have digits that fit, and do not overlap, whatever the size of the numbers.
func TestLabelsOfLargeNumbers(t *testing.T) {
	for _, c := range []struct {
		lo, hi float64
		name   string // of the axis
		first  string // label
	}{
		{1e9 - 4, 1e9 + 4, "t − 1\u2009000\u2009000\u2009000", "−4"},
		{-1e9 - 4, -1e9 + 4, "t + 1\u2009000\u2009000\u2009000", "−4"},
		{1.7e9 + 36, 1.7e9 + 44, "t − 1\u2009700\u2009000\u2009000", "36"},
		{1e20 - 1e6, 1e20 + 1e6, "t − 1e+20", "−500\u2009000"},
		{50000, 50100, "t", "50\u2009000"},
		{-2e8, 9e8, "t", "0"},
		{0, 1e300, "t", "0"},
		{1e-9, 3e-9, "t", "1e−09"},
		{-1e-3, 1e-3, "t", "−0.001"},
	} {
		for _, length := range []vg.Length{4, 8, 16} {
			p := newPlot("", "t", "")
			p.X.Min, p.X.Max = c.lo, c.hi
			fitTicks(&p.X, "t", length*vg.Centimeter, false)
			list := p.X.Tick.Marker.Ticks(c.lo, c.hi)
			var labels []string
			need := vg.Length(0)
			for _, k := range list {
				if slices.Contains(labels, k.Label) {
					t.Errorf("%g to %g: label %q twice", c.lo, c.hi, k.Label)
				}
				labels = append(labels, k.Label)
				need += p.X.Tick.Label.Width(k.Label)
				if k.Value < c.lo || k.Value > c.hi {
					t.Errorf("%g to %g: tick at %g", c.lo, c.hi, k.Value)
				}
			}
			if len(list) < 1 || need > length*vg.Centimeter || p.X.Label.Text != c.name {
				t.Errorf("%g to %g on %v cm: labels %q of %.1f cm, axis %q; want %q", c.lo, c.hi, length, labels, need/vg.Centimeter, p.X.Label.Text, c.name)
			}
			if length == 16 && !slices.Contains(labels, c.first) {
				t.Errorf("%g to %g: labels %q; want %q among them", c.lo, c.hi, labels, c.first)
			}
		}
	}
}

func TestLogLabelsFit(t *testing.T) {
	p := newPlot("", "", "loss")
	p.Y.Tick.Marker, p.Y.Min, p.Y.Max = logTicks{}, 1e-40, 1e40
	fitTicks(&p.Y, "loss", 6*vg.Centimeter, true)
	n := 0
	for _, k := range p.Y.Tick.Marker.Ticks(1e-40, 1e40) {
		if k.Label != "" {
			n++
		}
	}
	if n < 3 || n > 20 {
		t.Errorf("%d labels on 6 cm", n)
	}
}

// A range that rounding leaves without a width, or that overflows, has ticks and ends.
func TestTicksOfStrangeRanges(t *testing.T) {
	for _, r := range [][2]float64{{1, 1}, {1e16, 1e16 + 2}, {-1.7e308, 1.7e308}, {math.Inf(-1), 0}, {math.NaN(), 1}, {0, 5e-324}} {
		if n := len((ticks{offset: tickOffset(r[0], r[1]), fits: func([]plot.Tick) bool { return false }}).Ticks(r[0], r[1])); n > mostTicks {
			t.Errorf("%g to %g: %d ticks", r[0], r[1], n)
		}
	}
}

// Coordinates of different size have scales of their own, and their names on the axes; those of one size share one.
func TestScalesOfUnlikeColumns(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	people, wide := Cloud{Name: "data", D: 2, Columns: []string{"age", "income"}}, Cloud{Name: "data", D: 3}
	for range 500 {
		people.X = append(people.X, 40+10*rng.NormFloat64(), 50000+20000*rng.NormFloat64())
		wide.X = append(wide.X, rng.NormFloat64(), 1e9+rng.NormFloat64(), 1e6*rng.NormFloat64())
	}
	path := picturePath(t)
	if err := Compare(path, "people", nil, people, people); err != nil {
		t.Fatal(err)
	}
	// Both clouds fill their panels: with one scale for ages and incomes the points stand on a line.
	img := open(t, path)
	if b, _ := box(img, reddish); b.Dx() < img.Bounds().Dx()/5 || b.Dy() < img.Bounds().Dy()/3 {
		t.Errorf("samples cover %v of %v", b, img.Bounds())
	}
	if err := Compare(picturePath(t), "three columns", nil, wide, wide); err != nil {
		t.Fatal(err)
	}
	scale := unlike(wide)
	if scale == nil || math.Abs(scale[0]-1) > 0.2 || math.Abs(scale[1]-1) > 0.2 || math.Abs(scale[2]/1e6-1) > 0.2 { // 500 samples: 4 standard errors
		t.Errorf("scales %v", scale)
	}
	if s := unlike(Cloud{D: 2, X: []float64{0, 1, 1, 2, 2, 5}}); s != nil {
		t.Errorf("scales %v of coordinates of one size", s)
	}
}
