package likelihood

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"time"

	"hbar/kernels"
	"hbar/solver"
	"hbar/solver/likelihood/ode"
)

// flowEngine is an engine with an integrator for the probability flow, on one mesh for all points (kernels.FlowTable). It
// returns kernels.ErrNoFlow for a network that the integrator does not take.
type flowEngine interface {
	Flow(ctx context.Context, x, div, est []float64, probes []float32, table *kernels.FlowTable, progress func(done int)) error
}

const (
	// pilots is the number of points that are integrated adaptively, so that their steps give a mesh for the others.
	pilots = 48
	// meshTol is the ratio of the tolerance of a step on a mesh to that of the pilots' steps. A mesh is everywhere as fine as
	// the finest pilot, so nearly all steps of nearly all points have errors far below both tolerances. Only points whose
	// paths are unlike those of the pilots come near them.
	meshTol = 10
	// meshRounds is the number of meshes that are tried: the points that one is too coarse for get steps of half the length. So the
	// value of a point depends on the pilots, and on no other point.
	meshRounds = 3
	// meshPoints is the number of points up to which adaptive steps cost less than pilots and a mesh.
	meshPoints = 2 * pilots
	// minTol is the smallest Tol for meshes: rounding in a float32 network makes error estimates of 2·10⁻⁷ to 5·10⁻⁷ (measured
	// on trained networks), and errors of log q⁰ of 2·10⁻⁶, 2·10⁻⁵ at one point in a hundred, whatever the mesh. For smaller
	// tolerances all points are integrated adaptively in float64.
	minTol = 1e-5
	// leastTol is the smallest tolerance of a step on a mesh. It is several times the estimates that rounding makes, because
	// the approximate functions of a GPU make larger ones.
	leastTol = 3e-6
)

// flowRun is a call of Flow on common meshes.
type flowRun struct {
	*problem // with the network in float64, for pilots and for points that no mesh was fine enough for
	engine   flowEngine
	pred     solver.Prediction
	x        []float64
	o        FlowOptions
	k        int
	points   []FlowPoint
	done     int // finished points
	reported int // largest number passed to Progress
}

// shared returns a flowRun for the points, or nil if the model is not a float32 network whose engine is a flowEngine.
func (p *problem) shared(ctx context.Context, x []float64, o FlowOptions, k int) *flowRun {
	m, ok := p.model.(*solver.Network)
	if !ok || m.Precision() != solver.Float32 {
		return nil
	}
	e, ok := m.Engine().(flowEngine)
	if !ok {
		return nil
	}
	euler := &kernels.FlowTable{A: [][]float64{nil}, B: []float64{1}}
	if errors.Is(e.Flow(ctx, nil, nil, nil, nil, euler, nil), kernels.ErrNoFlow) { // a call without points says whether the engine takes the network
		return nil
	}
	double, err := solver.NewNetwork(m.Engine(), m.Schedule(), m.Prediction(), solver.Float64)
	if err != nil {
		return nil
	}
	q := *p
	q.model = double
	r := &flowRun{problem: &q, engine: e, pred: m.Prediction(), x: x, o: o, k: k, points: make([]FlowPoint, len(x)/p.d)}
	for i := range r.points {
		r.points[i] = interruptedPoint // until it is done
	}
	return r
}

func (r *flowRun) run(ctx context.Context) ([]FlowPoint, error) {
	var todo []int
	for i := range r.points {
		if finitePoint(r.point(i)) {
			todo = append(todo, i)
			continue
		}
		r.points[i] = FlowPoint{LogQ: math.NaN(), StdErr: math.NaN(), Status: BadPoint}
		r.done++
	}
	if steps := r.o.Steps; steps > 0 {
		mesh := make([]float64, steps+1)
		for i := range mesh {
			mesh[i] = r.start() + (r.end()-r.start())*float64(i)/float64(steps)
		}
		_, err := r.onMesh(ctx, todo, mesh)
		return r.points, err
	}
	mesh, todo, err := r.mesh(ctx, todo)
	for round := 0; err == nil && mesh != nil && round < meshRounds && len(todo) > 0; round++ {
		todo, err = r.onMesh(ctx, todo, mesh)
		mesh = finer(mesh)
	}
	if err != nil {
		return r.points, err
	}
	for len(todo) > 0 {
		n := min(len(todo), block)
		if err := r.adaptive(ctx, todo[:n]); err != nil {
			return r.points, err
		}
		todo = todo[n:]
	}
	return r.points, nil
}

// mesh integrates the pilots adaptively, and gives the mesh for all others; nil if there is none. It returns the points of todo that are
// left.
func (r *flowRun) mesh(ctx context.Context, todo []int) (mesh []float64, left []int, err error) {
	if r.o.settings().Tol < minTol {
		return nil, todo, nil
	}
	p, err := r.o.pilots(r.x, len(r.points), r.d, r.o.sample)
	if err != nil || len(p.at) == 0 {
		return nil, todo, err
	}
	trace := ode.NewTrace(len(p.at))
	set := forward(r.o.settings())
	set.Accept = trace.Accept
	got, err := r.flow(ctx, p.x, r.o, r.k, func(i int) uint64 { return p.samples[i] }, set)
	if err != nil {
		return nil, todo, err
	}
	for k, i := range p.at {
		if i >= 0 && slices.Contains(todo, i) {
			r.points[i] = got[k]
			r.done++
		}
	}
	left = without(todo, p.at)
	kept := withoutLongest(trace, func(i int) bool { return got[i].Status == OK })
	if len(kept) == 0 {
		return nil, left, nil
	}
	return ode.Mesh(r.start(), r.end(), 1, kept), left, nil
}

