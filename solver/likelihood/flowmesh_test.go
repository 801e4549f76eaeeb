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
	"hbar/kernels/simd"
	"hbar/solver"
	"hbar/solver/likelihood/ode"
)

// single is a network in float32.
func single(t *testing.T, e solver.Engine, s solver.Schedule) *solver.Network {
	t.Helper()
	m, err := solver.NewNetwork(e, s, solver.Prediction{}, solver.Float32)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// onMesh is how many points took the number of steps that most took.
func onMesh(got []FlowPoint) int {
	count, most := map[int]int{}, 0
	for _, p := range got {
		count[p.Steps]++
		most = max(most, count[p.Steps])
	}
	return most
}

// The linear network s = −C x, C diagonal: under a variance-preserving schedule x_i(Tmax) = α_r^(1−c_i) x_i with α_r =
// α(Tmax)/α(Tmin), and ∫∇·F = Σ (1−c_i) log α_r.
func TestFlowMeshGaussian(t *testing.T) {
	c := []float64{0.9, 1.1, 1}
	p := &kernels.Chain{D: 3, Widths: []int{4, 3}, Output: 1,
		Params:  []kernels.Param{{Rows: 3, Cols: 4, Data: make([]float32, 12)}, {Rows: 3, Cols: 1, Data: make([]float32, 3)}},
		Forward: []kernels.Instr{{Dst: 1, Add: -1, B: 1, Act: simd.Identity}}}
	for i, v := range c {
		p.Params[0].Data[5*i] = float32(-v)
	}
	e, err := infer.New(p, infer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := schedule(t, "cosine")
	const n = 200
	x := make([]float64, 3*n)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range x {
		x[i] = r.NormFloat64()
	}
	for _, o := range []FlowOptions{{}, {Options: Options{Clock: ClockTime}}, {Options: Options{Method: ode.DormandPrince}},
		{Options: Options{Method: ode.RK4, Steps: 200}}, {Divergence: Rademacher, Probes: 2}, {Divergence: Normal, Probes: 2}} {
		told := 0
		o.Progress = func(done, total int) {
			if done < told || total != n {
				t.Errorf("progress %d of %d after %d", done, total, told)
			}
			told = done
		}
		got, err := Flow(ctx, single(t, e, s), s, x, o)
		if err != nil {
			t.Fatal(err)
		}
		if told != n || onMesh(got) < n-pilots {
			t.Errorf("%+v: progress ends at %d; %d points on a mesh", o.Options, told, onMesh(got))
		}
		ratio := math.Log(s.Alpha(s.Tmax()) / s.Alpha(s.Tmin()))
		w := worst(0)
		for i, q := range got {
			if q.Status != OK {
				t.Fatalf("point %d: %+v", i, q)
			}
			want := 0.0
			for j, v := range c {
				end := math.Exp((1-v)*ratio) * x[3*i+j]
				want -= end*end/2 + math.Log(2*math.Pi)/2
				if o.Divergence == Exact {
					want += (1 - v) * ratio
				}
			}
			for k := range o.Probes { // the mean of D − εᵀCε
				e := make([]float64, 3)
				o.Divergence.fill(e, o.Seed, uint64(i), k, 3)
				trace := 3.0
				for j, v := range c {
					trace -= v * e[j] * e[j]
				}
				want += trace * ratio / float64(o.Probes)
			}
			w.see((q.LogQ - want) / (1 + math.Abs(want)))
		}
		if !(w < 1e-5) { // the tolerance
			t.Errorf("%v, %d probes: error %.1e", o.Options, o.Probes, w)
		}
	}
}

// A trained network in float32 on a mesh, against reference values and against its float64 self.
func TestFlowMeshNetwork(t *testing.T) {
	slow(t)
	names, copies := []string{"simple", "cosine"}, 8
	if testing.Short() {
		names, copies = names[:1], 6
	}
	for _, name := range names {
		g, m := loadGolden(t, name), network(t, name)
		x := slices.Clone(g.X)
		r := rand.New(rand.NewPCG(1, 2))
		for range copies - 1 {
			for _, v := range g.X {
				x = append(x, v+0.05*r.NormFloat64())
			}
		}
		far := len(x) / 2
		x = append(x, -0.5472, 1.5961, math.NaN(), 0)
		if name == "simple" { // on the other, points whose paths diverge take a second each
			x = append(x, 3, -4)
		}
		got, err := Flow(ctx, single(t, m.Engine(), m.Schedule()), m.Schedule(), x, FlowOptions{})
		if err != nil {
			t.Fatal(err)
		}
		want, err := Flow(ctx, m, m.Schedule(), x, FlowOptions{Options: Options{Tol: 1e-7}})
		if err != nil {
			t.Fatal(err)
		}
		if most := onMesh(got); most < far-pilots-8 || most > len(x)/2-pilots {
			t.Errorf("%s: %d of %d points on the mesh", name, most, len(x)/2)
		}
		w, golden := worst(0), worst(0)
		for i, q := range got {
			if i == far+1 {
				if q.Status != BadPoint {
					t.Errorf("%s: a point of NaN: %+v", name, q)
				}
				continue
			}
			if q.Status != want[i].Status {
				t.Errorf("%s: point %d: %+v, float64 %+v", name, i, q, want[i])
			}
			if q.Status == OK {
				w.see((q.LogQ - want[i].LogQ) / (1 + math.Abs(want[i].LogQ)/100))
			}
			if i < len(g.LogQ) {
				golden.see(q.LogQ - g.LogQ[i])
			}
		}
		t.Logf("%s: errors %.1e, of the reference values %.1e", name, w, golden)
		// A few times the tolerance 10⁻⁵: rounding of the network grows along the path. In float64, steps of each path's own
		// leave as much at such points.
		if !(w < 1.5e-4 && golden < 5e-5) {
			t.Errorf("%s: errors %.1e, of the reference values %.1e", name, w, golden)
		}
		if name != "simple" {
			continue
		}
		// The mesh is too coarse for this one: it has steps of half the length, or a quarter.
		alone, err := Flow(ctx, m, m.Schedule(), x[2*far:2*far+2], FlowOptions{})
		if err != nil {
			t.Fatal(err)
		}
		most := got[1].Steps // of a point that is no pilot
		if math.Abs(got[far].LogQ-alone[0].LogQ) > 3e-5 || got[far].Status != OK || got[far].Steps < 2*most || got[far].Steps%most != 0 {
			t.Errorf("a point far off: %+v, alone %+v", got[far], alone[0])
		}
	}
}

// A pilot whose path diverges does not make the mesh of all others: it would be twenty times as fine.
func TestFlowMeshPilots(t *testing.T) {
	trace := make(ode.Trace, 6)
	for i, steps := range []int{20, 25, 700, 30, 70, 22} {
		trace[i] = make([]float64, steps)
	}
	var kept []int
	for _, t := range withoutLongest(trace, func(i int) bool { return i != 1 }) {
		kept = append(kept, len(t))
	}
	if !slices.Equal(kept, []int{20, 22, 30}) {
		t.Errorf("pilots of %v steps", kept)
	}
	if got := withoutLongest(trace, func(int) bool { return false }); got != nil {
		t.Errorf("of failures: %v", got)
	}
}

// noFlow is an engine without the flow, refuses one that says so, and fails one that breaks.
type (
	noFlow  struct{ solver.Engine }
	refuses struct{ solver.Engine }
	fails   struct{ solver.Engine }
)

var errBroken = errors.New("broken")

func (refuses) Flow(context.Context, []float64, []float64, []float64, []float32, *kernels.FlowTable, func(int)) error {
	return kernels.ErrNoFlow
}

func (fails) Flow(_ context.Context, x, _, _ []float64, _ []float32, _ *kernels.FlowTable, _ func(int)) error {
	if len(x) == 0 {
		return nil
	}
	return errBroken
}

// Engines without the flow, precision that float32 does not have, and few points mean steps of each path's own.
func TestFlowWithoutMesh(t *testing.T) {
	slow(t)
	m := network(t, "simple")
	s := m.Schedule()
	r := rand.New(rand.NewPCG(5, 2))
	x := make([]float64, 2*(meshPoints+40))
	for i := range x {
		x[i] = r.NormFloat64() / 2
	}
	flow := func(e solver.Engine, x []float64, tol float64) []FlowPoint {
		got, err := Flow(ctx, single(t, e, s), s, x, FlowOptions{Options: Options{Tol: tol}})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	double := func(x []float64, tol float64) []FlowPoint {
		got, err := Flow(ctx, m, s, x, FlowOptions{Options: Options{Tol: tol}})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	same := func(what string, got, want []FlowPoint) {
		t.Helper()
		for i := range got {
			if got[i].LogQ != want[i].LogQ || got[i].Evals != want[i].Evals {
				t.Fatalf("%s: point %d: %+v, want %+v", what, i, got[i], want[i])
			}
		}
	}
	const tol = 1e-3
	same("refused", flow(refuses{m.Engine()}, x, tol), flow(noFlow{m.Engine()}, x, tol))
	few := x[:2*meshPoints]
	same("few points", flow(m.Engine(), few, tol), double(few, tol))
	same("a small tolerance", flow(m.Engine(), x, 9e-6), double(x, 9e-6))
	if n := onMesh(flow(m.Engine(), x, tol)); n < meshPoints+40-pilots-5 {
		t.Errorf("%d points on a mesh", n)
	}
	if _, err := Flow(ctx, single(t, fails{m.Engine()}, s), s, x, FlowOptions{}); !errors.Is(err, errBroken) {
		t.Errorf("an engine that fails: %v", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Flow(cancelled, single(t, m.Engine(), s), s, x, FlowOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
