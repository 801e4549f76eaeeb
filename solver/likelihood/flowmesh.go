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

// flowEngine is an engine that integrates the probability flow itself, on one mesh for all points (kernels.FlowTable), or
// says kernels.ErrNoFlow.
type flowEngine interface {
	Flow(ctx context.Context, x, div, est []float64, probes []float32, table *kernels.FlowTable, progress func(done int)) error
}

const (
	// pilots are the paths whose own steps make a mesh.
	pilots = 48
	// meshTol is the tolerance of a step on a mesh in that of the pilots' steps. As a mesh is as fine as the finest pilot
	// everywhere, nearly all steps of nearly all points are far below both; the points are those that differ.
	meshTol = 10
	// meshRounds is how many meshes are tried: points that one is too coarse for have pilots and a mesh of their own next.
	meshRounds = 3
	// meshPoints is the number of points below which a mesh does not pay.
	meshPoints = 2 * pilots
	// minTol is the smallest Tol for meshes: rounding in a float32 network makes error estimates of 2·10⁻⁷ to 5·10⁻⁷ (measured
	// on trained networks), and errors of log q⁰ of 2·10⁻⁶, 2·10⁻⁵ at one point in a hundred, whatever the mesh. Below, all
	// points are integrated in steps of their own and in float64.
	minTol = 1e-5
	// leastTol is the least tolerance of a step on a mesh: those estimates several times over, as a device's approximate
	// functions make larger ones.
	leastTol = 3e-6
)

// flowRun is a call of Flow on common meshes.
type flowRun struct {
	*problem // with the network in float64: pilots, and points that no mesh was fine enough for
	engine   flowEngine
	pred     solver.Prediction
	x        []float64
	o        FlowOptions
	k        int
	points   []FlowPoint
	done     int // finished points
	told     int // most that Progress heard of
}

// shared returns the run of the points on common meshes, nil if the model is not a float32 network whose engine does that.
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
	if errors.Is(e.Flow(ctx, nil, nil, nil, nil, euler, nil), kernels.ErrNoFlow) { // asked with no points
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
		_, err := r.fused(ctx, todo, mesh)
		return r.points, err
	}
	for round := 0; round < meshRounds && len(todo) > meshPoints && r.o.settings().Tol >= minTol; round++ {
		lead, rest := split(todo)
		trace := ode.NewTrace(len(lead))
		if err := r.adaptive(ctx, lead, trace.Accept); err != nil {
			return r.points, err
		}
		leaders := usual(trace, func(i int) bool { return r.points[lead[i]].Status == OK })
		if len(leaders) == 0 {
			todo = rest
			break
		}
		var err error
		if todo, err = r.fused(ctx, rest, ode.Mesh(r.start(), r.end(), 1, leaders)); err != nil {
			return r.points, err
		}
		if len(todo) > len(rest)/2 {
			break
		}
	}
	for len(todo) > 0 {
		n := min(len(todo), block)
		if err := r.adaptive(ctx, todo[:n], nil); err != nil {
			return r.points, err
		}
		todo = todo[n:]
	}
	return r.points, nil
}

// split takes the pilots out of a list of points.
func split(points []int) (lead, rest []int) {
	at := ode.Spread(len(points), pilots)
	for i, p := range points {
		if len(lead) < len(at) && i == at[len(lead)] {
			lead = append(lead, p)
		} else {
			rest = append(rest, p)
		}
	}
	return lead, rest
}

// usual keeps the traces of those pilots that arrived in at most twice as many steps as half of them did: one path that
// runs away takes thousands.
func usual(trace ode.Trace, arrived func(pilot int) bool) ode.Trace {
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

// adaptive integrates points in steps of their own.
func (r *flowRun) adaptive(ctx context.Context, rows []int, accept func(row int, tau float64, y, f []float64)) error {
	set := forward(r.o.settings())
	set.Accept = accept
	set.Progress = func(done, _ int) { r.tell(done) }
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

// tell reports progress: the finished points and done others. It never goes back, though points are done again.
func (r *flowRun) tell(done int) {
	if r.told = max(r.told, r.done+done); r.o.Progress != nil {
		r.o.Progress(r.told, len(r.points))
	}
}

// fused integrates points on a mesh and returns those that it was too coarse for.
func (r *flowRun) fused(ctx context.Context, rows []int, mesh []float64) (failed []int, err error) {
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
		if err := r.engine.Flow(ctx, x, div, est, probes, table, r.tell); err != nil {
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

// leastPiece is how many points a processor is given at first. Pieces grow until they last half a second, so that nearly all that is
// done is kept when a run is stopped; on one mesh their size does not change the results.
const leastPiece = 128

// table is the integration on a mesh, without error estimates where the steps are given.
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
			step.Stages = append(step.Stages, kernels.FlowStage{T: tau, Cin: cin, U: drift - half*px, V: -half * qn, W: drift})
		}
		t.Steps = append(t.Steps, step)
	}
	return t
}

// fixed is a method (nil: DOP853) with as many rows and weights as it has stages that count on a mesh: one at the end of
// the step does only if the estimate needs it.
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
