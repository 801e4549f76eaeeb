//go:build gpu && cgo

package cuda

import (
	"context"
	"errors"
	"slices"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"hbar/cuda/internal/cudatest"
	"hbar/kernels"
	"hbar/kernels/simd"
)

// Samples that stay on the device are those that pass through the host, bit by bit: fused, layer by layer, and part of a tensor.
func TestTrajectoryTensors(t *testing.T) {
	cudatest.Open(t)
	for name, p := range map[string]*kernels.Chain{"fused": cudatest.Chain(2, 64, 2, simd.SiLU, false, 0), "layers": cudatest.Chain(2, 300, 1, simd.SiLU, false, 0)} {
		t.Run(name, func(t *testing.T) {
			e, err := NewEngine(p, 0, FP32)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			}()
			if e.Fused() != (name == "fused") {
				t.Fatalf("fused: %t", e.Fused())
			}
			const n = 9
			rows, no := cudatest.Rows(), kernels.Noise{Seed: 4, Stream: kernels.StreamNoise, Sample0: 7}
			want, mem := cudatest.Ramp(2*n), cudatest.Ramp(2*n)
			for _, memory := range []bool{true, false} {
				x, err := e.Tensors().NewTensor(tensor.Float32, n+1, 2)
				if err != nil {
					t.Fatal(err)
				}
				tail, err := x.Slice(gorgonia.S(1, n+1))
				if err != nil {
					t.Fatal(err)
				}
				m, err := e.Tensors().NewTensor(tensor.Float32, n, 2)
				if err != nil {
					t.Fatal(err)
				}
				copy(want, cudatest.Ramp(2*n))
				copy(mem, cudatest.Ramp(2*n))
				start := cudatest.OnHost(cudatest.Ramp(2*n), n, 2)
				if err := errors.Join(e.Tensors().Upload(tail.(*tensor.Dense), start), e.Tensors().Upload(m, start)); err != nil {
					t.Fatal(err)
				}
				var wantM []float32
				dm := (*tensor.Dense)(nil)
				if memory {
					wantM, dm = mem, m
				}
				if err := e.Trajectory(context.Background(), want, wantM, rows, no, nil); err != nil {
					t.Fatal(err)
				}
				if err := e.TrajectoryTensors(context.Background(), tail.(*tensor.Dense), dm, rows, no); err != nil {
					t.Fatal(err)
				}
				if got := cudatest.Numbers(t, e.d, tail.(*tensor.Dense)); !slices.Equal(got, want) {
					t.Errorf("memory %t: other samples than by the host", memory)
				}
				if got := cudatest.Numbers(t, e.d, m); !slices.Equal(got, mem) {
					t.Errorf("memory %t: other memory than by the host", memory)
				}
				if err := errors.Join(e.Tensors().Release(x), e.Tensors().Release(m)); err != nil {
					t.Error(err)
				}
			}
			cudatest.Wants(t, "the host's", e.TrajectoryTensors(context.Background(), cudatest.OnHost(want, n, 2), nil, rows, no), "x is (9, 2) of float32; want [n, 2] of float32 in the memory of ")
		})
	}
}
