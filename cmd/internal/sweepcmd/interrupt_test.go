package sweepcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/cmd/internal/cmdtest"
	"hbar/cmd/internal/ui"
)

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	base := "--checkpoint " + swissRoll + " --data swissroll --out " + filepath.Join(dir, "r.json")
	for args, want := range map[string]string{
		"--h 0,1":                                      "--checkpoint FILE is missing",
		"--checkpoint none.safetensors":                "no checkpoint none.safetensors",
		base + " --h -1":                               "--h: -1 is out of range; need ≥ 0",
		base + " --h 0,0":                              "--h names 0 twice",
		base + " --steps 10.5":                         "10.5 is not a whole number",
		base + " --repeats 2":                          "--repeats 2 is too few",
		base + " --repeats 0 --method none":            "leave nothing to measure",
		base + " --method flux":                        `method "flux" unknown; have flow`,
		base + " --method pathintegral --sampler exp2": "not exp2",
		base + " --plot none/x.png":                    "there is no folder none",
		base + " --data digits":                        "have 64 coordinates; the network of this checkpoint has D = 2",
		base + " --device cuda:9":                      "--device cuda:9: cuda: ",
		base + " --precision f16":                      "half precision has too few digits for a density; have fp32, fp64",
		base + " --confidence 1":                       "--confidence: 1 is out of range",
		base + " --plot-nll x.png --method none":       "--plot-nll shows likelihoods",
	} {
		err := run(context.Background(), strings.Fields(args), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", args, err, want)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("failed runs leave %v", files)
	}
}

func TestInterrupt(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, args := range []string{"--method none --n 50", "--repeats 0 --nll-n 5"} {
		err := run(ctx, strings.Fields("--checkpoint "+swissRoll+" --data swissroll --out "+filepath.Join(dir, "r.json ")+args), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
		if !errors.Is(err, ui.ErrInterrupted) {
			t.Errorf("%s: error %v", args, err)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("an interrupted run leaves %v", files)
	}
}

// A sweep that is stopped keeps what is complete: here all distances, and no likelihood.
func TestInterruptKeeps(t *testing.T) {
	out := filepath.Join(t.TempDir(), "r.json")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	args := "--checkpoint " + swissRoll + " --device cpu --data swissroll --h 0,1 --steps 20 --n 50 --repeats 4 --nll-n 20 --out " + out + " --csv " + out + ".csv"
	err := run(ctx, strings.Fields(args), ui.Streams{Out: &bytes.Buffer{}, Err: cmdtest.StopAt{Text: "flow points", Stop: cancel}})
	if !errors.Is(err, ui.ErrInterrupted) || !strings.Contains(err.Error(), "what was measured is in "+out) {
		t.Fatalf("error %v", err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Interrupted     bool
		Cells           []Cell
		NLL             []any
		Recommendations []any
	}
	if err := json.Unmarshal(b, &r); err != nil || !r.Interrupted || len(r.Cells) != 2 || len(r.NLL) != 0 || len(r.Recommendations) != 1 {
		t.Errorf("interrupted %t, %d cells, %d likelihoods, %d recommendations, %v", r.Interrupted, len(r.Cells), len(r.NLL), len(r.Recommendations), err)
	}
}
