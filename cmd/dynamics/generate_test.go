package main

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"hbar/data/npz"
	"hbar/dynamics"
)

// The bound of generated numbers counts the times of a file.
func TestGenerateTimes(t *testing.T) {
	dir := t.TempDir()
	oscillator(t, filepath.Join(dir, "m.npz"), 0.3, 1, 0.2, 1)
	times := &npz.Array{Shape: []int{300_000}, X: make([]float64, 300_000)}
	for i := range times.X {
		times.X[i] = float64(i)
	}
	if err := npz.WriteNpy(filepath.Join(dir, "t.npy"), times); err != nil {
		t.Fatal(err)
	}
	if _, err := call(dir, "generate --model DIR/m.npz --n 1000 --times DIR/t.npy --out DIR/x.npy"); err == nil || !strings.Contains(err.Error(), "1000 sequences of 300000 times of 1 outputs are more than 2²⁸ numbers") {
		t.Errorf("error %v", err)
	}
}

// A sequence that diverges has no density; those after it have theirs.
func TestDensitiesAfterClamped(t *testing.T) {
	dir := t.TempDir()
	one := func(x ...float64) *mat.Dense { return mat.NewDense(1, len(x), x) }
	lift := &dynamics.Lift{Outputs: 1, Delays: 1, Degree: 2, Scale: 1, Mean: []float64{0}, SD: []float64{1}}
	m := &dynamics.Model{Lifted: &dynamics.Lifted{Lift: lift, Dt: 1, K: one(0.5, 0.2), Mean: []float64{0, 0}, Next: []float64{0}, Noise: one(1), Start: one(1)}}
	if err := m.Save(filepath.Join(dir, "m.json")); err != nil {
		t.Fatal(err)
	}
	out := must(t, dir, "generate --model DIR/m.json --n 30 --steps 25 --out DIR/x.npz")
	a, err := npz.Read(filepath.Join(dir, "x.npz"))
	if err != nil {
		t.Fatal(err)
	}
	diverged := 0
	for k, l := range a["loglik"].X {
		far := false
		for _, v := range a["x"].X[k*25 : (k+1)*25] {
			far = far || math.Abs(v) == 1000
		}
		if far {
			diverged++
		}
		if math.IsNaN(l) != far {
			t.Errorf("sequence %d diverged: %v, and its log p is %g", k, far, l)
		}
	}
	if diverged == 0 || diverged == 30 || !strings.Contains(out, "clamped") {
		t.Errorf("%d of 30 diverged\n%s", diverged, out)
	}
}
