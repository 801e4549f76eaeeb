package sweepcmd

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/cmd/internal/ui"
)

// An option that the measures and methods would ignore is refused, with what would be right; nothing is computed.
func TestUnusedOptions(t *testing.T) {
	dir := t.TempDir()
	for args, want := range map[string]string{
		"--metric w2 --method flow":                          "--method is for the measure nll, and --metric is w2; add nll to --metric",
		"--classifier x.safetensors":                         "--classifier is for the measures fd and kd, and --metric is w2,nll; add fd or kd, or leave it out",
		"--groups 5":                                         "--groups is of the measures sliced, fd and kd, and --metric is w2,nll; add one",
		"--metric nll --n 50":                                "--n is a number of samples, and --metric is nll, which draws no samples; add w2 or sliced",
		"--metric sliced --repeats 4":                        "--repeats is of the measure w2, and --metric is sliced; add w2",
		"--metric nll --denoise":                             "--denoise is for samples",
		"--metric nll --last-noise mean":                     "--last-noise is for samples",
		"--metric nll --guidance 1":                          "--guidance is for samples",
		"--metric nll --sheet " + dir + "/s.png":             "--sheet is a picture of samples",
		"--metric nll --steps 9":                             "--steps is of samples and of pathintegral, and --method is flow,fokkerplanck; add pathintegral",
		"--metric nll --grid t":                              "--grid is of samples and of pathintegral",
		"--metric nll --method pathintegral --h 0 --steps 9": "--h has no constant above 0; name one",
		"--metric sliced --plot " + dir + "/p.png":           "--plot is a picture of the measure w2, and --metric is sliced",
		"--metric w2 --plot-nll " + dir + "/p.png":           "--plot-nll is a picture of likelihoods, and --metric is w2; add nll",
		"--metric w2 --nll-n 9":                              "--nll-n is a number of points for likelihoods, and --metric is w2; add nll",
		"--method none --nll-n 9":                            "--nll-n is a number of points for likelihoods, and --method is none; name it",
		"--metric w2 --margin 0":                             "--margin is of the measure nll, and --metric is w2",
		"--paths 9":                                          "--paths is of pathintegral, and --method is flow,fokkerplanck; add pathintegral",
		"--method pathintegral --h 1 --tol 1e-3":             "--tol is of flow and wkb, and --method is pathintegral; add flow",
		"--velocities 3":                                     "under a schedule of matrices, and the schedule is simple",
		"--method pathintegral --h 1 --precision fp64":       "--precision is fp64, of the paths of flow, and --method is pathintegral",
		"--method flow --h 0 --cells 64":                     "--cells is of fokkerplanck, and --method is flow; add fokkerplanck",
		"--method none --grid-tol 1e-3":                      "--grid-tol is of fokkerplanck, and --method is none",
		"--metric nll --bands 2":                             "--metric nll is none",
		"--repeats 0 --bands 2":                              "--bands goes by a measure of samples, and --metric is nll",
		"--metric nll --h 0@-2,1@2":                          "none of --h has a likelihood; name a constant, or a profile above 0 at all knots",
		"--metric w2,nll --h 0@-2,1@2 --nll-n 5":             "none of --h has a likelihood; name a constant",
		"--metric nll --method none":                         "--metric is nll and --method none leave nothing to measure",
		"--header yes":                                       "--header yes is for tables in files",
	} {
		all := append([]string{"--checkpoint", swissRoll, "--data", "swissroll", "--out", filepath.Join(dir, "x.json")}, strings.Fields(args)...)
		var out bytes.Buffer
		if err := run(context.Background(), all, ui.Streams{Out: &out, Err: io.Discard}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %s", args, err, want)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("refused runs leave %v", files)
	}
}
