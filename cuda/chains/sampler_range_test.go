//go:build gpu && cgo

package chains

import (
	"context"
	"testing"

	"hbar/cuda/exec"
	"hbar/cuda/internal/cudatest"
	"hbar/kernels"
	"hbar/kernels/simd"
)

// Samples whose activations pass the range of halves are those of the plain kernel, to the last bit, and the others are
// what they are without them.
func TestRange(t *testing.T) {
	dev := cudatest.Open(t)
	p := cudatest.Chain(2, 64, 2, simd.SiLU, false, 0)
	for i := range p.Params[0].Data {
		p.Params[0].Data[i] *= 1e5
	}
	for i := range p.Params[2].Data {
		p.Params[2].Data[i] *= 1e-5
	}
	packed, err := newNet(p)
	if err != nil {
		t.Fatal(err)
	}
	run := func(use tensorCores, x []float32) (m []float32) {
		s, err := newSampler(dev, packed, exec.FP32, use)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		m = make([]float32, len(x))
		if err := s.Trajectory(context.Background(), x, m, []kernels.Row{{Tau: 0, Cin: 1, State: 0.5, Net: 1, KeepState: 1, KeepNet: 0.5}}, kernels.Noise{}, nil); err != nil {
			t.Fatal(err)
		}
		if used := s.plain != nil; used != (use.halves && len(x) > 40) {
			t.Errorf("%d numbers, %+v: the plain kernel was used: %t", len(x), use, used)
		}
		return m
	}
	for _, use := range []tensorCores{{halves: true}, {halves: true, warpgroups: true}} {
		rangeOf(t, use, run)
	}
}

// rangeOf is TestRange for one choice of kernels.
func rangeOf(t *testing.T, use tensorCores, run func(use tensorCores, x []float32) (m []float32)) {
	const n = 30
	inside, x, far := make([]float32, 0, 2*n), make([]float32, 2*n), make([]float32, 2*n)
	for i := range n { // every third is far out
		for d := range 2 {
			v := float32(i+d+1) / 100
			if i%3 == 0 {
				v *= 30
			} else {
				inside = append(inside, v)
			}
			x[2*i+d], far[2*i+d] = v, v
		}
	}
	m, plain, own := run(use, x), run(tensorCores{}, far), run(use, inside)
	for i, k := 0, 0; i < n; i++ {
		for d := range 2 {
			j := 2*i + d
			want, wantM := far[j], plain[j]
			if i%3 != 0 {
				want, wantM = inside[k], own[k]
				k++
			}
			if x[j] != want || m[j] != wantM {
				t.Errorf("%+v, sample %d: %g, memory %g; want %g, %g", use, i, x[j], m[j], want, wantM)
			}
		}
	}
}
