package likelihoodcmd

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/ui"
)

// An option that the methods would ignore is refused, with what would be right; nothing is computed.
func TestUnusedOptions(t *testing.T) {
	dir := t.TempDir()
	points, five := knownFile(t), saved(t, 5, nil)
	two := "--checkpoint " + swissRoll + " --data " + points
	of5 := "--checkpoint " + five + " --data " + npy(t, 5, 1, 2, 3, 4, 5)
	cld := "--checkpoint " + saved(t, 4, func(m *checkpoint.Model) { m.Schedule = "cld" }) + " --data " + points
	unet := "--checkpoint " + golden(t, "unet_center", "UNet2DModel") + " --data " + images(t, 1, 8, 4, 2)
	const paths = ", and --method is flow; add pathintegral, or leave it out"
	for args, want := range map[string]string{
		two + " --slope-steps 8":                                                     "--slope-steps is the mesh of ℓ₁, and --method is flow; add wkb, or leave it out",
		unet + " --bits --slope-steps 8":                                             "--slope-steps is the mesh of ℓ₁, and --method is flow; add wkb",
		two + " --slope-steps 8 --method wkb --h 0.1":                                "in D = 2 under schedule simple, wkb has steps by --tol; leave it out",
		two + " --slope-steps 8 --method flow,pathintegral":                          "--method is flow,pathintegral; add wkb",
		two + " --flow-steps 8 --method pathintegral --h 1":                          "--flow-steps is the mesh of the flow, and --method is pathintegral; add flow",
		two + " --flow-steps 8 --method wkb --h 0.1":                                 "wkb integrates Taylor polynomials in float64 with steps of its own; add flow",
		two + " --tol 1e-3 --method pathintegral --h 1":                              "--tol is of flow and wkb, and --method is pathintegral; add flow",
		of5 + " --flow-steps 8 --tol 1e-3 --h 0,1 --method flow,pathintegral":        "--tol is of flow and wkb, and all steps here are those of --flow-steps",
		unet + " --flow-steps 8 --slope-steps 8 --tol 1e-3 --h 0 --method flow,wkb":  "all steps here are those of --flow-steps and --slope-steps; name one or the other",
		two + " --divergence rademacher --method fokkerplanck --h 1":                 "--divergence is of the flow, and --method is fokkerplanck; add flow",
		two + " --probes 3":                                                          "in D = 2 under schedule simple, the divergence is exact; add --divergence rademacher",
		of5 + " --probes 3 --method pathintegral --h 1":                              "--probes is of Hutchinson's estimator, and --method is pathintegral; add flow",
		two + " --probes 3 --method wkb --h 1":                                       "wkb integrates Taylor polynomials",
		of5 + " --probes 3 --method wkb --h 1":                                       "the divergence is exact",
		two + " --order 1":                                                           "--order is 1, an order of the expansion, and --method is flow; add wkb",
		of5 + " --order 2 --method wkb --h 1":                                        "in D = 5 under schedule simple, there is the first alone; name 1",
		two + " --velocities 3":                                                      "under a schedule of matrices, and here, in D = 2 under schedule simple, there are none",
		two + " --precision fp64 --method pathintegral --h 1":                        "--precision is fp64, of the flow, and --method is pathintegral; add flow",
		two + " --paths 3":                                                           "--paths is of pathintegral" + paths,
		two + " --steps 4":                                                           "--steps is of the chain of pathintegral" + paths,
		two + " --sampler exp":                                                       "--sampler is of the chain of pathintegral" + paths,
		two + " --grid t":                                                            "--grid is of the chain of pathintegral" + paths,
		two + " --richardson":                                                        "--richardson is of pathintegral" + paths,
		two + " --bootstrap 9":                                                       "--bootstrap is of pathintegral" + paths,
		two + " --min-ess 9":                                                         "--min-ess is of pathintegral" + paths,
		two + " --min-ess 9 --method all --h 0":                                      "--min-ess is of pathintegral, and --h is 0; name an h > 0, or leave it out",
		two + " --cells 64":                                                          "--cells is of fokkerplanck, and --method is flow; add fokkerplanck, or leave it out",
		two + " --grid-tol 1e-3 --method all --h 0":                                  "--grid-tol is of fokkerplanck, and --h is 0; name an h > 0",
		of5 + " --cells 64 --method all --h 1":                                       "--cells is of fokkerplanck, and here, in D = 5 under schedule simple, there is no grid; leave it out",
		two + " --method pathintegral --h 0":                                         "--method pathintegral is for h > 0, and --h is 0; name an h > 0",
		two + " --method flow,fokkerplanck --h 0":                                    "--method fokkerplanck is for h > 0, and --h is 0",
		two + " --method wkb --bits --h 0":                                           "--bits is by flow and pathintegral, and here, in D = 2 under schedule simple, wkb integrates Taylor polynomials",
		two + " --method flow,wkb --dequantise uniform --h 0":                        "--dequantise is a noise on the points, and here, in D = 2 under schedule simple, wkb expands at the points themselves",
		"--checkpoint " + swissRoll + " --generated 2 --h 1 --columns 1-2":           "--columns is of a table in a file, and --generated 2 makes the points; leave it out",
		"--checkpoint " + swissRoll + " --generated 2 --h 1 --header no":             "--header is of a table in a file",
		two + " --h 1 --method pathintegral --own-score x.safetensors --own-paths 9": "--own-paths are those of --own-score fit, and --own-score is x.safetensors",
		cld + " --slope-steps 4 --method wkb --h 0":                                  "schedule cld, wkb has steps by --tol; leave it out",
	} {
		err := run(context.Background(), append(strings.Fields(args), "--out", filepath.Join(dir, "r.json")), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %s", args, err, want)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("refused runs leave %v", files)
	}
}

// The mesh of ℓ₁ is that of networks of dense layers too, where the expansion is by probes: other meshes give other values, and finer
// ones come together.
func TestSlopeStepsOfMLP(t *testing.T) {
	path := saved(t, 7, nil)
	args := "--checkpoint " + path + " --data " + npy(t, 7, 1, -1, 0.5, 2, 0, -0.3, 0.1) + " --method wkb --h 0 --tol 1e-7 --probes 4 --slope-steps "
	value := func(steps string) float64 {
		r, _, _ := evaluate(t, args+steps)
		return *r.Points[0].WKB1
	}
	coarse, fine, finer := value("4"), value("32"), value("64")
	// fourth order: 32 and 64 steps differ by less than a hundredth of what 4 steps are off
	if a, b := coarse-finer, fine-finer; a == 0 || b*b > 1e-4*a*a {
		t.Errorf("ℓ₁ with 4, 32 and 64 steps: %g, %g, %g", coarse, fine, finer)
	}
}
