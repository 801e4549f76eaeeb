package likelihoodcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hbar/checkpoint"
	"hbar/cmd/internal/ui"
)

// numbersOf is a result without what differs from run to run.
func numbersOf(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r map[string]any
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	delete(r, "seconds")
	delete(r["options"].(map[string]any), "out")
	out, _ := json.Marshal(r)
	return string(out)
}

// A run that is stopped keeps its blocks and goes on with them, to the bits of a run that was left alone.
func TestResume(t *testing.T) {
	dir := t.TempDir()
	whole, half := filepath.Join(dir, "whole.json"), filepath.Join(dir, "half.json")
	args := "--checkpoint " + golden(t, "unet_center", "UNet2DModel") + " --data " + images(t, 3, 8, 4, 2) + " --device cpu --dequantise uniform --draws 2 --divergence rademacher --probes 2 --flow-steps 4 --h 0,1 --paths 40 --steps 6 --out "
	do := func(ctx context.Context, file string, more string, w ui.Streams) error {
		return run(ctx, strings.Fields(args+file+more), w)
	}
	quiet := ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}
	if err := do(context.Background(), half, " --resume", quiet); err == nil || !strings.Contains(err.Error(), "there is no "+half+".part") {
		t.Errorf("nothing to go on with: %v", err)
	}
	if err := do(context.Background(), whole, "", quiet); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go stopAtLines(ctx, half+".part", 3, cancel)
	err := do(ctx, half, "", quiet)
	if err == nil || !strings.Contains(err.Error(), "with --resume goes on") {
		t.Fatalf("stopped: %v", err)
	}
	if err := do(context.Background(), half, " --resume --seed 1", quiet); err == nil || !strings.Contains(err.Error(), "of another command") {
		t.Errorf("another seed: %v", err)
	}
	var out bytes.Buffer
	if err := do(context.Background(), half, " --resume", ui.Streams{Out: &out, Err: &bytes.Buffer{}}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "blocks of "+half+".part") {
		t.Error(out.String())
	}
	if a, b := numbersOf(t, whole), numbersOf(t, half); a != b {
		t.Errorf("left alone %s\ngone on with %s", a, b)
	}
	if _, err := os.Stat(half + ".part"); !os.IsNotExist(err) {
		t.Errorf("%s.part is left: %v", half, err)
	}
}

// stopAtLines stops the run when its journal has so many lines.
func stopAtLines(ctx context.Context, part string, lines int, stop func()) {
	for ctx.Err() == nil {
		if text, err := os.ReadFile(part); err == nil && bytes.Count(text, []byte("\n")) >= lines {
			stop()
		}
		time.Sleep(time.Millisecond)
	}
}

// Differences between strengths and models are those of pairs, whose errors are below that of either mean.
func TestDifferences(t *testing.T) {
	a, b := saved(t, 2, nil), saved(t, 2, func(m *checkpoint.Model) {
		for i := range m.Params[0].Data {
			m.Params[0].Data[i] *= 1.01
		}
	})
	dir := t.TempDir()
	data := npy(t, 2, 0, 1, 1, 0, -1, 1, 2, 0, 1, 1, 0, 2)
	first, second := filepath.Join(dir, "a.json"), filepath.Join(dir, "b.json")
	args := " --data " + data + " --device cpu --dequantise uniform --draws 2 --flow-steps 32 --h 0,1 --paths 200 --steps 60"
	quiet := ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}
	if err := run(context.Background(), strings.Fields("--checkpoint "+a+args+" --out "+first), quiet); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(context.Background(), strings.Fields("--checkpoint "+b+args+" --against "+first+" --out "+second), ui.Streams{Out: &out, Err: &bytes.Buffer{}}); err != nil {
		t.Fatal(err)
	}
	type perDim struct {
		PerDim float64 `json:"bits_per_dim"`
		StdErr float64 `json:"bits_per_dim_stderr"`
	}
	type read struct {
		AtH     []perDim `json:"bits_per_dim_at_h"`
		Against *struct {
			AtH []map[string]float64 `json:"at_h"`
		}
		Differences []map[string]float64
	}
	var r, other read
	for file, into := range map[string]any{first: &other, second: &r} {
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if r.Against == nil || len(r.Against.AtH) != 2 || len(r.Differences) != 1 {
		t.Fatalf("%+v, %+v", r.Against, r.Differences)
	}
	for j, d := range r.Against.AtH {
		if got, want := d["bits_per_dim"], r.AtH[j].PerDim-other.AtH[j].PerDim; got-want > 1e-12 || want-got > 1e-12 { // roundings of a mean
			t.Errorf("h = %g: %g, difference of the means %g", d["h"], got, want)
		}
		if !(d["bits_per_dim_stderr"] < r.AtH[j].StdErr/4) || d["n"] != 6 {
			t.Errorf("h = %g: %v, each ± %g", d["h"], d, r.AtH[j].StdErr)
		}
	}
	d := r.Differences[0]
	if got, want := d["bits_per_dim"], r.AtH[1].PerDim-r.AtH[0].PerDim; got-want > 1e-12 || want-got > 1e-12 { // roundings of a mean
		t.Errorf("from h = 0 to 1: %g, difference of the means %g", got, want)
	}
	if strings.Count(out.String(), "against  ") != 2 || strings.Count(out.String(), "change    from h = 0 to 1") != 1 {
		t.Error(out.String())
	}
	for more, want := range map[string]string{
		" --seed 4":   "has --seed 0, and this run 4; pairs need the same noise",
		" --n 3":      "is of other points",
		" --h 0.5":    "none of which is computed here",
		" --draws 1 ": "has --draws 2, and this run 1",
	} {
		err := run(context.Background(), strings.Fields("--checkpoint "+b+args+" --against "+first+" --out "+second+more), quiet)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", more, err)
		}
	}
	if err := run(context.Background(), strings.Fields("--checkpoint "+b+args+" --against "+data+" --out "+second), quiet); err == nil || !strings.Contains(err.Error(), "is no result of likelihood") {
		t.Error(err)
	}
}
