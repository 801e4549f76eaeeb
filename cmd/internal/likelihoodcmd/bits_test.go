package likelihoodcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/cmdtest"
	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/ui"
	"hbar/nets"
)

// golden is a directory as diffusers writes it, of a network with random weights from nets/testdata/golden.
func golden(t *testing.T, name, class string) string {
	t.Helper()
	base := "../../../nets/testdata/golden/nets_" + name
	text, err := os.ReadFile(base + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var g struct{ Config map[string]any }
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	g.Config["_class_name"] = class
	config, _ := json.Marshal(g.Config)
	weights, err := os.ReadFile(base + ".safetensors")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for file, b := range map[string][]byte{"config.json": config, "diffusion_pytorch_model.safetensors": weights} {
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// images writes n images of bytes of that shape, with a rule that other programs can repeat.
func images(t *testing.T, n int, shape ...int) string {
	t.Helper()
	size := 1
	dims := []string{fmt.Sprint(n)}
	for _, s := range shape {
		size *= s
		dims = append(dims, fmt.Sprint(s))
	}
	head := fmt.Sprintf("{'descr': '|u1', 'fortran_order': False, 'shape': (%s,), }", strings.Join(dims, ", "))
	head += strings.Repeat(" ", 127-10-len(head)) + "\n"
	b := append([]byte("\x93NUMPY\x01\x00"), byte(len(head)), 0)
	b = append(b, head...)
	for i := range n * size {
		b = append(b, byte(i*i*31%256))
	}
	path := filepath.Join(t.TempDir(), "images.npy")
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// bitsResult is what readers of bits see.
type bitsResult struct {
	PerDim *float64            `json:"bits_per_dim"`
	Tight  *float64            `json:"bits_per_dim_tight"`
	StdErr *float64            `json:"bits_per_dim_stderr"`
	Shares map[string]*float64 `json:"bits_per_dim_shares"`
	Kind   string              `json:"bits_per_dim_kind"`
	Points []struct {
		PerDim *float64   `json:"bits_per_dim"`
		Tight  *float64   `json:"bits_per_dim_tight"`
		StdErr *float64   `json:"bits_per_dim_stderr"`
		LogQ   []*float64 `json:"log_q"`
		Kind   []string
		Draws  int
		Status string
	}
}

func bits(t *testing.T, args string) (r bitsResult, out string) {
	t.Helper()
	return read[bitsResult](t, args)
}

// read runs the command, which must not fail, and reads its result as an R.
func read[R any](t *testing.T, args string) (r R, out string) {
	t.Helper()
	r, _, text, err := cmdtest.Result[R](t, run, args)
	if err != nil {
		t.Fatalf("%s: %v", args, err)
	}
	return r, text.String()
}

// A published U-Net has the bits per dimension that PyTorch computes, in float64 with the exact divergence and one Runge–Kutta step
// between any two of the 1000 states of the discrete chain. With 128 steps the mesh leaves some 0.006 bits for these random weights,
// whose output changes quickly with the time.
func TestBitsPyTorch(t *testing.T) {
	if testing.Short() {
		t.Skip("50 000 vector–Jacobian products")
	}
	r, _ := bits(t, "--checkpoint "+golden(t, "unet_center", "UNet2DModel")+" --data "+images(t, 2, 8, 4, 2)+" --n 1 --bits --flow-steps 128")
	const want = 17.278674136138562 // the second image: 17.43941898714373
	if r.Kind != "value" || !near(r.PerDim, want, 0.01) {
		t.Errorf("%v, %s; want %g", show(r.PerDim), r.Kind, want)
	}
}

// Draws give a bound with its error and shares, and with the exact divergence a tighter one.
func TestBitsDraws(t *testing.T) {
	net, x := golden(t, "unet_center", "UNet2DModel"), images(t, 3, 8, 4, 2)
	args := "--checkpoint " + net + " --data " + x + " --bits --flow-steps 16 --divergence rademacher "
	none, out := bits(t, args+"--probes 2")
	if none.Kind != "estimate" || none.Tight != nil || none.Shares["dequantisation"] != nil || !strings.Contains(out, "not bits per dimension") {
		t.Errorf("without dequantisation: %+v\n%s", none, out)
	}
	for _, kind := range []string{"uniform", "truncnorm"} {
		r, out := bits(t, args+"--probes 2 --draws 2 --dequantise "+kind)
		mean, sum := 0.0, 0.0
		for i, p := range r.Points {
			if p.Status != "ok" || p.Draws != 2 || strings.Join(p.Kind, "") != "bound" || p.StdErr == nil || p.Tight != nil {
				t.Fatalf("%s: point %d: %+v", kind, i, p)
			}
			mean += *p.PerDim / 3
		}
		for _, s := range r.Shares {
			if s != nil { // that of paths
				sum += *s * *s
			}
		}
		const rounding = 1e-13 // of a mean of some numbers of size one
		if math.Abs(*r.PerDim-mean) > rounding || math.Abs(*r.PerDim-*none.PerDim) > 4*(*r.StdErr+*none.StdErr) || strings.Contains(out, "not bits") {
			t.Errorf("%s: %g, points' mean %g, without %g\n%s", kind, *r.PerDim, mean, *none.PerDim, out)
		}
		if sum < 0.99**r.StdErr**r.StdErr { // a share that chance made negative is 0, and the others are then more
			t.Errorf("%s: shares %v of %g", kind, sum, *r.StdErr)
		}
		if r.Tight != nil || r.Kind != "bound" {
			t.Errorf("%s: tight %v with probes, %s", kind, show(r.Tight), r.Kind)
		}
	}
}

// An MLP on a table of whole numbers: exact divergence, the tight bound below the mean, the mesh and the tolerance agree.
func TestBitsExact(t *testing.T) {
	path := saved(t, 2, nil)
	args := "--checkpoint " + path + " --data " + npy(t, 2, 0, 1, 1, 0, -1, 1) + " --dequantise uniform --draws 8 "
	mesh, _ := bits(t, args+"--flow-steps 200")
	adaptive, _ := bits(t, args+"--tol 1e-5")
	const solver = 1e-6 // bits: 200 fixed steps of fourth order, and tolerances of 1e-5 a point, which errors stay well below
	if mesh.Tight == nil || !(*mesh.Tight < *mesh.PerDim) || math.Abs(*mesh.PerDim-*adaptive.PerDim) > solver || math.Abs(*mesh.Tight-*adaptive.Tight) > solver {
		t.Errorf("bits %v, tight %v; by tolerance %v, %v", show(mesh.PerDim), show(mesh.Tight), show(adaptive.PerDim), show(adaptive.Tight))
	}
	if mesh.Shares["solver"] == nil || adaptive.Shares["solver"] != nil || *mesh.Shares["probes"] != 0 {
		t.Errorf("shares %v, %v", mesh.Shares, adaptive.Shares)
	}
}

func TestBitsErrors(t *testing.T) {
	net, x := golden(t, "unet_center", "UNet2DModel"), images(t, 3, 8, 4, 2)
	base := "--checkpoint " + net + " --out " + filepath.Join(t.TempDir(), "r.json") + " --data " + x
	small := make([]float64, 64)
	for i := range small {
		small[i] = float64(i) / 64
	}
	for args, want := range map[string]string{
		base + " --bits --method fokkerplanck --h 1":                                 "--bits and --dequantise are for --method flow, wkb and pathintegral",
		base + " --bits --method flow,fokkerplanck --h 1":                            "not for flow,fokkerplanck",
		"--checkpoint " + net + " --generated 2 --h 0.1,1":                           "at one h > 0, and --h has 2 of them",
		"--checkpoint " + net + " --generated 2":                                     "at one h > 0, and --h has 3 of them",
		base + " --generated 2 --h 1":                                                "leave --data and --n out",
		"--checkpoint " + net + " --generated 2 --h 1 --dequantise uniform":          "leave --dequantise out",
		"--checkpoint " + net + " --generated 2 --h 1 --richardson":                  "leave --richardson out",
		base + " --bits --draws 2":                                                   "--dequantise is none; take uniform or truncnorm",
		base + " --draws 2":                                                          "name it with --dequantise uniform or truncnorm",
		base + " --bits --flow-steps 3":                                              "need an even number",
		base + " --bits --flow-steps 4 --tol 1e-3":                                   "--flow-steps 4 and --tol are two ways",
		base + " --bits --dequantise gauss":                                          "uniform, truncnorm, none",
		base + " --bits --class 1":                                                   "--class: this network was trained without labels",
		base + " --bits --data " + images(t, 1, 4, 8, 2):                             "are 4×8×2; the network of this checkpoint was trained on 8×4×2",
		base + " --dequantise uniform --data " + npy(t, 64, small...):                "from 0 to 0.984375; the network was trained on pixels from 0 to 255",
		"--checkpoint " + swissRoll + " --dequantise uniform --data swissroll --n 2": "dequantisation is for whole numbers",
	} {
		err := run(context.Background(), strings.Fields(args), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %s", args, err, want)
		}
	}
}

// A run that is stopped keeps the points that are done.
func TestBitsInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o := defaults()
	o.Checkpoint, o.Data, o.Device.Kind = saved(t, 2, nil), npy(t, 2, make([]float64, 2*4097)...), "cpu"
	net, err := loglik.LoadNetwork(o.Flags)
	if err != nil {
		t.Fatal(err)
	}
	defer net.Close()
	p, err := net.LoadPoints(o.Source, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	stop := func(_ string, done, _ int) {
		if done >= 4096*40 { // steps of points
			cancel()
		}
	}
	r, err := net.Flow(ctx, p, loglik.Options{Progress: stop}, loglik.BitsOptions{Dequantise: loglik.DequantiseNone, Draws: 1, Steps: 40})
	if !errors.Is(err, context.Canceled) || r == nil {
		t.Fatalf("%v, %v", r, err)
	}
	if last := r.Points[4096]; r.Points[0].Status != loglik.OK || r.N != 4096 || !finite(r.PerDim) || last.Status != loglik.Interrupted || finite(last.PerDim) {
		t.Errorf("%d points, the last %+v", r.N, last)
	}
}

// Each point is under its own label: what it has when all points have that label.
func TestBitsLabels(t *testing.T) {
	path := conditional(t)
	o := defaults()
	o.Checkpoint, o.Data, o.Device.Kind, o.FlowSteps = path, images(t, 3, 4, 4, 1), "cpu", 4
	net, err := o.load()
	if err != nil {
		t.Fatal(err)
	}
	defer net.Close()
	p, err := net.LoadPoints(o.Source, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.labels(net, p); err == nil || !strings.Contains(err.Error(), "takes one of 3 classes, and images.npy has no labels") {
		t.Errorf("without labels: %v", err)
	}
	under := func(labels ...int32) []loglik.PointBits {
		p.Labels = labels
		each, err := o.labels(net, p)
		if err != nil {
			t.Fatal(err)
		}
		r, err := net.Flow(context.Background(), p, loglik.Options{}, loglik.BitsOptions{Dequantise: loglik.DequantiseNone, Draws: 1, Steps: 4, Labels: each})
		if err != nil {
			t.Fatal(err)
		}
		return r.Points
	}
	mixed, ones, twos := under(1, 2, 1), under(1, 1, 1), under(2, 2, 2)
	for i, want := range []float64{ones[0].PerDim, twos[1].PerDim, ones[2].PerDim} {
		const rounding = 1e-6 // of float32 values, whose sums go by the place in a block
		if math.Abs(mixed[i].PerDim-want) > rounding || ones[i].PerDim == twos[i].PerDim {
			t.Errorf("point %d: %g, alone %g; by class %g, %g", i, mixed[i].PerDim, want, ones[i].PerDim, twos[i].PerDim)
		}
	}
	p.Labels = []int32{0, 3, 0}
	if _, err := o.labels(net, p); err == nil || !strings.Contains(err.Error(), "has the label 3; the network has the classes 0 to 2") {
		t.Errorf("label 3: %v", err)
	}
}

// The mean over classes is the mean of the densities under each class, of flow and path integral alike.
func TestMarginal(t *testing.T) {
	path := conditional(t)
	x := images(t, 2, 4, 4, 1)
	base := "--checkpoint " + path + " --data " + x + " --flow-steps 8"
	args := base + " --h 0,1 --method flow,pathintegral --paths 12 --steps 8 --min-ess 1e-9"
	all, _ := bounds(t, args+" --class marginal")
	var each []boundsResult
	for _, class := range []string{"0", "1", "2"} {
		r, _ := bounds(t, args+" --class "+class)
		each = append(each, r)
	}
	for i, p := range all.Points {
		for j := range 2 {
			sum := 0.0
			for _, r := range each {
				sum += math.Exp(*r.Points[i].LogQ[j]-*p.LogQ[j]) / 3
			}
			if math.Abs(sum-1) > 1e-6 || *each[0].Points[i].LogQ[j] == *each[1].Points[i].LogQ[j] { // float32 values of three flows
				t.Errorf("point %d: mean of the densities over the marginal one: %g", i, sum)
			}
		}
	}
	for more, want := range map[string]string{
		"":                                     "has no labels; name the class of all points with --class K, or take the mean over classes with --class marginal",
		" --method wkb --h 0":                  "has no labels; name the class of all points",
		" --class marginal --method wkb --h 0": "--class marginal is for --method flow and pathintegral",
	} {
		err := run(context.Background(), append(strings.Fields(base+more), "--out", filepath.Join(t.TempDir(), "r.json")), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", more, err)
		}
	}
}

// conditional is a small transformer with three classes.
func conditional(t *testing.T) string {
	t.Helper()
	n, err := nets.New(nets.DiT{InputSize: []int{4, 4}, PatchSize: 2, InChannels: 1, HiddenSize: 8, Depth: 1, NumHeads: 2, MLPRatio: 2, ClassDropoutProb: 0.1, NumClasses: 3})
	if err != nil {
		t.Fatal(err)
	}
	n.Initialise(1)
	for _, w := range n.Weights {
		for i := range w {
			w[i] += 0.2 * float32(math.Sin(float64(i))) // published networks begin with zeros, which no label changes
		}
	}
	m := &checkpoint.Model{Net: n, Schedule: "ddpm", Prediction: "eps", Version: "test"}
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	return path
}
