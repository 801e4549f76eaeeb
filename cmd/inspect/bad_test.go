package main

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/cmd/internal/ui"
	"hbar/cuda"
	"hbar/data/npz"
)

// Wrong options end with a line that says what is wrong.
func TestBadOptions(t *testing.T) {
	dir := t.TempDir()
	for args, want := range map[string]string{
		"":                                                                 " is missing; ",
		"--checkpoint DIR/none":                                            "no checkpoint DIR/none",
		"--checkpoint DIR":                                                 "has no config.json",
		"--checkpoint m --eval a.npz":                                      "--eval needs --out FILE.npz",
		"--checkpoint m --out a.npz":                                       "--out needs --eval FILE.npz",
		"--checkpoint m --compare a":                                       "--compare needs --eval FILE.npz",
		"--checkpoint m --batch 3":                                         "--batch needs --bench",
		"--checkpoint m --bench --out a.npz":                               "--out needs --eval",
		"--checkpoint m --bench --eval a.npz":                              "two tasks",
		"--checkpoint m --precision fp64":                                  "--precision needs --eval FILE.npz or --bench",
		"--checkpoint m --device cuda":                                     "--device cuda needs --eval FILE.npz or --bench",
		"--checkpoint m --bench --precision fp64":                          "fp64 is for --eval",
		"--checkpoint m --bench --precision bf16":                          "needs --device cuda",
		"--checkpoint m --eval a.npz --out b.npz --tol 1":                  "--tol needs --compare",
		"--checkpoint m --eval a.npz --out b.npz --layout nchw":            "have channels-last, channels-first",
		"--checkpoint m --eval a.npz --out b.npz --precision fp16":         "have fp32, fp64",
		"--checkpoint m --eval DIR/a.npz --out DIR/a.npz":                  "would replace the file of --eval",
		"--checkpoint m --eval DIR/a.npz --out DIR/a.npy":                  "have .npz",
		"--checkpoint m --eval DIR/a.npz --out DIR/none/a.npz":             "there is no folder",
		"--checkpoint " + swissRoll + " --eval DIR/no.npz --out DIR/b.npz": "no such file",
	} {
		_, _, err := call(dir, args)
		if want = strings.ReplaceAll(want, "DIR", dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
}

// The device auto is the CPU where there is no GPU, and says so; a precision that only a GPU has is refused there.
func TestAuto(t *testing.T) {
	if cuda.Available() == nil {
		t.Skip("there is a GPU")
	}
	dir := t.TempDir()
	args := "--checkpoint " + goldenDir + "dit1d --bench --batch 1 --repeats 1 --device auto"
	if _, diag, err := call(dir, args); err != nil || !strings.Contains(diag, "note: --device auto takes the CPU: no GPU") {
		t.Errorf("%v: %q", err, diag)
	}
	if _, _, err := call(dir, args+" --precision bf16"); err == nil || !strings.Contains(err.Error(), "--precision bf16 needs a GPU: no GPU") {
		t.Errorf("error %v", err)
	}
	if _, diag, err := call(dir, "--checkpoint "+goldenDir+"dit1d --device auto"); err != nil || diag != "" {
		t.Errorf("a report: %v, %q", err, diag)
	}
}

// Wrong arrays end with a line that says what is wrong and what would be right, and nothing is written.
func TestBadArrays(t *testing.T) {
	zeros := func(shape ...int) *npz.Array {
		n := 1
		for _, d := range shape {
			n *= d
		}
		return &npz.Array{Shape: shape, X: make([]float64, n)}
	}
	with := func(a *npz.Array, i int, v float64) *npz.Array {
		a.X[i] = v
		return a
	}
	type arrays = map[string]*npz.Array
	good := func() arrays { return arrays{"x": zeros(2, 4, 6, 2), "t": zeros(2), "y": zeros(2)} }
	for _, c := range []struct {
		network string
		change  arrays // nil: without the array
		args    string
		want    string
	}{
		{"unet", arrays{"x": nil}, "", "there is no array x; have t, y"},
		{"unet", arrays{"t": nil}, "", "there is no array t"},
		{"unet", arrays{"y": nil}, "", "there is no array y; this network takes labels, whole numbers from 0 to 2"},
		{"dit1d", arrays{"x": zeros(2, 12, 2)}, "", "an array y of labels; this network takes none"},
		{"unet", arrays{"x": zeros(2, 8, 6, 2)}, "", "x has the shape 2 × 8 × 6 × 2; this network takes n × 4 × 6 × 2, channels-last"},
		{"unet", arrays{"x": zeros(2, 4, 6, 3)}, "", "n × 4 × 6 × 2"},
		{"unet", arrays{"x": zeros(2, 2, 4, 6)}, "", "give --layout channels-first"},
		{"unet", arrays{}, "--layout channels-first", "this network takes n × 2 × 4 × 6, channels-first; this is the other order: give --layout channels-last"},
		{"unet", arrays{"x": zeros(48)}, "", "n × 4 × 6 × 2"},
		{"unet", arrays{"x": {X: []float64{1}}}, "", "() of a scalar"},
		{"unet", arrays{"x": zeros(0, 4, 6, 2)}, "", "x has no samples"},
		{"unet", arrays{"t": zeros(3)}, "", "t has the shape 3; x has 2 samples, so want 2 numbers"},
		{"unet", arrays{"t": zeros(2, 1)}, "", "t has the shape 2 × 1"},
		{"unet", arrays{"y": zeros(1)}, "", "y has the shape 1; x has 2 samples"},
		{"unet", arrays{"u": zeros(2, 4, 6, 1)}, "", "u has the shape 2 × 4 × 6 × 1; want 2 × 4 × 6 × 2, as x has"},
		{"dit", arrays{"v": zeros(2, 4, 6, 4)}, "", "v has the shape 2 × 4 × 6 × 4; want 2 × 4 × 6 × 2, as x has: the output is the first half of the channels"},
		{"unet", arrays{"probe": zeros(3, 4, 6, 2)}, "", "probe has the shape"},
		{"unet", arrays{"y": with(zeros(2), 1, 3)}, "", "label 1 in y is 3; this network takes whole numbers from 0 to 2"},
		{"dit", arrays{"y": with(zeros(2), 1, 4)}, "", "whole numbers from 0 to 2, or 3 for none"},
		{"unet", arrays{"y": with(zeros(2), 0, 0.5)}, "", "label 0 in y is 0.5"},
		{"unet", arrays{"y": with(zeros(2), 0, -1)}, "", "label 0 in y is -1"},
		{"unet", arrays{"x": with(zeros(2, 4, 6, 2), 50, math.NaN())}, "", "x[1 0 1 0] is NaN; want finite numbers"},
		{"unet", arrays{"t": with(zeros(2), 1, math.Inf(1))}, "", "t[1] is +Inf"},
		{"unet", arrays{"u": with(zeros(2, 4, 6, 2), 0, 1e300)}, "", "which float32 does not hold; give --precision fp64"},
	} {
		dir := t.TempDir()
		in := good()
		for name, a := range c.change {
			if in[name] = a; a == nil {
				delete(in, name)
			}
		}
		write(t, dir, "in.npz", in)
		_, _, err := call(dir, "--checkpoint "+goldenDir+c.network+" --eval DIR/in.npz --out DIR/out.npz "+c.args)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "in.npz") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s, %v: error %v\nwant %s", c.network, c.change, err, c.want)
		}
		if _, err := os.Stat(filepath.Join(dir, "out.npz")); err == nil {
			t.Errorf("%s: something is written", c.want)
		}
	}
}

