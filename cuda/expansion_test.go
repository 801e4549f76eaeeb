//go:build gpu && cgo

package cuda

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"hbar/cuda/internal/cudatest"
	"hbar/kernels"
	"hbar/kernels/infer"
	"hbar/kernels/simd"
	"hbar/solver"
	"hbar/solver/likelihood"
)

// expander is an engine that counts the states that it is given.
type expander struct {
	*Engine
	states [3]int // of each order
}

func (e *expander) Taylor(ctx context.Context, y, est []float64, table *kernels.TaylorTable, progress func(done int)) error {
	e.states[table.Order] += len(est)
	return e.Engine.Taylor(ctx, y, est, table, progress)
}

// The expansion of package likelihood on an engine of the device is that of the CPU: on given steps, and on the mesh that
// pilots make.
func TestTaylorExpand(t *testing.T) {
	cudatest.Open(t)
	p := cudatest.Chain(2, 64, 1, simd.SiLU, false, 0)
	cpu, err := infer.New(p, infer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEngine(p, 0, FP32)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s, err := solver.NewSchedule("simple", nil)
	if err != nil {
		t.Fatal(err)
	}
	const n = 110
	r, x := rand.New(rand.NewPCG(5, n)), make([]float64, 2*n)
	for i := range x {
		x[i] = r.NormFloat64() / 2
	}
	x[2*2] = math.NaN()
	for _, c := range []struct {
		order, n int
		o        likelihood.Options
		tol      float64
	}{
		{1, 5, likelihood.Options{Steps: 4}, 1e-9}, // rounding, multiplied along paths that four steps make none too well
		{2, 5, likelihood.Options{Steps: 4}, 1e-9},
		{1, n, likelihood.Options{Tol: 1e-3}, 1e-4}, // a step of a pilot may be accepted here and rejected there
	} {
		device := &expander{Engine: e}
		var got [2][]likelihood.Expansion
		for i, engine := range []solver.Engine{cpu, device} {
			m, err := solver.NewNetwork(engine, s, solver.Prediction{}, solver.Float32)
			if err != nil {
				t.Fatal(err)
			}
			if got[i], err = likelihood.Expand(context.Background(), m, s, x[:2*c.n], likelihood.ExpandOptions{Order: c.order, Options: c.o}); err != nil {
				t.Fatal(err)
			}
		}
		if least := (c.n - 1) / 2; device.states[0] < least || device.states[c.order] < least {
			t.Errorf("%v states of %d points on meshes", device.states, c.n)
		}
		for i, want := range got[0] {
			g := got[1][i]
			if g.Status != want.Status || (want.Status == likelihood.OK) != (i != 2) {
				t.Fatalf("order %d, point %d: %+v, on the CPU %+v", c.order, i, g, want)
			}
			if want.Status != likelihood.OK {
				continue
			}
			pairs := [][2]float64{{g.LogQ, want.LogQ}, {g.L1, want.L1}, {g.DivTerm, want.DivTerm}, {g.Mismatch, want.Mismatch}, {g.Laplacian, want.Laplacian}}
			if c.order == 2 {
				pairs = append(pairs, [2]float64{g.L2, want.L2})
			}
			for _, v := range pairs {
				if !(math.Abs(v[0]-v[1]) <= c.tol*max(1, math.Abs(v[1]))) {
					t.Errorf("order %d, point %d: %+v, on the CPU %+v", c.order, i, g, want)
				}
			}
		}
	}
}
