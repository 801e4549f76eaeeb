//go:build gpu && cgo

package cuda

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"

	"hbar/cuda/internal/cudatest"
	"hbar/kernels"
	"hbar/kernels/infer"
	"hbar/kernels/simd"
)

// An engine is shared, and has an end.
func TestEngine(t *testing.T) {
	cudatest.Open(t)
	p := cudatest.Chain(2, 64, 2, simd.SiLU, false, 0)
	cpu, err := infer.New(p, infer.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEngine(p, 0, FP32)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(e.Device(), "cuda:0 ") || e.Dim() != 2 {
		t.Errorf("device %s, D = %d", e.Device(), e.Dim())
	}
	rows, no := cudatest.Rows(), kernels.Noise{Seed: 9, Stream: kernels.StreamNoise}
	want := make([]float32, 60)
	if err := cpu.Trajectory(context.Background(), want, nil, rows, no, nil); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 3 { // at once
		all.Go(func() {
			x := make([]float32, len(want))
			if err := e.Trajectory(context.Background(), x, nil, rows, no, nil); err != nil {
				t.Error(err)
			}
			for i := range x {
				const rounding = 2e-6 // of float32 on either side, in each of 20 steps
				if !(math.Abs(float64(x[i]-want[i])) < rounding) {
					t.Errorf("number %d is %v, on the CPU %v", i, x[i], want[i])
					return
				}
			}
		})
	}
	all.Wait()
	if err := errors.Join(e.Close(), e.Close()); err != nil {
		t.Error(err)
	}
	if err := e.Trajectory(context.Background(), want, nil, rows, no, nil); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("after Close: %v", err)
	}
	if err := e.Forward(context.Background(), want[:2], []float32{1, 2}, []float64{0.5}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("after Close: %v", err)
	}
}

// A network of 256 units a layer runs layer by layer where that is faster, on Hopper, and gives the CPU's numbers either way.
func TestEngineLayered(t *testing.T) {
	dev := cudatest.Open(t)
	p := cudatest.Chain(2, 256, 2, simd.SiLU, true, 0)
	cpu, err := infer.New(p, infer.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, precision := range []Precision{FP32, F16} {
		e, err := NewEngine(p, 0, precision)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if hopper := dev.Major == 9 && dev.Minor == 0; e.Fused() == (hopper && precision == FP32) {
			t.Errorf("%v: fused: %t", precision, e.Fused())
		}
		if precision != FP32 {
			continue
		}
		rows, no := cudatest.Rows(), kernels.Noise{Seed: 9, Stream: kernels.StreamNoise}
		x, want := make([]float32, 20), make([]float32, 20)
		if err := errors.Join(e.Trajectory(context.Background(), x, nil, rows, no, nil), cpu.Trajectory(context.Background(), want, nil, rows, no, nil)); err != nil {
			t.Fatal(err)
		}
		for i := range x {
			const rounding = 2e-6 // of float32 on either side, in each of 20 steps
			if !(math.Abs(float64(x[i]-want[i])) < rounding) {
				t.Errorf("number %d is %v, on the CPU %v", i, x[i], want[i])
			}
		}
		path := []kernels.PathRow{{Cin: 1, State: 1, Net: 0.1, Noise: 0.2}, {Tau: 0.5, Cin: 1, ReverseState: 1, ReverseNet: -0.1, ReversePrecision: 25}}
		logw, logs := make([]float64, 10), make([]float64, 10)
		if err := errors.Join(e.PathWeights(context.Background(), x, logw, path, no, nil), cpu.PathWeights(context.Background(), want, logs, path, no, nil)); err != nil {
			t.Fatal(err)
		}
		for i := range logw {
			const rounding = 2e-5 // of states, magnified by the precision of a step, 25
			if !(math.Abs(logw[i]-logs[i]) < rounding) {
				t.Errorf("log weight %d is %v, on the CPU %v", i, logw[i], logs[i])
			}
		}
	}
}

// A network that the fused kernels do not take runs all the same.
func TestEngineGeneral(t *testing.T) {
	cudatest.Open(t)
	p := cudatest.Layered(2, 0, cudatest.Dense(20, simd.Tanh, -1), cudatest.Dense(24, simd.SiLU, -1), cudatest.Dense(2, simd.Identity, -1))
	cpu, err := infer.New(p, infer.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEngine(p, 0, FP32)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	rows, no := cudatest.Rows(), kernels.Noise{Seed: 9, Stream: kernels.StreamNoise}
	want, x := make([]float32, 60), make([]float32, 60)
	if err := errors.Join(cpu.Trajectory(context.Background(), want, nil, rows, no, nil), e.Trajectory(context.Background(), x, nil, rows, no, nil)); err != nil {
		t.Fatal(err)
	}
	for i, v := range want {
		if e := math.Abs(float64(x[i] - v)); !(e <= 2e-6*max(1, math.Abs(float64(v)))) { // roundings of float32 on either side, in each of 20 steps
			t.Errorf("number %d is %v, on the CPU %v", i, x[i], v)
		}
	}
}
