package data

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestCSVWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.csv")
	x := []float64{1e9 + 0.125, -1.0 / 3, 1e300, 0, 2.5, -7}
	w, err := CreateCSV(path, Float64, 2, []string{"t, s", ""})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range [][]float64{x[:1], x[1:4], x[4:]} { // rows in pieces
		if err := w.WriteFloat64(v); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is there before Commit")
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	s, err := byPath(path, Options{})
	if err != nil || !slices.Equal(s.X, x) || !slices.Equal(s.Columns, []string{"t, s", "x2"}) {
		t.Errorf("%+v, %v", s, err)
	}
	if w, err = CreateCSV(path, Float32, 3, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteFloat64([]float64{0.1, 0.2, 0.3}); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "x1,x2,x3\n0.1,0.2,0.3\n" {
		t.Errorf("float32 as text: %q", b)
	}
	if w, err = CreateCSV(path, Float32, 3, nil); err != nil {
		t.Fatal(err)
	}
	_ = w.WriteFloat64([]float64{1, 2})
	if err := w.Commit(); err == nil {
		t.Error("half a row is committed")
	}
	if b, _ := os.ReadFile(path); string(b) != "x1,x2,x3\n0.1,0.2,0.3\n" {
		t.Errorf("the file was replaced: %q", b)
	}
}

// Samples keep their digits: float64 where float32 has too few for the spread, or too small a range.
func TestDTypeOfSamples(t *testing.T) {
	for _, c := range []struct {
		mean, scale float64
		want        DType
	}{
		{0, 1, Float32}, {50000, 20000, Float32}, {127.5, 127.5, Float32}, {101325, 100, Float32}, {1e9, 1, Float64}, {-1e9, 1, Float64},
		{20000, 1, Float64}, {0, 1e300, Float64}, {1e37, 1e37, Float64}, {0, 1e-40, Float64}, {5, 5e-3, Float32},
	} {
		no := Normalisation{Mean: []float64{0, c.mean}, Scale: []float64{1, c.scale}}
		if got := no.DType(2); got != c.want {
			t.Errorf("%g ± %g: %s, want %s", c.mean, c.scale, got, c.want)
		}
		// What is written differs from what was sampled by far less than a standard deviation.
		if v := c.mean + c.scale/3; c.want == Float32 && float64(float32(v))-v > c.scale*0x1p-14 {
			t.Errorf("%g ± %g: float32 loses digits", c.mean, c.scale)
		}
	}
	if got := (Normalisation{}).DType(3); got != Float32 {
		t.Errorf("no scaling: %s", got)
	}
}
