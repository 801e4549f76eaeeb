//go:build gpu && cgo

package exec

import (
	"context"
	"errors"
	"slices"
	"testing"

	"hbar/cuda/driver"
	"hbar/cuda/internal/cudatest"
	"hbar/kernels"
	"hbar/kernels/infer"
	"hbar/kernels/simd"
)

// wideCases are networks that dense_wgmma.cu takes: an even and an odd number of slices of 64 inputs, tiles of units that are full and not, layers on few and on many
// inputs, all activations, residuals, an output of one, two and a few units and one of panels.
func wideCases() []generalCase {
	tall := cudatest.Layered(256, 0, cudatest.Dense(256, simd.Identity, -1), cudatest.Dense(256, simd.Tanh, 1), cudatest.Dense(256, simd.GELU, 2))
	return []generalCase{
		{"residual", cudatest.Chain(2, 256, 3, simd.SiLU, true, 0), 5},
		{"odd", cudatest.Chain(20, 320, 3, simd.GELU, false, 0), 260}, // a multiprocessor takes one ragged tile after the other
		{"Fourier", cudatest.Chain(3, 384, 2, simd.Tanh, true, 4), 130},
		{"unequal", cudatest.Layered(3, 0, cudatest.Dense(320, simd.Tanh, -1), cudatest.Dense(576, simd.Identity, -1), cudatest.Dense(320, simd.GELU, 1), cudatest.Dense(3, simd.Identity, -1)), 67},
		{"one output", cudatest.Chain(1, 576, 2, simd.SiLU, false, 0), 67},
		{"output of panels", tall, 3},
	}
}

// openWide opens a network that runs on warpgroup products on this device.
func openWide(t *testing.T, dev *driver.Device, p *kernels.Chain, precision Precision) *General {
	t.Helper()
	g, err := NewGeneral(dev, p, precision)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	if g.wide == nil {
		t.Fatal("the network does not run by dense_wgmma.cu")
	}
	return g
}

func needsHopper(t *testing.T, dev *driver.Device) {
	if dev.Major != 9 || dev.Minor != 0 {
		t.Skip("needs compute capability 9.0")
	}
}

// Wide layers on warpgroup products, in both precisions, against float64. A sample does not depend on its batch.
func TestGeneralWide(t *testing.T) {
	dev := cudatest.Open(t)
	needsHopper(t, dev)
	dev.Multiprocessors = 2 // so that a block makes several tiles, whatever the device
	ctx := context.Background()
	for _, c := range wideCases() {
		for _, precision := range []Precision{FP32, F16} {
			t.Run(c.name+"/"+precision.String(), func(t *testing.T) {
				cpu, err := infer.New(c.p, infer.Options{Workers: 1})
				if err != nil {
					t.Fatal(err)
				}
				g := openWide(t, dev, c.p, precision)
				d, n := c.p.D, c.n
				value, toState := near32, nearState
				if precision == F16 {
					value, toState = nearF16, nearF16State
				}
				no := kernels.Noise{Seed: 5, Sample0: 1<<32 - 2}
				x64, m64 := normals64(n*d, 1), make([]float64, n*d)
				x0, want := to32(x64), make([]float64, n*d)
				if err := cpu.Forward64(ctx, want, x64, []float64{0.4}); err != nil {
					t.Fatal(err)
				}
				y := slices.Clone(x0)
				if err := g.Trajectory(ctx, y, nil, []kernels.Row{{Tau: 0.4, Cin: 1, Net: 1}}, no, nil); err != nil {
					t.Fatal(err)
				}
				near(t, "value", y, want, value)
				rows := cudatest.Rows()
				trajectoryOf(t, cpu, x64, m64, rows, no)
				x, m := slices.Clone(x0), make([]float32, n*d)
				if err := g.Trajectory(ctx, x, m, rows, no, nil); err != nil {
					t.Fatal(err)
				}
				near(t, "state", x, x64, toState)
				near(t, "memory", m, m64, toState)
				last, no2 := slices.Clone(x0[(n-1)*d:]), no
				no2.Sample0 += uint64(n - 1)
				if err := g.Trajectory(ctx, last, nil, rows, no2, nil); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(last, x[(n-1)*d:]) {
					t.Errorf("the last sample alone gives %v, in the batch %v", last, x[(n-1)*d:])
				}
			})
		}
	}
}

// Samples whose activations are beyond the range of halves are computed again in float32, whatever the others of the batch are.
func TestGeneralWideRange(t *testing.T) {
	dev := cudatest.Open(t)
	needsHopper(t, dev)
	ctx := context.Background()
	p := cudatest.Chain(2, 256, 2, simd.SiLU, false, 0)
	g := openWide(t, dev, p, FP32)
	plain, err := PrepareGeneral(dev, p, FP32)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	plain.wideFrom = 0
	const n = 4
	x0 := to32(normals64(2*n, 1))
	x0[4], x0[5] = 3e6, -3e6 // sample 2
	rows := []kernels.Row{{Tau: 0.5, Cin: 1, State: 1, Net: 0.1, Noise: 0.1, KeepNet: 0.5}, {Tau: 0.4, Cin: 1, State: 1, Net: 0.1, Noise: 0.1, Memory: 0.25, KeepNet: 0.5, Step: 1}}
	no := kernels.Noise{Seed: 7}
	x, m, want, keep := slices.Clone(x0), make([]float32, 2*n), slices.Clone(x0), make([]float32, 2*n)
	if err := errors.Join(g.Trajectory(ctx, x, m, rows, no, nil), plain.Trajectory(ctx, want, keep, rows, no, nil)); err != nil {
		t.Fatal(err)
	}
	if plain.wide != nil {
		t.Fatal("wideFrom = 0 did not turn warpgroup products off")
	}
	if !slices.Equal(x[4:6], want[4:6]) || !slices.Equal(m[4:6], keep[4:6]) || !finite(x) || !finite(m) {
		t.Errorf("the large sample: %v with memory %v, in float32 %v and %v", x[4:6], m[4:6], want[4:6], keep[4:6])
	}
	if slices.Equal(x[:4], want[:4]) {
		t.Error("the others have the bits of plain float32, so they were not computed by pairs of halves")
	}
	alone, mem := slices.Clone(x0[:4]), make([]float32, 4)
	if err := g.Trajectory(ctx, alone, mem, rows, no, nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(alone, x[:4]) || !slices.Equal(mem, m[:4]) {
		t.Error("the other samples depend on the large one")
	}

	path := []kernels.PathRow{{Cin: 1, State: 1, Net: 0.1, Noise: 0.2}, {Tau: 0.5, Cin: 1, ReverseState: 1, ReverseNet: -0.1, ReversePrecision: 25}}
	x, want = slices.Clone(x0), slices.Clone(x0)
	logw, logs := normals64(n, 3), normals64(n, 3)
	if err := errors.Join(g.PathWeights(ctx, x, logw, path, no, nil), plain.PathWeights(ctx, want, logs, path, no, nil)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(x[4:6], want[4:6]) || logw[2] != logs[2] || !finite(x) || !finite(logw) {
		t.Errorf("the path of the large sample: %v, %v, in float32 %v, %v", x[4:6], logw[2], want[4:6], logs[2])
	}
}
