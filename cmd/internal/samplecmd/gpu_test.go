package samplecmd

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/gputest"
	"hbar/cmd/internal/ui"
	"hbar/graph"
	"hbar/nets"
)

func TestMain(m *testing.M) { gputest.Main(m, Main) }

func farthest(t *testing.T, x, y []float64) float64 {
	t.Helper()
	if len(x) != len(y) {
		t.Fatalf("%d numbers and %d", len(x), len(y))
	}
	worst := 0.0
	for i := range x {
		if d := math.Abs(x[i] - y[i]); !(d <= worst) {
			worst = d
		}
	}
	return worst
}

// The same seed gives the CPU's samples, with noise (the same normals) and without.
func TestDeviceParity(t *testing.T) {
	gputest.NeedGPU(t)
	for _, method := range []string{
		"--h 0 --steps 200", "--h 1 --steps 200", "--h 0.5 --sampler exp2 --grid lambda --steps 50 --trajectory 0.5,0.1",
		"--h 1 --sampler heun --grid karras --steps 40", "--h 1 --steps 600 --n 5 --first 4294967290",
	} {
		args := "--checkpoint " + swissRoll + " --n 70 --seed 21 " + method
		want, _, _ := sample(t, args+" --device cpu")
		// float32 rounding grown along the path, at most 10⁻³; f16 rounds the operands of every product to 2⁻¹¹
		for precision, tol := range map[string]float64{"fp32": 1e-3, "f16": 5e-2} {
			got, _, out := sample(t, args+" --device cuda:0 --precision "+precision)
			d := farthest(t, got, want)
			t.Logf("%s, %s: largest difference %.2g", method, precision, d)
			if !(d < tol) || d == 0 {
				t.Errorf("%s, %s: largest difference %g, want up to %g and not 0", method, precision, d, tol)
			}
			if want := "fused " + precision + " kernels"; !strings.Contains(out, "device    cuda:0 ") || !strings.Contains(out, want) {
				t.Errorf("report lacks cuda:0 and %q:\n%s", want, out)
			}
		}
	}
}

// Whatever order the emulator runs warps and lanes in, the samples are the same: no barrier is missing.
func TestDeviceOrder(t *testing.T) {
	gputest.NeedEmulator(t)
	for _, precision := range []string{"fp32", "f16"} {
		var first []byte
		for _, seed := range []string{"", "1", "2", "77"} {
			path := filepath.Join(t.TempDir(), "x.npy")
			out, err := gputest.Command(t, "--checkpoint "+swissRoll+" --n 300 --steps 6 --device cuda --precision "+precision+" --out "+path, "HBAR_EMU_ORDER="+seed)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = file
			} else if !bytes.Equal(file, first) {
				t.Errorf("%s: schedule %s changes the samples", precision, seed)
			}
		}
	}
}

