package likelihood

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"hbar/kernels"
	"hbar/kernels/infer"
	"hbar/solver"
)

// meshed is an engine that counts the states it is given for tables of each order.
type meshed struct {
	*infer.Engine
	states [3]int
	low    int   // of states with jets in float32
	err    error // of every call, unless nil
}

func (m *meshed) Taylor(ctx context.Context, y, est []float64, table *kernels.TaylorTable, progress func(done int)) error {
	if m.err != nil {
		return m.err
	}
	m.states[table.Order] += len(est)
	if table.Float32 {
		m.low += len(est)
	}
	return m.Engine.Taylor(ctx, y, est, table, progress)
}

// around are n points about those of g.
func (g golden) around(n int) []float64 {
	r := rand.New(rand.NewPCG(7, 7))
	var x []float64
	for i := range n {
		k := 2 * (i % (len(g.X) / 2))
		x = append(x, g.X[k]+0.05*r.NormFloat64(), g.X[k+1]+0.05*r.NormFloat64())
	}
	return x
}

func withEngine(t *testing.T, m *solver.Network, e solver.Engine, p solver.Precision) *solver.Network {
	t.Helper()
	q, err := solver.NewNetwork(e, m.Schedule(), m.Prediction(), p)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// On a mesh of all points the results are those of steps of each point's own, to the tolerance; at any precision of the
// network, because both ways are integrated in float64. Most points fit the first mesh; a point without a value disturbs none.
func TestExpandMesh(t *testing.T) {
	slow(t)
	g, m := loadGolden(t, "simple"), network(t, "simple")
	const n = 160
	x := g.around(n)
	x[2*70] = math.NaN()
	engine := m.Engine().(*infer.Engine)
	want, err := Expand(ctx, withEngine(t, m, &meshed{Engine: engine, err: kernels.ErrNoTaylor}, solver.Float64), m.Schedule(), x, ExpandOptions{Options: Options{Tol: 1e-7}})
	if err != nil {
		t.Fatal(err)
	}
	e := &meshed{Engine: engine}
	var done []int
	o := ExpandOptions{Options: Options{Progress: func(d, total int) {
		if total != n {
			t.Errorf("%d points of %d", d, total)
		}
		done = append(done, d)
	}}}
	got, err := Expand(ctx, withEngine(t, m, e, solver.Float32), m.Schedule(), x, o)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(done) || done[len(done)-1] != n {
		t.Errorf("progress %v", done)
	}
	const once = n - 1 - pilots
	if e.states[0] < once || e.states[1] < once || e.states[0] > once*5/4 || e.states[1] > once*5/4 {
		t.Errorf("%v states on meshes; want all but one and the pilots once each way, and few of them on a finer mesh too", e.states)
	}
	compare := func(got []Expansion, tolQ, tolGrad, tolLap, tolL1, tolMismatch worst) {
		t.Helper()
		var logQ, grad, lap, l1, mismatch worst
		for i, q := range got {
			w := want[i]
			if i == 70 {
				if q.Status != BadPoint || !math.IsNaN(q.LogQ) {
					t.Errorf("a point that is no number: %+v", q)
				}
				continue
			}
			if q.Status != OK || w.Status != OK {
				t.Fatalf("point %d: %s, one by one %s", i, q.Status, w.Status)
			}
			logQ.see(q.LogQ - w.LogQ)
			grad.see(math.Hypot(q.Grad[0]-w.Grad[0], q.Grad[1]-w.Grad[1]) / max(1, math.Hypot(w.Grad[0], w.Grad[1])))
			lap.see((q.Laplacian - w.Laplacian) / max(1, math.Abs(w.Laplacian)))
			l1.see((q.L1 - w.L1) / max(1, math.Abs(w.L1)))
			mismatch.see((q.Mismatch - w.Mismatch) / max(1, math.Abs(w.Mismatch)))
		}
		t.Logf("errors: log q %.1e, u %.1e, Δ %.1e, ℓ₁ %.1e, mismatch %.1e", logQ, grad, lap, l1, mismatch)
		if logQ > tolQ || grad > tolGrad || lap > tolLap || l1 > tolL1 || mismatch > tolMismatch {
			t.Errorf("errors: log q %.1e, u %.1e, Δ %.1e, ℓ₁ %.1e, mismatch %.1e", logQ, grad, lap, l1, mismatch)
		}
	}
	compare(got, 2e-5, 3e-4, 2e-3, 5e-4, 1e-4) // as one by one at the default tolerance, TestExpandNetworks
	if e.low != 0 {
		t.Errorf("%d states in float32", e.low)
	}
	if got, err = Expand(ctx, withEngine(t, m, e, solver.Float32), m.Schedule(), x, ExpandOptions{Float32: true}); err != nil {
		t.Fatal(err)
	}
	if e.low < n/2 {
		t.Errorf("%d states in float32", e.low)
	}
	compare(got, 2e-4, 3e-3, 5e-2, 4e-3, 1e-3) // as ExpandOptions says of Float32
}

// Given steps are a mesh: the values of one point do not depend on the others, and are those of the plain loop.
func TestExpandMeshSteps(t *testing.T) {
	g, m := loadGolden(t, "cosine"), network(t, "cosine")
	engine := m.Engine().(*infer.Engine)
	for order := 1; order <= 2; order++ {
		o := ExpandOptions{Order: order, Options: Options{Steps: 12}}
		e := &meshed{Engine: engine}
		got, err := Expand(ctx, withEngine(t, m, e, solver.Float64), m.Schedule(), g.X[:6], o)
		if err != nil {
			t.Fatal(err)
		}
		if e.states[0] != 3 || e.states[order] != 3 {
			t.Errorf("%v states on meshes", e.states)
		}
		want, err := Expand(ctx, withEngine(t, m, &meshed{Engine: engine, err: kernels.ErrNoTaylor}, solver.Float64), m.Schedule(), g.X[:6], o)
		if err != nil {
			t.Fatal(err)
		}
		alone, err := Expand(ctx, m, m.Schedule(), g.X[2:4], o)
		if err != nil {
			t.Fatal(err)
		}
		for i, q := range got {
			w := want[i]
			for _, v := range [][2]float64{{q.LogQ, w.LogQ}, {q.L1, w.L1}, {q.DivTerm, w.DivTerm}, {q.Mismatch, w.Mismatch}, {q.Return, w.Return}} {
				if !(math.Abs(v[0]-v[1]) <= 1e-8*max(1, math.Abs(v[1]))) { // rounding, multiplied along paths that twelve steps make none too well
					t.Errorf("order %d, point %d: %+v, one by one %+v", order, i, q, w)
				}
			}
			if order == 2 {
				near(t, "ℓ₂", q.L2, w.L2, 1e-7) // the same of a higher derivative
			}
			if q.Jets != 12*12 || q.Steps != 24 {
				t.Errorf("%d jets in %d steps", q.Jets, q.Steps)
			}
		}
		if got[1].LogQ != alone[0].LogQ || got[1].L1 != alone[0].L1 {
			t.Errorf("order %d: %+v depends on others, alone %+v", order, got[1], alone[0])
		}
	}
}

func TestExpandMeshErrors(t *testing.T) {
	g, m := loadGolden(t, "simple"), network(t, "simple")
	broken := errors.New("broken")
	q := withEngine(t, m, &meshed{Engine: m.Engine().(*infer.Engine), err: broken}, solver.Float64)
	if _, err := Expand(ctx, q, m.Schedule(), g.X[:2], ExpandOptions{Options: Options{Steps: 3}}); !errors.Is(err, broken) {
		t.Errorf("an engine that breaks: %v", err)
	}
	// a recorded path takes steps of its own
	e := &meshed{Engine: m.Engine().(*infer.Engine)}
	got, err := Expand(ctx, withEngine(t, m, e, solver.Float64), m.Schedule(), g.X[:2], ExpandOptions{Record: true, Options: Options{Steps: 3}})
	if err != nil {
		t.Fatal(err)
	}
	if e.states != [3]int{} || len(got[0].Path) != 4 {
		t.Errorf("%v states on meshes, a path of %d points", e.states, len(got[0].Path))
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Expand(cancelled, withEngine(t, m, e, solver.Float64), m.Schedule(), g.X[:2], ExpandOptions{Options: Options{Steps: 3}}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
