package likelihood

import (
	"context"
	"errors"
	"slices"

	"hbar/kernels"
	"hbar/solver"
	"hbar/solver/likelihood/ode"
)

// taylorEngine is an engine with an integrator for paths and expansions, on one mesh for all points (kernels.TaylorTable).
// It returns kernels.ErrNoTaylor for a network that the integrator does not take.
type taylorEngine interface {
	Taylor(ctx context.Context, y, est []float64, table *kernels.TaylorTable, progress func(done int)) error
}

// fuse chooses the engine's integrator, in float64, if the model is a network whose engine has one.
func (e *expansion) fuse(ctx context.Context) {
	m, ok := e.model.(*solver.Network)
	if !ok {
		return
	}
	engine, ok := m.Engine().(taylorEngine)
	if !ok {
		return
	}
	for _, order := range []int{0, e.Order} { // a call without states says whether the engine takes the network
		euler := &kernels.TaylorTable{Order: order, A: [][]float64{nil}, B: []float64{1}}
		if errors.Is(engine.Taylor(ctx, nil, nil, euler, nil), kernels.ErrNoTaylor) {
			return
		}
	}
	double, err := solver.NewNetwork(m.Engine(), m.Schedule(), m.Prediction(), solver.Float64)
	if err != nil {
		return
	}
	p := *e.problem
	p.model = double
	t := *e.taylor
	t.problem = &p
	e.taylor, e.engine, e.pred = &t, engine, m.Prediction()
}

// integration carries the states of all points from one end of [Tmin, Tmax] to the other.
type integration struct {
	*expansion
	order    int // of the expansion that is integrated with the path; 0: the path alone
	width    int // numbers in a state
	from, to float64
	set      ode.Settings
	system   ode.System
	y        []float64 // n×width
	res      []ode.Result
	pilot    []int                                    // rows whose adaptive steps give the mesh
	accept   func(i int, tau float64, y, f []float64) // unless nil, called after each adaptive step of point i
	progress func(done, total int)                    // unless nil, called with the number of finished points

	done, reported int // finished points, and the largest number passed to progress
}

// taylorStretch is the ratio of a mesh's steps to the shortest steps of the pilots. At 1.2 errors grow fourfold, which meshTol
// allows for. Measured on two trained networks, to first order: 390 jets a point, and 3 points in a hundred need a finer mesh; at
// a ratio of 1 it is 450 jets and 1 point. The errors are below those of adaptive steps for each point, which take 340 jets.
const taylorStretch = 1.2

// taylorBatch is the largest number of states in one call of an engine: some 100 MB.
const taylorBatch = 1 << 19

// run integrates the points todo. With an engine they are integrated on meshes that are about as fine as the steps of some pilots.
// Points for which these are too coarse, and all points without an engine, get adaptive steps of their own.
func (l *integration) run(ctx context.Context, todo []int) error {
	l.done = len(l.res) - len(todo)
	if steps := l.set.Steps; l.engine != nil && steps > 0 {
		mesh := make([]float64, steps+1)
		for i := range mesh {
			mesh[i] = l.from + (l.to-l.from)*float64(i)/float64(steps)
		}
		_, err := l.onMesh(ctx, todo, mesh)
		return err
	}
	mesh, todo, err := l.mesh(ctx, todo)
	for round := 0; err == nil && mesh != nil && round < meshRounds && len(todo) > 0; round++ {
		todo, err = l.onMesh(ctx, todo, mesh)
		mesh = finer(mesh)
	}
	if err != nil {
		return err
	}
	for len(todo) > 0 {
		n := min(len(todo), block)
		rows := todo[:n]
		var accept func(int, float64, []float64, []float64)
		if l.accept != nil {
			accept = func(i int, tau float64, y, f []float64) { l.accept(rows[i], tau, y, f) }
		}
		if err := l.adaptive(ctx, rows, accept); err != nil {
			return err
		}
		todo = todo[n:]
	}
	return nil
}