// A device with room for some of the samples takes them in batches; one with room for none says how much it lacks.
func TestDeviceMemory(t *testing.T) {
	gputest.NeedEmulator(t)
	args := "--checkpoint " + swissRoll + " --n 5000 --steps 2 --device cuda"
	want, _, _ := sample(t, args)
	t.Setenv("HBAR_EMU_MEMORY", "311000") // 285 KB are the network's
	if got, _, _ := sample(t, args); !slices.Equal(got, want) {
		t.Error("splitting changes the samples")
	}
	for _, memory := range []string{"290000", "100000"} {
		t.Setenv("HBAR_EMU_MEMORY", memory)
		dir := t.TempDir()
		err := run(context.Background(), strings.Fields(args+" --out "+filepath.Join(dir, "x.npy")), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
		if err == nil || !strings.Contains(err.Error(), "CUDA_ERROR_OUT_OF_MEMORY") || !strings.Contains(err.Error(), "asked for") {
			t.Errorf("%s bytes of memory: %v", memory, err)
		}
		if files, _ := os.ReadDir(dir); len(files) != 0 {
			t.Errorf("a failed run leaves %v", files)
		}
	}
	// auto: the network does not fit, the CPU takes over
	if _, _, out := sample(t, "--checkpoint "+swissRoll+" --n 5 --steps 2 --device auto"); !strings.Contains(out, "device    cpu (cuMemAllocFromPoolAsync: CUDA_ERROR_OUT_OF_MEMORY") {
		t.Errorf("auto with a full device:\n%s", out)
	}
}

// No driver, no visible device, no such device; f16 is for a GPU, and the CPU that takes its place says so.
func TestDeviceMissing(t *testing.T) {
	args := "--checkpoint " + swissRoll + " --n 5 --steps 2 --out " + filepath.Join(t.TempDir(), "x.npy")
	gputest.Missing(t, args)
	out, err := gputest.Command(t, args+" --precision f16", "HBAR_LIBCUDA=/nowhere/libcuda.so")
	if err != nil || !strings.Contains(out, "kernels, fp32 instead of f16\n") {
		t.Errorf("f16 without a GPU: %v\n%s", err, out)
	}
}

// Networks that the fused kernels do not take run layer by layer, and say so.
func TestDeviceGeneral(t *testing.T) {
	gputest.NeedGPU(t)
	for _, spec := range []graph.Spec{
		{D: 2, Width: 300, Depth: 2, Act: "silu"},
		{D: 40, Width: 64, Depth: 2, Act: "silu"},
	} {
		params, err := spec.Initial(1)
		if err != nil {
			t.Fatal(err)
		}
		m := &checkpoint.Model{Spec: spec, Params: params, Schedule: "simple", Prediction: "score"}
		path := filepath.Join(t.TempDir(), "m.safetensors")
		if err := m.Save(path); err != nil {
			t.Fatal(err)
		}
		args := "--checkpoint " + path + " --n 3 --steps 2"
		want, _, _ := sample(t, args+" --device cpu")
		for _, device := range []string{"auto", "cuda"} {
			x, _, out := sample(t, args+" --device "+device)
			if !strings.Contains(out, "device    cuda:0 ") || !strings.Contains(out, "fp32 kernels layer by layer") {
				t.Errorf("%s:\n%s", device, out)
			}
			for i, v := range want {
				if !(math.Abs(x[i]-v) <= 1e-5*(1+math.Abs(v))) { // roundings of float32 on either side, in each step
					t.Errorf("%s: number %d is %v, on the CPU %v", device, i, x[i], v)
				}
			}
		}
	}
}

// A GPU has no part in the float64 reference, and f16 is none of the CPU's.
func TestPrecisionFlag(t *testing.T) {
	out := " --out " + filepath.Join(t.TempDir(), "x.npy")
	for args, want := range map[string]string{
		"--device cpu --precision f16":    "--precision f16 is for GPUs",
		"--device cuda --reference":       "--reference is a float64 loop on the CPU",
		"--reference --precision f16":     "--reference is a float64 loop on the CPU",
		"--device cuda --precision float": `--precision: "float" unknown; have fp32, f16`,
	} {
		err := run(context.Background(), strings.Fields("--checkpoint "+swissRoll+" "+args+out), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", args, err, want)
		}
	}
}

// A diffusion transformer gives the CPU's samples on a GPU, under guidance too; bf16 rounds factors to 8 bits, f16 to 11.
func TestDeviceNetwork(t *testing.T) {
	gputest.NeedGPU(t)
	args := "--checkpoint " + transformer(t, 1) + " --n 3 --seed 5 --h 0.5 --steps 3 --class all --guidance 0.5"
	want, _, _ := sample(t, args+" --device cpu")
	largest := farthest(t, want, make([]float64, len(want))) // the network is not trained
	for precision, tol := range map[string]float64{"fp32": 1e-5, "bf16": 0.2, "f16": 0.025} {
		got, _, out := sample(t, args+" --device cuda --precision "+precision)
		d := farthest(t, got, want) / largest
		t.Logf("%s: largest difference %.2g of the largest number", precision, d)
		if !(d < tol) || d == 0 || !strings.Contains(out, "device    cuda:0 ") {
			t.Errorf("%s: largest difference %g of the largest number, want up to %g and not 0\n%s", precision, d, tol, out)
		}
	}
}

// Weights that are infinite in f16 give no finite sample, and the error says what would; in bf16 they give samples.
func TestOverflow(t *testing.T) {
	gputest.NeedGPU(t)
	args := "--checkpoint " + transformer(t, 1e6) + " --n 3 --h 0 --steps 3 --sampler exp --device cuda --out " + filepath.Join(t.TempDir(), "x.npy")
	err := run(context.Background(), strings.Fields(args+" --precision f16"), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
	if err == nil || !strings.Contains(err.Error(), "none of 3 samples is finite, and nothing is written: f16 has no numbers above 65504, so take --precision bf16; ") {
		t.Errorf("f16: %v", err)
	}
	if err := run(context.Background(), strings.Fields(args+" --precision bf16"), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}); err != nil {
		t.Errorf("bf16: %v", err)
	}
}

// transformer is the file of a small diffusion transformer with two classes. Weights of the patches, which a norm follows, are times scale.
func transformer(t *testing.T, scale float32) string {
	t.Helper()
	c, err := nets.NewDiT([]int{4, 4, 1}, 2, nets.DiTSizes{Patch: 2, Width: 12, Depth: 1, Heads: 2})
	if err != nil {
		t.Fatal(err)
	}
	n, err := nets.New(c)
	if err != nil {
		t.Fatal(err)
	}
	n.Initialise(3)
	for i, w := range n.Weights {
		for j := range w {
			if !n.Params[i].Fixed {
				w[j] += 0.1 * float32((i+3*j)%7-3)
			}
			if n.Params[i].Name == "x_embedder.proj.weight" {
				w[j] *= scale
			}
		}
	}
	m := &checkpoint.Model{Net: n, Schedule: "cosine", Prediction: "eps"}
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	return path
}
