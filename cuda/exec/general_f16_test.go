//go:build gpu && cgo

package exec

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"hbar/cuda/internal/cudatest"
	"hbar/kernels"
	"hbar/kernels/infer"
)

// With cuBLAS for all layers but those on the input, in pieces of a few rows: the same numbers but for rounding, and none
// that depends on the batch.
func TestGeneralLibrary(t *testing.T) {
	dev := cudatest.Open(t)
	emulator := os.Getenv("HBAR_LIBCUDA")
	if emulator != "" {
		t.Setenv("HBAR_LIBCUBLAS", emulator)
	}
	ctx := context.Background()
	for _, c := range generalCases() {
		if c.p.Widths[1] > 100 {
			continue // slow here
		}
		cpu, err := infer.New(c.p, infer.Options{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		g, err := PrepareGeneral(dev, c.p, FP32)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		g.blasRows, g.blasWidth = 2, 1
		d, n := c.p.D, c.n
		x, tau := normals64(n*d, 1), normals64(n, 2)
		a := normals64(n*d, 3)
		want, back, div := make([]float64, n*d), make([]float64, n*d), make([]float64, n)
		if err := errors.Join(cpu.VJP64(ctx, want, back, x, a, tau), cpu.Divergence64(ctx, nil, div, x, nil, d, tau)); err != nil {
			t.Fatal(err)
		}
		y, y32, vj, trace := make([]float64, n*d), make([]float32, n*d), make([]float64, n*d), make([]float64, n)
		if err := errors.Join(g.VJP64(ctx, y, vj, x, a, tau), g.Forward(ctx, y32, to32(x), tau), g.Divergence64(ctx, nil, trace, x, nil, d, tau)); err != nil {
			t.Fatal(err)
		}
		if g.blas == nil && os.Getenv("HBAR_LIBCUDA") != "" {
			t.Fatal("the emulated driver has a cuBLAS, and it was not used")
		}
		if g.blas == nil {
			t.Skip("no cuBLAS here")
		}
		near(t, c.name+": values", y, want, near64)
		near(t, c.name+": gradient", vj, back, near64d)
		near(t, c.name+": divergence", trace, div, near64d)
		near(t, c.name+": values in float32", y32, want, near32)
		last := make([]float32, d)
		if err := g.Forward(ctx, last, to32(x[(n-1)*d:]), tau[n-1:]); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(last, y32[(n-1)*d:]) {
			t.Errorf("%s: the last sample alone gives %v, in the batch %v", c.name, last, y32[(n-1)*d:])
		}
	}
}

// Half-precision operands round to 2^-12 each; 20 steps add up what is not alike in them.
func TestGeneralF16(t *testing.T) {
	dev := cudatest.Open(t)
	if emulator := os.Getenv("HBAR_LIBCUDA"); emulator != "" {
		t.Setenv("HBAR_LIBCUBLAS", emulator)
	}
	ctx := context.Background()
	value := []kernels.Row{{Tau: 0.4, Cin: 1, Net: 1}}
	withoutBLAS := false
	for _, c := range generalCases() {
		cpu, err := infer.New(c.p, infer.Options{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		g, err := PrepareGeneral(dev, c.p, F16)
		if c.name == "adds its input, active output" {
			if err == nil || !strings.Contains(err.Error(), "instruction 0 adds the network's input") {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		d, n := c.p.D, c.n
		x64, m64 := normals64(n*d, 1), make([]float64, n*d)
		x0, want := to32(x64), make([]float64, n*d)
		if err := cpu.Forward64(ctx, want, x64, []float64{value[0].Tau}); err != nil {
			t.Fatal(err)
		}
		run := func(g *General, x []float32, rows []kernels.Row) []float32 {
			y := slices.Clone(x)
			if err := g.Trajectory(ctx, y, nil, rows, kernels.Noise{Seed: 5}, nil); err != nil {
				t.Fatal(err)
			}
			return y
		}
		y := run(g, x0, value)
		near(t, c.name+": value", y, want, nearF16)
		if one := run(g, x0[(n-1)*d:], value); !slices.Equal(one, y[(n-1)*d:]) {
			t.Errorf("%s: the last sample alone gives %v, in the batch %v", c.name, one, y[(n-1)*d:])
		}
		library, err := PrepareGeneral(dev, c.p, F16)
		if err != nil {
			t.Fatal(err)
		}
		defer library.Close()
		library.blasRows, library.blasWidth, library.wideFrom = 2, 1, 0
		if y := run(library, x0, value); library.blas != nil {
			near(t, c.name+": value by cuBLAS", y, want, nearF16)
		} else {
			withoutBLAS = true
		}
		if c.p.Widths[1] > 200 {
			continue // slow here
		}
		rows := cudatest.Rows()
		trajectoryOf(t, cpu, x64, m64, rows, kernels.Noise{Seed: 5})
		near(t, c.name+": trajectory", run(g, x0, rows), x64, nearF16State)
	}
	if withoutBLAS {
		t.Skip("products by cuBLAS were not tested: the library is missing, or HBAR_LIBCUBLAS does not name it; all else of this test has passed")
	}
}