// mesh integrates those of the pilots that are to do adaptively, and gives the mesh for all others; nil if there is none. It returns the
// rows of todo that are left.
func (l *integration) mesh(ctx context.Context, todo []int) (mesh []float64, left []int, err error) {
	pilot := slices.DeleteFunc(slices.Clone(l.pilot), func(i int) bool { return !slices.Contains(todo, i) })
	if l.engine == nil || len(pilot) == 0 {
		return nil, todo, nil
	}
	trace := ode.NewTrace(len(pilot))
	if err := l.adaptive(ctx, pilot, trace.Accept); err != nil {
		return nil, nil, err
	}
	left = without(todo, pilot)
	kept := withoutLongest(trace, func(i int) bool { return l.res[pilot[i]].Status == OK })
	if len(kept) == 0 {
		return nil, left, nil
	}
	return ode.Mesh(l.from, l.to, taylorStretch, kept), left, nil
}

// adaptive integrates each of the points rows in adaptive steps of its own.
func (l *integration) adaptive(ctx context.Context, rows []int, accept func(i int, tau float64, y, f []float64)) error {
	set := l.set
	set.Accept = accept
	set.Progress = func(done, _ int) { l.report(done) }
	y := l.states(rows)
	res, err := ode.Solve(ctx, l.system, y, fill(l.from, len(rows)), fill(l.to, len(rows)), set)
	if err != nil {
		return err
	}
	for i, row := range rows {
		copy(l.y[row*l.width:(row+1)*l.width], y[i*l.width:])
		l.res[row] = res[i]
	}
	l.done += len(rows)
	return nil
}

// onMesh integrates points on one mesh by the engine, and returns those whose error estimate is too large.
func (l *integration) onMesh(ctx context.Context, rows []int, mesh []float64) (failed []int, err error) {
	table := l.table(mesh)
	for ; len(rows) > 0; rows = rows[min(taylorBatch, len(rows)):] {
		part := rows[:min(taylorBatch, len(rows))]
		y, est := l.states(part), make([]float64, len(part))
		if err := l.engine.Taylor(ctx, y, est, table, l.report); err != nil {
			return nil, err
		}
		for i, row := range part {
			state := y[i*l.width : (i+1)*l.width]
			if table.E != nil && !(est[i] <= 1) {
				failed = append(failed, row)
				continue
			}
			copy(l.y[row*l.width:], state)
			l.res[row] = ode.Result{Status: OK, Tau: l.to, Steps: len(table.Steps), Evals: len(table.Steps) * len(table.A)}
			if !finitePoint(state) {
				l.res[row].Status = NotFinite
			}
			l.done++
		}
	}
	return failed, nil
}

// states copies the states of the points rows.
func (l *integration) states(rows []int) []float64 {
	y := make([]float64, 0, len(rows)*l.width)
	for _, i := range rows {
		y = append(y, l.y[i*l.width:(i+1)*l.width]...)
	}
	return y
}

// table is the integration on a mesh as the engine takes it. It has no error estimates if the caller chose the steps.
func (l *integration) table(mesh []float64) *kernels.TaylorTable {
	m := fixed(l.set.Method)
	t := &kernels.TaylorTable{Order: l.order, A: m.A, B: m.B, Float32: l.o.Float32}
	if l.set.Steps == 0 {
		t.E, t.E3, t.Tol, t.Weights = m.E, m.E3, meshTol*l.set.Tol, l.set.Weights
		if t.Weights == nil {
			t.Weights = fill(1, l.width)
		}
	}
	for i := 1; i < len(mesh); i++ {
		step := kernels.TaylorStep{H: mesh[i] - mesh[i-1]}
		for _, c := range m.C {
			g := kernels.TaylorStage{}
			var at float64
			at, g.Drift, g.HalfDiffusion = l.at(mesh[i-1] + c*step.H)
			g.Cin, g.ScoreState, g.ScoreNet, g.Tau = l.pred.Coeffs(l.s, at)
			step.Stages = append(step.Stages, g)
		}
		t.Steps = append(t.Steps, step)
	}
	return t
}

// report calls progress with the number of finished points, done of them beyond l.done. The number never decreases, although points
// that a mesh was too coarse for are integrated again.
func (l *integration) report(done int) {
	if l.reported = max(l.reported, l.done+done); l.progress != nil {
		l.progress(l.reported, len(l.res))
	}
}
