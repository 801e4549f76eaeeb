package ode

import (
	"context"
	"fmt"
	"math"
)

// Status says how the integration of one sample ended.
type Status string

const (
	OK           Status = "ok"
	StepTooSmall Status = "step too small" // the tolerance asks for steps below the rounding of τ: raise it
	NotFinite    Status = "not finite"     // the state or its derivative overflows or is not a number
	TooManySteps Status = "too many steps" // MaxSteps reached: raise it or the tolerance
	NotRun       Status = "not run"        // left out by Settings.Skip
)

// System is the right-hand side of all samples.
type System struct {
	Width int // m, the numbers in a state
	// Eval writes f(tau_i, y_i) to row i of dst, for the len(tau) rows of y; rows[i] is the sample it belongs to.
	Eval func(ctx context.Context, dst, y, tau []float64, rows []int) error
}

// Settings choose the method. The zero value is DOP853 at tolerance 1e-6.
type Settings struct {
	Method *Tableau // nil: DOP853
	// Tol is both relative and absolute: the error of a component in a step is measured in units of
	// Tol (1 + max(|y|, |y'|)), and the root mean square over the components is kept below one. 0: 1e-6.
	Tol float64
	// Weights multiply the errors of the components, 0 leaving a component out of the control; nil: all one.
	Weights []float64
	// Steps > 0 takes that many equal steps without error control instead.
	Steps    int
	MaxSteps int // attempts a sample may use; 0: 5000
	// Skip leaves samples out (Status NotRun); nil: none.
	Skip func(row int) bool
	// Accept, unless nil, is called at the start and at the end of every accepted step of each sample, with f there if the method
	// evaluates it (nil otherwise). It must not keep the slices.
	Accept func(row int, tau float64, y, f []float64)
	// Progress, unless nil, is called after each step with the number of samples that are finished.
	Progress func(done, total int)
}

// Result is the outcome of one sample.
type Result struct {
	Status   Status
	Tau      float64 // τ where it stopped: the end if OK
	Steps    int     // accepted
	Rejected int
	Evals    int
}

// Validate reports settings that cannot work.
func (s Settings) Validate() error {
	switch {
	case !(s.Tol >= 0) || s.Tol > 1:
		return fmt.Errorf("ode: tolerance %g; want one in (0, 1]", s.Tol)
	case s.Steps < 0:
		return fmt.Errorf("ode: %d steps; want a positive number, or 0 for adaptive steps", s.Steps)
	case s.MaxSteps < 0:
		return fmt.Errorf("ode: at most %d steps; want a positive number, or 0 for the default", s.MaxSteps)
	case s.Steps == 0 && s.Method != nil && s.Method.E == nil:
		return fmt.Errorf("ode: method %s has no error estimate; give Steps, or take dopri5 or dop853", s.Method.Name)
	}
	return nil
}

// run is the state of an integration.
type run struct {
	sys  System
	set  Settings
	m    int
	y    []float64   // n×m
	k    [][]float64 // stages, each n×m
	next []float64   // n×m: the state at the end of the step
	h    []float64   // step sizes
	from []float64
	to   []float64
	res  []Result

	// Compact buffers of one evaluation.
	yb, fb, tb []float64
}

// Solve integrates each row of y (n×m, overwritten by the end states) from from[i] to to[i], either way. The error is
// the context's, the system's or the settings'; what happens to a sample is in its Result.
func Solve(ctx context.Context, sys System, y, from, to []float64, set Settings) ([]Result, error) {
	n := len(from)
	if len(to) != n || len(y) != n*sys.Width {
		return nil, fmt.Errorf("ode: %d numbers of state for %d starts and %d ends of width %d", len(y), n, len(to), sys.Width)
	}
	if err := set.Validate(); err != nil {
		return nil, err
	}
	if set.Weights != nil && len(set.Weights) != sys.Width {
		return nil, fmt.Errorf("ode: %d weights for %d components", len(set.Weights), sys.Width)
	}
	if set.Method == nil {
		set.Method = DOP853
	}
	if set.Tol == 0 {
		set.Tol = 1e-6
	}
	if set.MaxSteps == 0 {
		set.MaxSteps = 5000
	}
	r := &run{sys: sys, set: set, m: sys.Width, y: y, from: from, to: to, res: make([]Result, n),
		next: make([]float64, len(y)), h: make([]float64, n),
		yb: make([]float64, len(y)), fb: make([]float64, len(y)), tb: make([]float64, n)}
	for range set.Method.Stages() {
		r.k = append(r.k, make([]float64, len(y)))
	}
	return r.res, r.solve(ctx)
}

func (r *run) solve(ctx context.Context) error {
	active := make([]int, 0, len(r.res))
	for i := range r.res {
		r.res[i].Tau = r.from[i]
		switch {
		case r.set.Skip != nil && r.set.Skip(i):
			r.res[i].Status = NotRun
		case !finite(r.row(r.y, i)):
			r.res[i].Status = NotFinite
		default:
			active = append(active, i)
		}
	}
	if err := r.eval(ctx, r.k[0], r.y, active, func(i int) float64 { return r.from[i] }); err != nil {
		return err
	}
	for _, i := range active {
		if !finite(r.row(r.k[0], i)) {
			r.res[i].Status = NotFinite
		} else if r.set.Accept != nil {
			r.set.Accept(i, r.from[i], r.row(r.y, i), r.row(r.k[0], i))
		}
		if r.from[i] == r.to[i] && r.res[i].Status == "" {
			r.res[i].Status = OK
		}
	}
	active = r.running(active)
	if r.set.Steps > 0 {
		for _, i := range active {
			r.h[i] = (r.to[i] - r.from[i]) / float64(r.set.Steps)
		}
	} else if err := r.firstSteps(ctx, active); err != nil {
		return err
	}
	for len(active) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.step(ctx, active); err != nil {
			return err
		}
		if active = r.running(active); r.set.Progress != nil {
			r.set.Progress(len(r.res)-len(active), len(r.res))
		}
	}
	return nil
}

// running keeps the samples that have no status yet.
func (r *run) running(active []int) []int {
	keep := active[:0]
	for _, i := range active {
		if r.res[i].Status == "" {
			keep = append(keep, i)
		}
	}
	return keep
}

func (r *run) row(a []float64, i int) []float64 { return a[i*r.m : (i+1)*r.m] }

// eval evaluates f for the active samples at states y (n×m) into dst (n×m).
func (r *run) eval(ctx context.Context, dst, y []float64, active []int, tau func(i int) float64) error {
	if len(active) == 0 {
		return nil
	}
	n := len(active)
	for j, i := range active {
		copy(r.row(r.yb, j), r.row(y, i))
		r.tb[j] = tau(i)
		r.res[i].Evals++
	}
	if err := r.sys.Eval(ctx, r.fb[:n*r.m], r.yb[:n*r.m], r.tb[:n], active); err != nil {
		return err
	}
	for j, i := range active {
		copy(r.row(dst, i), r.row(r.fb, j))
	}
	return nil
}

func finite(x []float64) bool {
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
