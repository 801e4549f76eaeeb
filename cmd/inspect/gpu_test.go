package main

import (
	"strings"
	"testing"

	"hbar/cmd/internal/gputest"
)

// Networks and their derivatives on a GPU are PyTorch's, to float32's rounding as on the CPU.
func TestGoldenOnGPU(t *testing.T) {
	gputest.NeedGPU(t)
	for _, network := range []string{"unet", "dit"} {
		in, want := golden(t, network)
		dir := t.TempDir()
		write(t, dir, "in.npz", in)
		write(t, dir, "want.npz", want)
		must(t, dir, "--checkpoint "+goldenDir+network+" --eval DIR/in.npz --layout channels-first --compare DIR/want.npz --tol 2e-5 --device cuda")
	}
}

// A measurement on a GPU has all figures and says where they come from.
func TestBenchOnGPU(t *testing.T) {
	gputest.NeedGPU(t)
	dir := t.TempDir()
	out := must(t, dir, "--checkpoint "+goldenDir+"dit --bench --batch 3 --repeats 1 --device cuda --precision bf16 --json DIR/b.json")
	var r benchResult
	readJSON(t, dir, "b.json", &r)
	for name, v := range map[string]rate{"forward": r.Forward, "vjp": r.VJP, "train": r.Train} {
		if !(v.MS > 0 && v.GFLOPS > 0 && v.Share > 0) {
			t.Errorf("%s: %+v", name, v)
		}
	}
	if !(r.Peak > 0) || r.Precision != "bf16" || !strings.HasPrefix(r.Device, "cuda:0 ") || !strings.Contains(out, r.Device+", products in bf16") {
		t.Errorf("%+v\n%s", r, out)
	}
}
