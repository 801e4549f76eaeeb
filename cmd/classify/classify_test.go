package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"hbar/cmd/internal/ui"
	"hbar/data/npz"
)

func command(t *testing.T, args string) (string, error) {
	t.Helper()
	var out, diag bytes.Buffer
	err := run(context.Background(), strings.Fields(args), ui.Streams{Out: &out, Err: &diag})
	return out.String(), err
}

// TestDigits: from data to a judgement, of the 8×8 digits. After 150 steps nine of ten are recognised.
func TestDigits(t *testing.T) {
	dir := t.TempDir()
	c := filepath.Join(dir, "c.safetensors")
	out, err := command(t, "train --data digits --steps 150 --batch 50 --out "+c)
	if err != nil || !strings.Contains(out, "179 of digits to test with") || !strings.Contains(out, "accuracy  9") {
		t.Fatalf("%v\n%s", err, out)
	}
	path := filepath.Join(dir, "s.json")
	out, err = command(t, "score --classifier "+c+" --samples digits --n 200 --json "+path)
	if err != nil || !strings.Contains(out, "are of the class of their label") || !strings.Contains(out, "of 179") {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Accuracy struct{ K, N int }
		Spread   struct{ Classes int }
		Own      *struct{ Accuracy struct{ N int } } `json:"classifier_on_test_data"`
	}
	if err := json.Unmarshal(b, &f); err != nil || f.Accuracy.K < 180 || f.Accuracy.N != 200 || f.Spread.Classes != 10 || f.Own == nil || f.Own.Accuracy.N != 179 {
		t.Errorf("%+v, %v", f, err)
	}
	if out, err = command(t, "score --classifier "+c+" --samples digits --n 100 --labels none"); err != nil || strings.Contains(out, "label") || !strings.Contains(out, "spread    over 10 of 10") {
		t.Errorf("%v\n%s", err, out)
	}
	z := filepath.Join(dir, "f.npz")
	if out, err = command(t, "features --classifier "+c+" --data digits --n 90 --out "+z); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// Of the data against themselves both distances are 0 within their errors.
	out, err = command(t, "distance --classifier "+c+" --samples digits --reference "+z+" --json "+path)
	if err == nil {
		b, err = os.ReadFile(path)
	}
	var d struct {
		Frechet, Kernel struct {
			Estimate struct{ Value, StdErr float64 }
		}
	}
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	if v := d.Frechet.Estimate; err != nil || !(v.StdErr > 0) || v.Value > 6*v.StdErr || d.Kernel.Estimate.StdErr <= 0 || !strings.Contains(out, "frechet") {
		t.Errorf("%v, %+v\n%s", err, d, out)
	}
	arrays, err := npz.Read(z)
	if err != nil || arrays["features"].Shape[0] != 90 || arrays["features"].Shape[1] != 64 || arrays["sigma"].Shape[1] != 64 {
		t.Errorf("%v, %v", arrays, err)
	}
}

// A file of features that is cut off is called that, and not one without features.
func TestTruncatedFeatures(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.npz")
	if err := npz.Write(path, map[string]*npz.Array{"features": {Shape: []int{2, 1}, X: []float64{1, 2}}}); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := command(t, "distance --samples "+path+" --reference "+path); err == nil || !strings.Contains(err.Error(), "not an .npz archive") {
		t.Errorf("error %v", err)
	}
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"":                                   "say what to do",
		"judge":                              "none of train, score, distance, features",
		"train":                              "--data FILE is missing",
		"train --data moons":                 "no labels",
		"score":                              "--classifier FILE and --samples FILE",
		"features --data a.npy":              "--classifier FILE and --data FILE",
		"train --data digits --channels 1.5": "not a whole number",
		"score --classifier nowhere.safetensors --samples digits":         "nowhere.safetensors",
		"train --data digits --out x.npz":                                 ".safetensors",
		"train --data digits --steps 1 --out /nowhere/at/all.safetensors": "no folder",
	} {
		if _, err := command(t, args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", args, err, want)
		}
	}
}

// TestVersion: a command with verbs has --version of its own.
func TestVersion(t *testing.T) {
	var out bytes.Buffer
	if err := run(context.Background(), []string{"--version"}, ui.Streams{Out: &out, Err: &out}); !errors.Is(err, pflag.ErrHelp) || !strings.HasPrefix(out.String(), "classify (hbar) ") {
		t.Errorf("%v: %s", err, out.String())
	}
}
