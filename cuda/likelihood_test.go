//go:build gpu && cgo

package cuda

import (
	"context"
	"math"
	"testing"

	"hbar/cuda/internal/cudatest"
	"hbar/kernels"
	"hbar/kernels/infer"
	"hbar/kernels/simd"
	"hbar/solver"
	"hbar/solver/likelihood"
)

// counted is an engine that counts the flows and path integrals that it is asked for.
type counted struct {
	*Engine
	flows, paths int
}

func (c *counted) Flow(ctx context.Context, x, div, est []float64, probes []float32, table *kernels.FlowTable, progress func(done int)) error {
	c.flows += len(x)
	return c.Engine.Flow(ctx, x, div, est, probes, table, progress)
}

func (c *counted) PathWeights(ctx context.Context, x []float32, logw []float64, rows []kernels.PathRow, no kernels.Noise, progress func(done int)) error {
	c.paths += len(x)
	return c.Engine.PathWeights(ctx, x, logw, rows, no, progress)
}

// Package likelihood runs the fused kernels of an engine, and finds on a device what it finds on the CPU.
func TestLikelihoods(t *testing.T) {
	cudatest.Open(t)
	p := cudatest.Chain(1, 64, 1, simd.SiLU, false, 0)
	for _, q := range p.Params { // a small score, besides that of a standard normal
		for i := range q.Data {
			q.Data[i] /= 2
		}
	}
	cpu, err := infer.New(p, infer.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEngine(p, 0, FP32)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	device := &counted{Engine: e}
	s, model := networkOnSimple(t)
	ctx := context.Background()
	const n = 110
	x := make([]float64, n)
	for i := range x {
		x[i] = 4*float64(i)/n - 2
	}
	o := likelihood.FlowOptions{Options: likelihood.Options{Tol: 1e-3}}
	want, err := likelihood.Flow(ctx, model(cpu), s, x, o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := likelihood.Flow(ctx, model(device), s, x, o)
	if err != nil {
		t.Fatal(err)
	}
	if device.flows < n/2 {
		t.Errorf("%d of %d flows were fused", device.flows, n)
	}
	for i := range got {
		// a few units of float32 rounding on either side, and a pilot's steps may differ by rounding too
		if !(math.Abs(got[i].LogQ-want[i].LogQ) < 1e-5) || got[i].Status != want[i].Status {
			t.Errorf("point %g: %+v, on the CPU %+v", x[i], got[i], want[i])
		}
	}
	po := likelihood.PathOptions{Sampler: solver.Exponential, Grid: solver.GridLambda, Steps: 20, Paths: 20, Seed: 3}
	reference, err := likelihood.PathIntegral(ctx, model(cpu), s, x[:3], []float64{0.5, 1}, po)
	if err != nil {
		t.Fatal(err)
	}
	paths, err := likelihood.PathIntegral(ctx, model(device), s, x[:3], []float64{0.5, 1}, po)
	if err != nil {
		t.Fatal(err)
	}
	if device.paths != 3*2*20 {
		t.Errorf("%d fused paths", device.paths)
	}
	for i := range paths {
		for j, e := range paths[i] {
			// The same 20 paths on either side: roundings of float32 in each of 20 steps, whose terms have the size 1/C², some hundred.
			const rounding = 1e-4
			if r := reference[i][j]; !(math.Abs(e.LogQ-r.LogQ) < rounding && math.Abs(e.StdErr-r.StdErr) < rounding) {
				t.Errorf("point %g, h = %g: %+v, on the CPU %+v", x[i], e.H, e, r)
			}
		}
	}
}

// A network that the fused kernels do not take runs evaluation by evaluation.
func TestLikelihoodsByLayers(t *testing.T) {
	cudatest.Open(t)
	s, model := networkOnSimple(t)
	mixed := cudatest.Chain(1, 24, 2, simd.SiLU, false, 0)
	mixed.Forward[1].Act = simd.Tanh
	cpu, err := infer.New(mixed, infer.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewEngine(mixed, 0, FP32)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	x := []float64{-2, -1.9, -1.8}
	o := likelihood.FlowOptions{Options: likelihood.Options{Tol: 1e-3}}
	want, err := likelihood.Flow(t.Context(), model(cpu), s, x, o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := likelihood.Flow(t.Context(), model(other), s, x, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if !(math.Abs(got[i].LogQ-want[i].LogQ) < 1e-3) { // the tolerance of the flow: the pilots' steps differ
			t.Errorf("layer by layer, point %g: %+v, on the CPU %+v", x[i], got[i], want[i])
		}
	}
}

// networkOnSimple is the simple schedule, and what makes a score of an engine on it.
func networkOnSimple(t *testing.T) (solver.Schedule, func(e solver.Engine) *solver.Network) {
	t.Helper()
	s, err := solver.NewSchedule("simple", nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, func(e solver.Engine) *solver.Network {
		m, err := solver.NewNetwork(e, s, solver.Prediction{Target: solver.PredictV}, solver.Float32)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
}
