package main

import (
	"strings"
	"testing"

	"hbar/cmd/internal/gputest"
)

// Networks and their derivatives on a GPU are PyTorch's, to float32's rounding as on the CPU, or to that of factors of 11 bits.
func TestGoldenOnGPU(t *testing.T) {
	gputest.NeedGPU(t)
	for _, network := range []string{"unet", "dit"} {
		in, want := golden(t, network)
		dir := t.TempDir()
		write(t, dir, "in.npz", in)
		write(t, dir, "want.npz", want)
		must(t, dir, "--checkpoint "+goldenDir+network+" --eval DIR/in.npz --layout channels-first --compare DIR/want.npz --tol 2e-5 --device cuda")
		// Up to second derivatives, in which the rounding of factors grows: 1.2·10⁻² of the largest on the emulator.
		must(t, dir, "--checkpoint "+goldenDir+network+" --eval DIR/in.npz --layout channels-first --compare DIR/want.npz --tol 3e-2 --device cuda --precision f16")
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
	must(t, dir, "--checkpoint "+goldenDir+"dit --bench --batch 3 --repeats 1 --device cuda --precision f16 --json DIR/f16.json")
	var f16 benchResult
	readJSON(t, dir, "f16.json", &f16)
	if !(f16.Forward.MS > 0 && f16.VJP.MS > 0 && f16.Peak > 0) || f16.Train != (rate{}) {
		t.Errorf("f16: %+v", f16)
	}
	if !(r.Peak > 0) || r.Precision != "bf16" || !strings.HasPrefix(r.Device, "cuda:0 ") || !strings.Contains(out, r.Device+", products in bf16") {
		t.Errorf("%+v\n%s", r, out)
	}
}
