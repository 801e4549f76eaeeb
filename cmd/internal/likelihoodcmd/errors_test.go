package likelihoodcmd

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/cmd/internal/ui"
)

// Every dimension: expansion by Taylor polynomials up to 3, by estimators beyond; the grid up to 2.
func TestDimensions(t *testing.T) {
	for _, d := range []int{1, 3, 5} {
		path := saved(t, d, nil)
		x := make([]float64, 2*d)
		for i := range x {
			x[i] = math.Sin(float64(i))
		}
		r, _, _ := evaluate(t, fmt.Sprintf("--checkpoint %s --method all --h 0,0.5 --paths 100 --steps 100 --min-ess 1 --data %s", path, npy(t, d, x...)))
		for i, p := range r.Points {
			if p.Status != "ok" || p.LogQ0 == nil || p.WKB1 == nil || p.LogQ_[1] == nil || (p.WKB2 != nil) != (d <= 2) || (p.Laplacian != nil) != (d <= 3) || (p.Grid != nil) != (d <= 2) {
				t.Errorf("D = %d, point %d: %+v", d, i, p)
			}
			if d == 1 && !near(p.Path[1], *p.Grid[1], 4**p.PathErr[1]+0.01) {
				t.Errorf("path integral %v ± %v, grid %v", *p.Path[1], *p.PathErr[1], *p.Grid[1])
			}
		}
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	points := knownFile(t)
	base := "--checkpoint " + swissRoll + " --out " + filepath.Join(dir, "r.json") + " --data " + points
	nan := filepath.Join(t.TempDir(), "nan.csv")
	if err := os.WriteFile(nan, []byte("1,2\nNaN,4\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	five := saved(t, 5, nil)
	for args, want := range map[string]string{
		"--data swissroll":                                "--checkpoint FILE is missing",
		"--checkpoint none.safetensors":                   "no checkpoint none.safetensors",
		base + " --h -0.1 --method wkb":                   "--h: -0.1 is out of range; need ≥ 0",
		base + " --h NaN":                                 "--h: NaN is out of range",
		base + " --h 0.1,0.1 --method wkb":                "--h names 0.1 twice",
		base + " --h 0,0.1 --method flow":                 "--method flow gives h = 0 only; for h = 0.1 use wkb, pathintegral",
		base + " --method flux":                           `--method: method "flux" unknown; have flow, wkb, pathintegral, fokkerplanck, all`,
		base + " --schedule cosin":                        `schedule "cosin" unknown; have simple, cosine`,
		base + " --sampler exp2":                          `--sampler: "exp2" unknown; have em, exp`,
		base + " --steps 3 --richardson":                  "--steps 3 should be even",
		base + " --cells 100 --method fokkerplanck --h 1": "2^k or 3·2^k",
		base + " --n 4":                                   "has 3 samples; asked for 4",
		base + " --image q.png":                           "--method is flow; add fokkerplanck",
		base + " --out none/r.json":                       "there is no folder none",
		base + " --csv " + dir:                            "is a directory",
		base + " --device cuda:9":                         "--device cuda:9: cuda: ",
		base + " --precision f16":                         "half precision has too few digits for a density; have fp32, fp64",
		base + " --data " + nan:                           "coordinate 0 (line 2, column 1) is NaN",
		base + " --data digits":                           "the points of digits have 64 coordinates; the network of this checkpoint has D = 2",
		base + " --data swisroll":                         `set "swisroll" unknown`,
		"--checkpoint " + five + " --method fokkerplanck --h 1 --data " + npy(t, 5, 1, 2, 3, 4, 5): "D = 1 or 2, and the network has 5",
		"--checkpoint " + five: "have swissroll, gaussians25",
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

// One point has no standard error over points: the tables say so, and the file has null.
func TestOnePoint(t *testing.T) {
	for _, args := range []string{
		"--data swissroll --n 1 --method flow,wkb,pathintegral --h 0,0.1 --paths 50 --steps 50 --plot DIR/p.png",
		"--generated 1 --h 0,0.5 --method flow,pathintegral --paths 50 --steps 50 --bits",
	} {
		r, dir, out := evaluate(t, "--checkpoint "+swissRoll+" "+args)
		b, err := os.ReadFile(filepath.Join(dir, "r.json"))
		if err != nil || bytes.Contains(b, []byte("NaN")) || strings.Contains(out, "NaN") || !strings.Contains(out, "one point has no standard error over points: –") {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
		for _, s := range r.Summary {
			if s.N != 1 || s.Mean == nil || s.StdErr != nil {
				t.Errorf("%s: %+v", args, s)
			}
		}
	}
}

// A status that a user can do something about comes with what to do.
func TestAdvice(t *testing.T) {
	_, _, out := evaluate(t, "--checkpoint "+swissRoll+" --data "+npy(t, 2, 1e6, 1e6, 0.5, 0.5))
	if !strings.Contains(out, "1 point: path diverges; the probability flow carries them off") || !strings.Contains(out, "--method pathintegral") {
		t.Errorf("report:\n%s", out)
	}
}
