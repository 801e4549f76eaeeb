package samplecmd

import (
	"bytes"
	"context"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"hbar/cmd/internal/ui"
	"hbar/data/npz"
	"hbar/solver/guidance"
)

// weighted is the mean of x0 under the target, by the weights that the command wrote.
func weighted(t *testing.T, x []float64, weights string) (guidance.Estimate, float64) {
	t.Helper()
	w, err := npz.Read(weights)
	if err != nil {
		t.Fatal(err)
	}
	f := make([]float64, len(x)/2)
	for i := range f {
		f[i] = x[2*i]
	}
	if len(w["log_weight"].X) != len(f) || len(w["reward"].X) != len(f) {
		t.Fatalf("%d weights and %d rewards for %d samples", len(w["log_weight"].X), len(w["reward"].X), len(f))
	}
	return guidance.Expectation(w["log_weight"].X, f)
}

// Guided samples and samples of the model have one mean under the target once they are weighed; guided ones are near it as
// they are.
func TestReward(t *testing.T) {
	const args = "--checkpoint " + swissRoll + " --n 600 --steps 120 --grid lambda --weights DIR/w.npz --reward "
	var e [2]guidance.Estimate
	for k, more := range []string{"2*x0", "2*x0 --guide none"} {
		x, dir, out := sample(t, args+more)
		var ess float64
		if e[k], ess = weighted(t, x, filepath.Join(dir, "w.npz")); ess < 90 || !strings.Contains(out, "effective sample size") {
			t.Errorf("%s: ESS %.0f\n%s", more, ess, out)
		}
		if mean := moment(x); k == 0 && math.Abs(mean-e[0].Value) > 0.2 || k == 1 && mean > 0.6 {
			t.Errorf("%s: mean of the samples %.3f, under the target %.3f", more, mean, e[k].Value)
		}
	}
	if se := math.Hypot(e[0].StdErr, e[1].StdErr); math.Abs(e[0].Value-e[1].Value) > 4*se {
		t.Errorf("means %v of guided samples, %v of others", e[0], e[1])
	}
	// A coordinate that is known.
	path := filepath.Join(t.TempDir(), "k.npz")
	if err := npz.Write(path, map[string]*npz.Array{"known": {Shape: []int{2}, X: []float64{0.5, math.NaN()}}, "noise": {X: []float64{0.3}, Shape: []int{1}}}); err != nil {
		t.Fatal(err)
	}
	for _, guide := range []string{"plugin", "exact", "pseudo"} {
		x, dir, _ := sample(t, args+path+" --guide "+guide)
		if v, _ := weighted(t, x, filepath.Join(dir, "w.npz")); math.Abs(v.Value-0.5) > 0.25 {
			t.Errorf("%s: a coordinate known to be 0.5 has the mean %v", guide, v)
		}
	}
	// The sum of both, with the exponential sampler. The samples as they are have it, too.
	path = filepath.Join(t.TempDir(), "f.npz")
	if err := npz.Write(path, map[string]*npz.Array{"forms": {Shape: []int{1, 2}, X: []float64{1, 1}}, "values": {X: []float64{1}, Shape: []int{1}}, "noise": {X: []float64{0.1}, Shape: []int{1}}}); err != nil {
		t.Fatal(err)
	}
	x, _, _ := sample(t, args+path+" --guide exact --sampler exp")
	sum := 0.0
	for _, v := range x {
		sum += v / float64(len(x)/2)
	}
	if math.Abs(sum-1) > 0.1 {
		t.Errorf("a sum known to be 1 ± 0.1 has the mean %.3f", sum)
	}
}

func moment(x []float64) float64 {
	m := 0.0
	for i := 0; i < len(x); i += 2 {
		m += x[i] / float64(len(x)/2)
	}
	return m
}

func TestRewardErrors(t *testing.T) {
	for args, want := range map[string]string{
		"--reward x2":                  "there is no x2; the model has x0 … x1",
		"--reward x0^3":                "is not a term",
		"--reward Inf*x0":              "not finite",
		"--reward none.npz":            "none.npz",
		"--reward x0 --h 0":            "should be above 0",
		"--reward x0 --sampler heun":   "weighs steps of --sampler em or exp",
		"--reward x0^2 --guide exact":  "the square of x0 has a plus",
		"--weights w.npz":              "belong to --reward",
		"--reward c.safetensors":       "name the class to reward",
		"--reward x0 --reward-class 1": "belong to a classifier",
		"--reward c.safetensors --reward-class 1 --guide exact": "for quadratic rewards",
		"--reward c.safetensors --reward-class 1":               "c.safetensors",
		"--reward 1e300*x0^2 --steps 20":                        "no sample has a weight",
	} {
		full := append([]string{"--device", "cpu", "--checkpoint", swissRoll, "--n", "20", "--out", filepath.Join(t.TempDir(), "x.npy")}, strings.Fields(args)...)
		err := run(context.Background(), full, ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", args, err, want)
		}
	}
}
