package likelihoodcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/nets"
	"hbar/samples"
	"hbar/solver"
	"hbar/solver/exact"
)

// exactNet is a network of images of 4×4 pixels that always returns 0. As a network that predicts the noise with EDM's weights of deviation
// σ_data it is the exact model of pixels N(127.5, (127.5 σ_data)²).
func exactNet(t *testing.T, c nets.Config, prediction string) string {
	t.Helper()
	net, err := nets.New(c)
	if err != nil {
		t.Fatal(err)
	}
	net.Initialise(1) // U-Net and DiT begin with a last layer of zeros
	m := &checkpoint.Model{Net: net, Schedule: "cosine", Prediction: prediction, SigmaData: 0.5, Norm: data.BytesNormalisation()}
	path := filepath.Join(t.TempDir(), c.Kind()+".safetensors")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// wrongSlopes: a network that predicts no noise has the score 0, which is that of a Gaussian made wrong by the factor 1 + ε = 0. Its ℓ₁ is known
// in closed form, whatever the Gaussian. All of it is in the spread of the paths, so that random times alone make the error.
func wrongSlopes(t *testing.T, model, points, out string, s solver.Schedule) {
	t.Helper()
	args := "--device cpu --checkpoint " + model + " --data " + points + " --method wkb --h 0.1 --class none --n 2 --flow-steps 4 --slope-steps 6 --probes 12 --out " + out
	if !strings.Contains(model, "dit") {
		args = strings.Replace(args, "--class none ", "", 1)
	}
	if err := run(context.Background(), strings.Fields(args), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Points []struct {
			X     []float64
			L1    float64 `json:"wkb1"`
			L1Err float64 `json:"wkb1_stderr"`
		}
	}
	if err := json.Unmarshal(b, &f); err != nil || len(f.Points) != 2 {
		t.Fatal(err)
	}
	g, err := exact.NewGaussian(s, make([]float64, 16), []float64{1}, -1)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range f.Points {
		x := make([]float64, len(p.X))
		for j, v := range p.X {
			x[j] = v/127.5 - 1
		}
		if want := g.Expand(x, s.Tmin()).L1; !(math.Abs(p.L1-want) < 4.5*p.L1Err+2e-2*math.Abs(want)) || !(p.L1Err < 0.5*math.Abs(want)) {
			t.Errorf("%s, point %d: ℓ₁ = %g ± %g, exact %g", model, i, p.L1, p.L1Err, want)
		}
	}
}

// TestSlopesOfNetworks: of a network that is the exact model of a Gaussian ℓ₁ is that of the prior's difference from the process at Tmax
// alone, almost zero, for a U-Net and a transformer, with and without labels, and the path integral agrees.
func TestSlopesOfNetworks(t *testing.T) {
	shape := []int{4, 4, 1}
	unet, err := nets.NewUNet(shape, 0, nets.UNetSizes{Channels: []int{4, 4}, Layers: 1, AttentionResolutions: []int{2}})
	if err != nil {
		t.Fatal(err)
	}
	dit, err := nets.NewDiT(shape, 3, nets.DiTSizes{Patch: 2, Width: 8, Depth: 1, Heads: 2})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	points := filepath.Join(dir, "x.npz")
	w, err := samples.Create(points, samples.Options{N: 4, Shape: shape, Label: func(i int) int { return i % 3 }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		x := make([]float64, 16)
		for j := range x {
			x[j] = 127 + 60*math.Sin(float64(3*i+j))
		}
		if err := w.WriteFloat64(x); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	schedule, err := solver.NewSchedule("cosine", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []nets.Config{unet, dit} {
		if testing.Short() && c.Kind() == "dit" {
			continue
		}
		wrongSlopes(t, exactNet(t, c, "eps"), points, filepath.Join(dir, "wrong.json"), schedule)
		out := filepath.Join(dir, c.Kind()+".json")
		var text bytes.Buffer
		args := "--device cpu --checkpoint " + exactNet(t, c, "edm") + " --data " + points + " --method flow,wkb,pathintegral --h 0,0.1,1 --dequantise uniform --flow-steps 6 --slope-steps 6 --probes 2 --steps 8 --sampler exp --paths 10 --out " + out
		if err := run(context.Background(), strings.Fields(args), ui.Streams{Out: &text, Err: &bytes.Buffer{}}); err != nil {
			t.Fatalf("%s: %v", c.Kind(), err)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		var f struct {
			Expansion struct {
				First struct {
					Mean, StdErr float64
					N            int
				} `json:"first_correction"`
				Agreement []struct {
					H      float64
					Agrees *bool
					Linear struct{ Value float64 }
				}
				Trust *float64 `json:"trust_radius"`
			}
		}
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		e := f.Expansion
		// log π(x_T) against the process's own density at Tmax leaves 10⁻³ nats; a mesh of 8 steps some 10⁻² of a score of order D.
		if e.First.N != 4 || !(math.Abs(e.First.Mean) < 0.1) || len(e.Agreement) != 2 || e.Agreement[0].H != 0.1 || math.Abs(e.Agreement[1].Linear.Value-e.First.Mean) > 1e-9 {
			t.Errorf("%s: %+v\n%s", c.Kind(), e, text.String())
		}
	}
}
