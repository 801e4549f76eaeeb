package main

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/data"
	"hbar/nets"
	"hbar/train"
)

// shapes are the data that the presets are for.
var shapes = map[string]struct {
	shape   []int
	classes int
}{presetMNIST: {[]int{28, 28, 1}, 10}, presetIcons: {[]int{32, 32, 3}, 9}, presetSpeech: {[]int{4096, 1}, 10}, presetText: {[]int{64, 7}, 0}}

// The presets resolve to networks for their data whose training takes what their comment says, and options replace theirs.
func TestPresets(t *testing.T) {
	for name, want := range shapes {
		file := filepath.Join(t.TempDir(), "x.npy")
		if err := os.WriteFile(file, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		o, err := parse([]string{"--preset", name, "--data", file}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		c, err := o.Config(want.shape, want.classes)
		if err != nil {
			t.Fatal(err)
		}
		n, err := nets.New(c)
		if err != nil {
			t.Fatal(err)
		}
		work := 3 * 2 * n.Program.Cost(1).MulAdds * float64(o.Batch) * float64(o.Steps)
		if minutes := work / 150e9 / 60; !(minutes > 50 && minutes < 60) {
			t.Errorf("%s: %.1f minutes at 150 GFLOP/s", name, minutes)
		}
		if o.Preset != name || o.Decay != train.DecayCosine || o.Warmup != 200 || o.EMA != 0.999 || o.Clip != 1 || !o.Stratify || o.Dequantise == (name == presetText) || o.LabelDropout != 0.1 || o.Importance || o.Prediction != "edm" {
			t.Errorf("%s: %+v", name, o)
		}
		o, err = parse([]string{"--preset", name, "--data", file, "--steps", "50", "--lr", "0.5", "--stratify", "off"}, io.Discard)
		if err != nil || o.Steps != 50 || o.LR != 0.5 || o.Warmup != 5 || o.Stratify {
			t.Errorf("%s with options: %v, %+v", name, err, o)
		}
	}
}

func TestPresetErrors(t *testing.T) {
	for args, want := range map[string]string{
		"--preset mnist":                                     "needs --data: the file train-images-idx3-ubyte.gz",
		"--preset icons --data digits --net mlp":             "leave --net and --size out",
		"--preset icons --data digits --net dit":             "leave --net and --size out",
		"--preset speech --data digits --size dit-s2":        "leave --net and --size out",
		"--preset mnist --data digits --act tanh":            "--act is for --net mlp",
		"--preset minst":                                     "have quick, paper, mnist, icons, speech, text",
		"--preset icons --data digits --dry-run --layers 99": "--layers is 99",
	} {
		if _, _, err := call(t, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

// A preset trains and resumes: here on small sounds and images, with a smaller network.
func TestPresetTrains(t *testing.T) {
	dir := t.TempDir()
	sounds, images := filepath.Join(dir, "s.npy"), filepath.Join(dir, "i.npy")
	for path, shape := range map[string][]int{sounds: {6, 64}, images: {6, 8, 8, 3}} {
		w, err := data.CreateNpy(path, data.Float32, shape[1:]...)
		if err != nil {
			t.Fatal(err)
		}
		x := make([]float64, 6*64*3)
		for i := range x {
			x[i] = math.Sin(float64(i * i))
		}
		n := 1
		for _, v := range shape {
			n *= v
		}
		if err := w.WriteFloat64(x[:n]); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range []string{
		"--device cpu --preset speech --length 64 --width 16 --depth 1 --heads 2 --data " + sounds,
		"--device cpu --preset icons --channels 8,8 --attention 4 --data " + images,
	} {
		at, out, err := call(t, strings.Fields(args+" --workers 1 --steps 2 --batch 4 --out run")...)
		if err != nil {
			t.Fatalf("%s: %v\n%s", args, err, out)
		}
		before, _ := os.ReadFile(filepath.Join(at, "run", train.ModelFile))
		if len(before) == 0 {
			t.Fatal("no model")
		}
		if _, out, err = call(t, "--resume", "--workers", "1", "--out", filepath.Join(at, "run")); err != nil || !strings.Contains(out, "all 2 steps were taken") {
			t.Errorf("%s: resume: %v\n%s", args, err, out)
		}
		if after, _ := os.ReadFile(filepath.Join(at, "run", train.ModelFile)); !bytes.Equal(before, after) {
			t.Errorf("%s: a resumed run that is complete has another model", args)
		}
	}
}
