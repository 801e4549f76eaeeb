package sweepcmd

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/gputest"
	"hbar/graph"
)

func TestMain(m *testing.M) { gputest.Main(m, Main) }

// small is a network that is quick to emulate and close to a Gaussian, though trained on nothing.
func small(t *testing.T) string {
	t.Helper()
	m := &checkpoint.Model{Spec: graph.Spec{D: 2, Width: 16, Depth: 2, Act: "silu"}, Schedule: "simple", Prediction: "edm", SigmaData: 1, Version: "test"}
	var err error
	if m.Params, err = m.Spec.Initial(1); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Distances and likelihoods on a device are those of the CPU.
func TestDeviceParity(t *testing.T) {
	gputest.NeedGPU(t)
	args := "--checkpoint " + small(t) + " --data swissroll --h 0,1 --steps 20 --n 60 --repeats 4 --method flow,pathintegral --nll-n 5 --paths 40 --tol 1e-4"
	want, _, _ := sweep(t, args)
	got, _, out := sweep(t, args+" --device cuda")
	if len(want.Cells) != 2 || len(got.Cells) != 2 || len(want.NLL) == 0 || len(got.NLL) != len(want.NLL) {
		t.Fatalf("%d cells and %d likelihoods, on the CPU %d and %d", len(got.Cells), len(got.NLL), len(want.Cells), len(want.NLL))
	}
	for i, c := range want.Cells { // float32 rounding, and an assignment of points that may change by it
		if d := got.Cells[i].W2.Value - c.W2.Value; !(math.Abs(d) <= 1e-4) { // float32 flows at a tolerance of 1e-5, whose steps may differ
			t.Errorf("h = %v: W2 differs by %g", c.H, d)
		}
	}
	compared := 0
	for i, s := range want.NLL {
		if s.N == 0 || got.NLL[i].N != s.N {
			continue
		}
		compared++
		if d := *got.NLL[i].Mean - *s.Mean; !(math.Abs(d) <= 1e-4) { // float32 flows at a tolerance of 1e-5, whose steps may differ
			t.Errorf("%s at h = %g: NLL differs by %g", s.Method, s.H, d)
		}
	}
	if compared < 2 {
		t.Errorf("%d likelihoods compared; want the flow's and the path integral's", compared)
	}
	if !strings.Contains(out, "device    cuda:0 ") {
		t.Errorf("report lacks the device:\n%s", out)
	}
}

func TestDeviceMissing(t *testing.T) {
	gputest.Missing(t, "--checkpoint "+small(t)+" --data swissroll --h 0,1 --steps 5 --n 20 --repeats 4 --method none --out "+filepath.Join(t.TempDir(), "s.json"))
}

// A device without room for the network: an error with sizes, or under auto the CPU.
func TestDeviceMemory(t *testing.T) {
	gputest.NeedEmulator(t)
	args := "--checkpoint " + small(t) + " --data swissroll --h 0,1 --steps 5 --n 20 --repeats 4 --method none --out " + filepath.Join(t.TempDir(), "s.json")
	out, err := gputest.Command(t, args+" --device cuda", "HBAR_EMU_MEMORY=100")
	if err == nil || !strings.Contains(out, "CUDA_ERROR_OUT_OF_MEMORY: out of memory (") {
		t.Errorf("cuda: %v\n%s", err, out)
	}
	if out, err = gputest.Command(t, args, "HBAR_EMU_MEMORY=100"); err != nil || !strings.Contains(out, "device    cpu (cuMemAllocFromPoolAsync: CUDA_ERROR_OUT_OF_MEMORY") {
		t.Errorf("auto: %v\n%s", err, out)
	}
}
