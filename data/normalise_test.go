package data

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"hbar/kernels"
)

// normal fills columns of given means and standard deviations with n samples.
func normal(n int, mean, std []float64) []float64 {
	d := len(mean)
	x := make([]float64, 0, n*d)
	for i := range n {
		r := draw{src: kernels.NewSource(1, kernels.StreamData, uint64(i))}
		for j := range d {
			x = append(x, mean[j]+std[j]*r.normal())
		}
	}
	return x
}

func columns(x []float64, names ...string) *Dataset {
	return &Dataset{Name: "a.csv", D: len(names), Shape: []int{len(names)}, X: x, Columns: names}
}

// The kind that fits the data is chosen and said.
func TestNormaliseChooses(t *testing.T) {
	people, err := byPath(filepath.Join("testdata", "people.csv"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	image := &Dataset{D: 4, Shape: []int{2, 2, 1}, X: normal(50, []float64{0, 0, 1, 1}, []float64{1, 1, 1, 1})}
	flat := columns(nil, strings.Split(strings.Repeat("p ", 63)+"p", " ")...)
	for i := range 64 * 50 {
		flat.X = append(flat.X, max(0, math.Sin(float64(i*i))))
	}
	for _, c := range []struct {
		name       string
		set        *Dataset
		kind, note string
	}{
		{"people", people, NormCoordinate, "by coordinate: columns have units of their own; standard deviations from 9.29 (age) to 2.07e+04 (income)"},
		{"images", image, NormSet, "a sample of shape [2 2 1]"},
		{"images laid flat", flat, NormSet, "look like pixels"},
		{"one column", columns(normal(50, []float64{5}, []float64{2}), "x"), NormCoordinate, "a single column"},
		{"images of bytes", &Dataset{D: 2, Shape: []int{1, 2, 1}, Bytes: []byte{0, 1, 2, 250}}, NormAuto, "bytes 0 … 255"},
	} {
		kind, err := c.set.Normalise(NormAuto)
		if err != nil || kind != c.kind || !strings.Contains(notes(c.set, "scaling"), c.note) {
			t.Errorf("%s: %s, %v, %v; want %s and %q", c.name, kind, c.set.Notes, err, c.kind, c.note)
		}
	}
	if m, s := people.Norm.Mean, people.Norm.Scale; math.Abs(m[0]-40) > 2 || math.Abs(s[0]-10) > 1.5 || math.Abs(m[1]-50000) > 4000 || math.Abs(s[1]-20000) > 2000 {
		t.Errorf("people: %v ± %v", m, s) // 300 samples of 40 ± 10 and 50000 ± 20000: some standard errors
	}
}

func TestNormaliseWarns(t *testing.T) {
	ok := []float64{0, 0}
	unit := []float64{1, 1}
	with := func(x []float64, i int, v float64) []float64 { x[i] = v; return x }
	grid := normal(200, ok, unit)
	for i := range 200 {
		grid[2*i] = math.Round(4*grid[2*i]) / 4
	}
	constant := normal(100, ok, unit)
	for i := range 100 {
		constant[2*i+1] = 7
	}
	rounded := normal(200, ok, unit) // to three decimals, as files are written
	for i := range rounded {
		rounded[i] = math.Round(1000*rounded[i]) / 1000
	}
	for _, c := range []struct {
		name string
		x    []float64
		kind string
		want string // in the warnings; "" for none
	}{
		{"nothing", normal(1000, ok, unit), NormAuto, ""},
		{"decimals of a file", rounded, NormAuto, ""},
		{"offset of 10¹⁵", normal(1000, []float64{1e15, 0}, []float64{10, 1}), NormAuto, ""},
		{"unix times", normal(1000, []float64{1e9, 1e9}, unit), NormAuto, ""},
		{"outlier", with(normal(100, ok, unit), 26, 100), NormAuto, "row 13, coordinate 0 (x) is 100, while 95 %"},
		{"outlier, forced", with(normal(100, ok, unit), 27, 1e30), NormCoordinate, "row 13, coordinate 1 (y) is 1e+30"},
		{"grid", grid, NormAuto, "on a grid: x (steps of 0.25)"},
		{"constant", constant, NormAuto, "constant: y (7)"},
		{"small beside others", normal(100, ok, []float64{1, 1000}), NormSet, "standard deviation of x (0.00"},
		{"not scaled", normal(100, []float64{500, 0}, unit), NormNone, "x is 499.99 ± 0.964, and --normalise none"},
	} {
		s := columns(c.x, "x", "y")
		_, err := s.Normalise(c.kind)
		if got := notes(s, "warning"); err != nil || c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: warnings %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

// What would be learnt as something else is refused by row and coordinate.
func TestNormaliseRefuses(t *testing.T) {
	large, err := byPath(filepath.Join("testdata", "one-1e300.npy"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	one := columns(normal(100, []float64{0, 0}, []float64{1, 1}), "x", "y")
	one.X[2*57+1] = 1e30
	for _, c := range []struct {
		name string
		set  *Dataset
		kind string
		want string
	}{
		{"1e300", large, NormAuto, "row 3, coordinate 0 is 1e+300"},
		{"1e30", one, NormAuto, "row 57, coordinate 1 (y) is 1e+30"},
		{"alike", columns([]float64{1, 2, 1, 2, 1, 2}, "x", "y"), NormAuto, "all samples are alike"},
		{"beyond float32, as it is", columns(normal(100, []float64{1e9, 0}, []float64{1, 1}), "x", "y"), NormNone, "float32 cannot hold that; use --normalise coordinate"},
		{"beyond float32, one scale", columns(normal(100, []float64{1e9, 0}, []float64{1, 1}), "x", "y"), NormSet, "float32 cannot hold that"},
	} {
		if _, err := c.set.Normalise(c.kind); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
	}
}