// Files of references that cannot be compared are found before the network is evaluated.
func TestBadReference(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "in.npz", map[string]*npz.Array{"x": noise(0, 4, 2), "t": noise(4, 4)})
	write(t, dir, "other.npz", map[string]*npz.Array{"a": noise(0, 4, 2)})
	write(t, dir, "short.npz", map[string]*npz.Array{"out": noise(0, 3, 2)})
	for file, want := range map[string]string{
		"other.npz": "has no array of the results, out; have a",
		"short.npz": "out has the shape 3 × 2; the result has 4 × 2",
		"none.npz":  "no such file",
	} {
		_, _, err := call(dir, "--checkpoint "+swissRoll+" --eval DIR/in.npz --out DIR/out.npz --compare DIR/"+file)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", file, err, want)
		}
		if _, err := os.Stat(filepath.Join(dir, "out.npz")); err == nil {
			t.Errorf("%s: the network was evaluated", file)
		}
	}
}

// Arrays that are not used are named; an interrupt writes nothing.
func TestInterrupt(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "in.npz", map[string]*npz.Array{"x": noise(0, 4, 2), "t": noise(4, 4), "w": noise(0, 1)})
	if _, diag, err := call(dir, "--checkpoint "+swissRoll+" --eval DIR/in.npz --out DIR/out.npz"); err != nil || !strings.Contains(diag, "array w is not used") {
		t.Errorf("%v\n%s", err, diag)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, args := range [][]string{{"--bench"}, {"--eval", filepath.Join(dir, "in.npz"), "--out", filepath.Join(dir, "gone.npz")}} {
		err := run(ctx, append([]string{"--checkpoint", swissRoll, "--json", filepath.Join(dir, "gone.json")}, args...), ui.Streams{Out: &strings.Builder{}, Err: &strings.Builder{}})
		if !errors.Is(err, ui.ErrInterrupted) {
			t.Errorf("%v: error %v", args, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "gone*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
