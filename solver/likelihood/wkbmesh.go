package likelihood

import (
	"context"
	"errors"

	"hbar/kernels"
	"hbar/solver"
	"hbar/solver/likelihood/ode"
)

// taylorEngine is an engine that integrates paths and expansions itself, on one mesh for all points
// (kernels.TaylorTable), or says kernels.ErrNoTaylor.
type taylorEngine interface {
	Taylor(ctx context.Context, y, est []float64, table *kernels.TaylorTable, progress func(done int)) error
}

// fuse makes the expansion run on common meshes, in float64, if the model is a network whose engine does that.
func (e *expansion) fuse(ctx context.Context) {
	m, ok := e.model.(*solver.Network)
	if !ok {
		return
	}
	engine, ok := m.Engine().(taylorEngine)
	if !ok {
		return
	}
	for _, order := range []int{0, e.Order} { // asked with no states
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

// leg is the way of all points between Tmin and Tmax, either way.
type leg struct {
	*expansion
	order    int // of the expansion that is carried along; 0: the path alone
	width    int // of a state
	from, to float64
	set      ode.Settings
	system   ode.System
	y        []float64 // n×width
	res      []ode.Result
	accept   func(i int, tau float64, y, f []float64) // sees the steps of point i, unless nil
	progress func(done, total int)                    // hears of finished points, unless nil

	done, told int // finished points, and the most that progress heard of
}

// taylorStretch is the length of a mesh's steps in those of the finest pilot: errors grow fourfold, which meshTol has room
// for. Measured on two trained networks, to first order: 390 jets a point and 3 points in a hundred that need a finer mesh, with
// 1 in its place 450 and 1; errors below those of steps of each point's own with 340 jets.
const taylorStretch = 1.2

// taylorBatch is how many states are handed to an engine together, some 100 MB.
const taylorBatch = 1 << 19

// run integrates the points todo: with an engine on meshes that are as fine as the finest of some pilots, those that
// these are too coarse for, and all without, in steps of their own.
func (l *leg) run(ctx context.Context, todo []int) error {
	l.done = len(l.res) - len(todo)
	if steps := l.set.Steps; l.engine != nil && steps > 0 {
		mesh := make([]float64, steps+1)
		for i := range mesh {
			mesh[i] = l.from + (l.to-l.from)*float64(i)/float64(steps)
		}
		_, err := l.together(ctx, todo, mesh)
		return err
	}
	for round := 0; l.engine != nil && round < meshRounds && len(todo) > meshPoints; round++ {
		lead, rest := split(todo)
		trace := ode.NewTrace(len(lead))
		if err := l.apart(ctx, lead, trace.Accept); err != nil {
			return err
		}
		todo = rest
		leaders := usual(trace, func(i int) bool { return l.res[lead[i]].Status == OK })
		if len(leaders) == 0 {
			break
		}
		var err error
		if todo, err = l.together(ctx, rest, ode.Mesh(l.from, l.to, taylorStretch, leaders)); err != nil {
			return err
		}
		if len(todo) > len(rest)/2 {
			break
		}
	}
	for len(todo) > 0 {
		n := min(len(todo), block)
		rows := todo[:n]
		var accept func(int, float64, []float64, []float64)
		if l.accept != nil {
			accept = func(i int, tau float64, y, f []float64) { l.accept(rows[i], tau, y, f) }
		}
		if err := l.apart(ctx, rows, accept); err != nil {
			return err
		}
		todo = todo[n:]
	}
	return nil
}

// apart integrates points each in steps of its own.
func (l *leg) apart(ctx context.Context, rows []int, accept func(i int, tau float64, y, f []float64)) error {
	set := l.set
	set.Accept = accept
	set.Progress = func(done, _ int) { l.tell(done) }
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

// together integrates points on a mesh and returns those that it was too coarse for.
func (l *leg) together(ctx context.Context, rows []int, mesh []float64) (failed []int, err error) {
	table := l.table(mesh)
	for ; len(rows) > 0; rows = rows[min(taylorBatch, len(rows)):] {
		part := rows[:min(taylorBatch, len(rows))]
		y, est := l.states(part), make([]float64, len(part))
		if err := l.engine.Taylor(ctx, y, est, table, l.tell); err != nil {
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

// states copies those of rows.
func (l *leg) states(rows []int) []float64 {
	y := make([]float64, 0, len(rows)*l.width)
	for _, i := range rows {
		y = append(y, l.y[i*l.width:(i+1)*l.width]...)
	}
	return y
}

// table is the integration on a mesh, without error estimates where the steps are given.
func (l *leg) table(mesh []float64) *kernels.TaylorTable {
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
			at, g.Drift, g.Half = l.at(mesh[i-1] + c*step.H)
			g.Cin, g.P, g.Q, g.T = l.pred.Coeffs(l.s, at)
			step.Stages = append(step.Stages, g)
		}
		t.Steps = append(t.Steps, step)
	}
	return t
}

// tell reports progress: the finished points and done others. It never goes back, though points are done again.
func (l *leg) tell(done int) {
	if l.told = max(l.told, l.done+done); l.progress != nil {
		l.progress(l.told, len(l.res))
	}
}
