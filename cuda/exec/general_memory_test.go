//go:build gpu && cgo

package exec

import (
	"context"
	"errors"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hbar/cuda/driver"
	"hbar/cuda/internal/cudatest"
	"hbar/kernels"
	"hbar/kernels/simd"
)

// However a batch is cut, the numbers are the same; no room at all is an error that says so. Buffers are kept between calls.
func TestGeneralMemory(t *testing.T) {
	dev := cudatest.Open(t)
	if os.Getenv("HBAR_LIBCUDA") == "" {
		t.Skip("sets the memory of the emulated device")
	}
	ctx := context.Background()
	g, _ := withGeneral(t, dev, cudatest.Chain(2, 4, 1, simd.Tanh, false, 0))
	const n = 3*minRows + 5
	x := to32(normals64(2*n, 1))
	no := kernels.Noise{Seed: 5, Sample0: 1<<32 - 300}
	path := []kernels.PathRow{{Cin: 1, State: 1, Net: 0.1, Noise: 0.2}, {Tau: 0.5, Cin: 1, ReverseState: 1, ReversePrecision: 25}}
	run := func() ([]float32, error) { // everything that goes in batches and depends on where a sample stands in them
		div, logw := make([]float64, n), make([]float64, n)
		s, y := make([]float32, 2*n, 8*n), slices.Clone(x)
		err := g.Divergence(ctx, s, div, x, nil, 2, []float64{0.5})
		if err == nil {
			err = errors.Join(g.Trajectory(ctx, y, nil, cudatest.Rows()[:3], no, nil), g.PathWeights(ctx, y, logw, path, no, nil))
		}
		return append(append(append(s, to32(div)...), to32(logw)...), y...), err
	}
	want, err := run()
	if err != nil {
		t.Fatal(err)
	}
	u, err := dev.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.space.release(); err != nil {
		t.Fatal(err)
	}
	v, err := dev.Usage()
	if err != nil {
		t.Fatal(err)
	}
	scratch := int(u.InUse - v.InUse)
	t.Setenv("HBAR_EMU_MEMORY", strconv.Itoa(int(v.InUse)+scratch/2))
	got, err := run()
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("half the room: %v, or other numbers", err)
	}
	if g.batch["Divergence"] >= 2*n {
		t.Error("half the room was enough for all")
	}
	if err := g.space.release(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HBAR_EMU_MEMORY", strconv.Itoa(int(v.InUse)+scratch/32))
	var full *driver.Error
	if _, err := run(); !errors.As(err, &full) || !full.OutOfMemory() || !strings.Contains(err.Error(), "Divergence: no room for a batch of 128 samples, 2 rows each") {
		t.Errorf("no room: %v", err)
	}
}

// A network that finds no memory is an error each time. Once there is memory it works, and has taken no more of it than at the first time.
func TestGeneralOpensAgain(t *testing.T) {
	dev := cudatest.Open(t)
	cudatest.Emulated(t)
	used := func() int {
		u, err := dev.Usage()
		if err != nil {
			t.Fatal(err)
		}
		return int(u.InUse)
	}
	p := cudatest.Chain(2, 64, 2, simd.SiLU, false, 8)
	before := used()
	g, err := NewGeneral(dev, p, F16)
	if err != nil {
		t.Fatal(err)
	}
	want := used() - before
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if g, err = PrepareGeneral(dev, p, F16); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for room := 0; ; room += 1024 {
		t.Setenv("HBAR_EMU_MEMORY", strconv.Itoa(before+room))
		if err := g.Open(); err == nil {
			break
		}
		failed++
	}
	if got := used() - before; failed < 2 || got != want {
		t.Errorf("after %d openings without memory the network takes %d bytes; want %d", failed, got, want)
	}
	x := make([]float64, 2)
	for range 2 {
		var full *driver.Error
		if err := g.Forward64(context.Background(), x, x, []float64{0.5}); !errors.As(err, &full) || !full.OutOfMemory() {
			t.Errorf("no memory for the network in float64: %v", err)
		}
	}
	t.Setenv("HBAR_EMU_MEMORY", "")
	if err := errors.Join(g.Forward64(context.Background(), x, x, []float64{0.5}), g.Close()); err != nil {
		t.Error(err)
	}
	if got := used(); got != before {
		t.Errorf("the closed network keeps %d bytes", got-before)
	}
}

func TestGeneralErrors(t *testing.T) {
	dev := cudatest.Open(t)
	ctx, one := context.Background(), []float64{1}
	g, _ := withGeneral(t, dev, cudatest.Chain(2, 4, 1, simd.Tanh, false, 0))
	f, d := make([]float32, 4), make([]float64, 4)
	row := []kernels.Row{{Cin: 1}}
	no := kernels.Noise{}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	for want, err := range map[string]error{
		"Forward: x has 3 elements, want a multiple of D = 2":                   g.Forward(ctx, f, f[:3], one),
		"Forward: dst has 2 elements, want 4":                                   g.Forward(ctx, f[:2], f, one),
		"Forward64: 3 times for 2 samples, want 1 or 2":                         g.Forward64(ctx, d, d, d[:3]),
		"Forward64: time 0 is NaN, want a finite number":                        g.Forward64(ctx, d, d, []float64{math.NaN()}),
		"Tangent: 1 directions, want at least 1, or D = 2 for the unit vectors": g.Tangent(ctx, nil, f, f, nil, 1, one),
		"Tangent64: v has 3 elements, want 8":                                   g.Tangent64(ctx, nil, nil, d, d[:3], 2, one),
		"Divergence: div has 1 elements, want 2":                                g.Divergence(ctx, nil, d[:1], f, nil, 2, one),
		"Divergence without div":                                                g.Divergence(ctx, nil, nil, f, nil, 2, one),
		"Divergence64 without div":                                              g.Divergence64(ctx, nil, nil, d, nil, 2, one),
		"Adjoint with W but not V":                                              g.Adjoint64(ctx, &kernels.Adjoint[float64]{X: d, W: d}, one),
		"Adjoint CovS has 3 elements, want 4":                                   g.Adjoint32(ctx, &kernels.Adjoint[float32]{X: f, CovS: f[:3]}, one),
		"Jets64: Taylor expansion of order 6, want 0 to 5":                      g.Jets64(ctx, d, d, one, 6),
		"Jets64: dst has 4 elements, want 12":                                   g.Jets64(ctx, d, d, one, 1),
		"Trajectory: m has 3 elements, want 4":                                  g.Trajectory(ctx, f, f[:3], row, no, nil),
		"row 0 of the step table holds +Inf":                                    g.Trajectory(ctx, f, nil, []kernels.Row{{State: math.Inf(1)}}, no, nil),
		"PathWeights: logw has 1 elements, want 2":                              g.PathWeights(ctx, f, d[:1], nil, no, nil),
		"PathWeights: a path of 1 states, want at least 2":                      g.PathWeights(ctx, f, d[:2], make([]kernels.PathRow, 1), no, nil),
		"row 0 of the path table has Noise = 0":                                 g.PathWeights(ctx, f, d[:2], make([]kernels.PathRow, 2), no, nil),
		"context canceled":                                                      g.Forward(canceled, f, f, one),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("have the error %v, want %q", err, want)
		}
	}
	if err := g.Forward(ctx, nil, nil, one); err != nil {
		t.Errorf("no samples: %v", err)
	}
}