// withoutLongest keeps the traces of those pilots that arrived, and that took at most twice the median number of steps. A
// path that diverges takes thousands of steps, and would make the mesh too fine for all others.
func withoutLongest(trace ode.Trace, arrived func(pilot int) bool) ode.Trace {
	var kept ode.Trace
	for i, t := range trace {
		if arrived(i) {
			kept = append(kept, t)
		}
	}
	slices.SortFunc(kept, func(a, b []float64) int { return len(a) - len(b) })
	if len(kept) == 0 {
		return nil
	}
	most := 2 * len(kept[len(kept)/2])
	return slices.DeleteFunc(kept, func(t []float64) bool { return len(t) > most })
}

func (r *flowRun) point(i int) []float64 { return r.x[i*r.d : (i+1)*r.d] }

func (r *flowRun) gather(rows []int) []float64 {
	x := make([]float64, 0, len(rows)*r.d)
	for _, i := range rows {
		x = append(x, r.point(i)...)
	}
	return x
}

// adaptive integrates each of the points rows in adaptive steps of its own.
func (r *flowRun) adaptive(ctx context.Context, rows []int) error {
	set := forward(r.o.settings())
	set.Progress = func(done, _ int) { r.report(done) }
	got, err := r.flow(ctx, r.gather(rows), r.o, r.k, r.samples(rows), set)
	if err != nil {
		return err
	}
	for i, q := range got {
		r.points[rows[i]] = q
	}
	r.done += len(rows)
	return nil
}

func (r *flowRun) samples(rows []int) func(i int) uint64 {
	return func(i int) uint64 { return r.o.sample(rows[i]) }
}

// report calls Progress with the number of finished points, done of them beyond r.done. The number never decreases, although points
// that a mesh was too coarse for are integrated again.
func (r *flowRun) report(done int) {
	if r.reported = max(r.reported, r.done+done); r.o.Progress != nil {
		r.o.Progress(r.reported, len(r.points))
	}
}

// onMesh integrates points on one mesh by the engine, and returns those whose error estimate is too large.
func (r *flowRun) onMesh(ctx context.Context, rows []int, mesh []float64) (failed []int, err error) {
	table := r.table(mesh)
	most := max(block, min(1<<20, 1<<24/(r.k*r.d)))
	size := min(leastPiece*runtime.GOMAXPROCS(0), most)
	for len(rows) > 0 {
		part := rows[:min(size, len(rows))]
		rows = rows[len(part):]
		n := len(part)
		began := time.Now()
		x, div, est := r.gather(part), make([]float64, n*r.k), make([]float64, n)
		var probes []float32
		for _, v := range r.draw(r.o, n, r.k, r.samples(part)) {
			probes = append(probes, float32(v))
		}
		if err := r.engine.Flow(ctx, x, div, est, probes, table, r.report); err != nil {
			return nil, err
		}
		for i, row := range part {
			if table.E != nil && !(est[i] <= 1) {
				failed = append(failed, row)
				continue
			}
			end, integrals := x[i*r.d:(i+1)*r.d], div[i*r.k:(i+1)*r.k]
			status := OK
			switch {
			case !finitePoint(end) || !finitePoint(integrals):
				status = NotFinite
			case r.escaped(end):
				status = Diverged
			}
			r.points[row] = r.flowPoint(status, end, integrals, r.o)
			r.points[row].Steps, r.points[row].Evals = len(table.Steps), len(table.Steps)*table.Stages()
			r.done++
		}
		if time.Since(began) < time.Second/2 {
			size = min(2*size, most)
		}
	}
	return failed, nil
}

// leastPiece is the number of points for each processor in the first call of the engine. Later calls take more points, until one
// lasts half a second: when a run is stopped, the points of one call at most are lost. The number of points in a call does not
// change the results.
const leastPiece = 128

// table is the integration on a mesh as the engine takes it. It has no error estimates if the caller chose the steps.
func (r *flowRun) table(mesh []float64) *kernels.FlowTable {
	m := fixed(r.o.Method)
	s := len(m.B)
	t := &kernels.FlowTable{A: m.A, B: m.B}
	if r.o.Steps == 0 {
		t.E, t.E3, t.Tol = m.E, m.E3, max(leastTol, meshTol*forward(r.o.settings()).Tol)
	}
	for i := 1; i < len(mesh); i++ {
		step := kernels.FlowStep{H: mesh[i] - mesh[i-1]}
		for _, c := range m.C[:s] {
			at, drift, half := r.at(mesh[i-1] + c*step.H)
			cin, px, qn, tau := r.pred.Coeffs(r.s, at)
			step.Stages = append(step.Stages, kernels.FlowStage{Tau: tau, Cin: cin, State: drift - half*px, Net: -half * qn, Drift: drift})
		}
		t.Steps = append(t.Steps, step)
	}
	return t
}

// fixed is a method (nil: DOP853) as a table needs it. The stage at the end of the step, which adaptive integration needs for the
// next step, is left out unless the error estimate uses it.
func fixed(m *ode.Tableau) *ode.Tableau {
	if m == nil {
		m = ode.DOP853
	}
	s := len(m.B)
	for j, e := range m.E {
		if e != 0 {
			s = max(s, j+1)
		}
	}
	q := *m
	q.A, q.C, q.B = m.A[:s], m.C[:s], append(slices.Clone(m.B), make([]float64, s-len(m.B))...)
	q.E, q.E3 = m.E[:min(s, len(m.E))], m.E3[:min(s, len(m.E3))]
	return &q
}
