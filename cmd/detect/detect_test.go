package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"hbar/cmd/internal/ui"
	"hbar/data"
)

// swissRoll is the network that checkpoint/testdata/README.md describes.
const swissRoll = "../../checkpoint/testdata/sr_simple.safetensors"

func call(ctx context.Context, dir, args string) (string, error) {
	var out bytes.Buffer
	err := run(ctx, strings.Fields(strings.ReplaceAll(strings.ReplaceAll(args, "DIR", dir), "NET", "--checkpoint "+swissRoll+" --device cpu")), ui.Streams{Out: &out, Err: &bytes.Buffer{}})
	return out.String(), err
}

// A good network leaves little to detect; an impostor's samples are found, by calibration and by scores.
func TestDetect(t *testing.T) {
	dir := t.TempDir()
	out, err := call(context.Background(), dir, "calibrate NET --data swissroll --n 400 --sample-steps 60 --steps 40 --out DIR/own.json")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, "nothing of what is true of the world") || !strings.Contains(out, "null      ") {
		t.Error(out)
	}
	own := read(t, filepath.Join(dir, "own.json"))
	if r := own.Report; r.AUC < 0.35 || r.AUC > 0.85 || r.CI[0] > r.AUC || r.CI[1] < r.AUC || r.Tested != 400 {
		t.Errorf("its own samples: %+v", own.Report)
	}
	// Points of the data, smeared.
	set, err := data.Load("swissroll", 5000, 800, 1)
	if err != nil {
		t.Fatal(err)
	}
	x := set.Values()
	for i := range x {
		x[i] += 2 * math.Sin(float64(7*i*i))
	}
	if err := data.WriteNpy(filepath.Join(dir, "impostor.npy"), data.Float64, x, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := call(context.Background(), dir, "calibrate NET --data swissroll --samples DIR/impostor.npy --n 400 --steps 40 --out DIR/other.json"); err != nil {
		t.Fatal(err)
	}
	if r := read(t, filepath.Join(dir, "other.json")).Report; r.AUC < 0.9 { // the sets hardly overlap
		t.Errorf("an impostor: %+v", r)
	}
	for _, c := range []struct {
		data string
		up   bool
	}{{"swissroll", false}, {"DIR/impostor.npy", true}} {
		if _, err := call(context.Background(), dir, "score NET --detector DIR/other.json --data "+c.data+" --n 200 --out DIR/s.csv"); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "s.csv"))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		above := 0
		for _, l := range lines[1:] {
			if !strings.HasPrefix(l, "-") {
				above++
			}
		}
		if len(lines) != 201 || (above > 100) != c.up {
			t.Errorf("%s: %d of %d above 0", c.data, above, len(lines)-1)
		}
	}
}

func read(t *testing.T, path string) *detectorFile {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := &detectorFile{}
	if err := json.Unmarshal(b, f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	grid := make([]float64, 2000)
	for i := range grid {
		grid[i] = float64(i * i % 13)
	}
	if err := data.WriteNpy(filepath.Join(dir, "grid.npy"), data.Float64, grid, 2); err != nil {
		t.Fatal(err)
	}
	if err := data.WriteNpy(filepath.Join(dir, "one.npy"), data.Float64, []float64{0.5, 0.25}, 2); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.json"), []byte("{}"), 0o666); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"":          "say what to do",
		"guess":     "neither calibrate nor score",
		"calibrate": "--checkpoint FILE is missing",
		"calibrate NET --data DIR/grid.npy --sample-steps 10": "tells them apart",
		// Before the computation, which would end with numbers that JSON does not have.
		"calibrate NET --data swissroll --samples DIR/one.npy --n 128":                "128 points of data and 1 generated samples; want at least 2",
		"calibrate NET --data swissroll --n 10":                                       "--n",
		"calibrate NET --data digits":                                                 "64 coordinates",
		"score NET --data swissroll":                                                  "--detector FILE and --data FILE are needed",
		"score NET --data swissroll --detector DIR/bad.json":                          "is not what detect calibrate writes",
		"calibrate NET --data swissroll --out DIR/none/x.json":                        "there is no folder",
		"calibrate NET --data swissroll --samples DIR/none.npy":                       "none.npy",
		"score NET --data swissroll --detector DIR/none.json":                         "none.json",
		"calibrate NET --data DIR/grid.npy --samples DIR/grid.npy --out DIR/grid.npy": "would replace",
	} {
		if _, err := call(context.Background(), dir, args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", args, err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := call(ctx, dir, "calibrate NET --data swissroll --n 200"); !errors.Is(err, ui.ErrInterrupted) {
		t.Errorf("interrupted: error %v", err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 3 {
		t.Errorf("failed runs leave %v", files)
	}
}

// TestVersion: a command with verbs has --version of its own.
func TestVersion(t *testing.T) {
	var out bytes.Buffer
	if err := run(context.Background(), []string{"--version"}, ui.Streams{Out: &out, Err: &out}); !errors.Is(err, pflag.ErrHelp) || !strings.HasPrefix(out.String(), "detect (hbar) ") {
		t.Errorf("%v: %s", err, out.String())
	}
}
