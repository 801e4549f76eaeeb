package ode

import (
	"context"
	"errors"
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
	NotRun       Status = "not run"        // Skip said so
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
	// Accept, unless nil, sees the start and every accepted point of each sample, with f there if the method has it (nil
	// otherwise). It must not keep the slices.
	Accept func(row int, tau float64, y, f []float64)
	// Progress, unless nil, hears of finished samples.
	Progress func(done, total int)
}

// Result is what became of one sample.
type Result struct {
	Status   Status
	Tau      float64 // where it stopped; the end if OK
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
		was := len(active)
		if active = r.running(active); len(active) < was && r.set.Progress != nil {
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

// firstSteps guesses step sizes by an explicit Euler step (Hairer, Nørsett and Wanner, section II.4); one evaluation.
func (r *run) firstSteps(ctx context.Context, active []int) error {
	d1 := make([]float64, len(r.res))
	for _, i := range active {
		y, f := r.row(r.y, i), r.row(r.k[0], i)
		d0 := r.norm(y, y, y)
		d1[i] = r.norm(f, y, y)
		span := r.to[i] - r.from[i]
		h := 1e-6 * math.Abs(span)
		if d0 > 1e-5 && d1[i] > 1e-5 {
			h = 0.01 * d0 / d1[i]
		}
		r.h[i] = math.Copysign(min(h, math.Abs(span)), span)
		for c := range y {
			r.row(r.next, i)[c] = y[c] + r.h[i]*f[c]
		}
	}
	err := r.eval(ctx, r.k[1], r.next, active, func(i int) float64 { return r.from[i] + r.h[i] })
	for _, i := range active {
		f0, f1 := r.row(r.k[0], i), r.row(r.k[1], i)
		for c := range f1 {
			f1[c] -= f0[c]
		}
		h := math.Abs(r.h[i])
		d2 := r.norm(f1, r.row(r.y, i), r.row(r.y, i)) / h
		guess := 100 * h
		if d := max(d1[i], d2); d > 1e-15 {
			guess = min(guess, math.Pow(0.01/d, 1/float64(r.set.Method.ErrOrder)))
		}
		// A NaN guess falls to the small one; the controller sorts it out.
		if !(guess > 0) {
			guess = h
		}
		span := r.to[i] - r.from[i]
		r.h[i] = math.Copysign(min(guess, math.Abs(span)), span)
	}
	return err
}

// step attempts one step of every active sample.
func (r *run) step(ctx context.Context, active []int) error {
	m := r.set.Method
	for s := range m.Stages() {
		if s == 0 && (m.FSAL || r.res[active[0]].Steps == 0) {
			continue // k[0] is there already
		}
		for _, i := range active {
			r.combine(r.row(r.next, i), i, m.A[s])
		}
		if err := r.eval(ctx, r.k[s], r.next, active, func(i int) float64 { return r.res[i].Tau + m.C[s]*r.h[i] }); err != nil {
			return err
		}
	}
	for _, i := range active {
		r.combine(r.row(r.next, i), i, m.B)
		r.judge(i)
	}
	return nil
}

// combine writes y + h Σ c_j k_j.
func (r *run) combine(dst []float64, i int, c []float64) {
	copy(dst, r.row(r.y, i))
	for j, a := range c {
		if a == 0 {
			continue
		}
		a *= r.h[i]
		for c, k := range r.row(r.k[j], i) {
			dst[c] += a * k
		}
	}
}

// judge accepts or rejects the step of sample i and sets the next step size.
func (r *run) judge(i int) {
	const safety, shrink, grow = 0.9, 0.2, 6
	res, set, m := &r.res[i], &r.set, r.set.Method
	next := r.row(r.next, i)
	span := math.Abs(r.to[i] - r.from[i])
	if set.Steps > 0 {
		if !finite(next) {
			res.Status = NotFinite
			return
		}
		res.Steps++
		res.Tau = r.from[i] + float64(res.Steps)*r.h[i]
		if res.Steps == set.Steps {
			res.Tau, res.Status = r.to[i], OK
		}
		r.accept(i)
		return
	}

	err := r.errorNorm(i)
	bad := !(err < math.Inf(1)) || !finite(next)
	factor := shrink
	if !bad {
		factor = max(shrink, min(grow, safety*math.Pow(max(err, 1e-300), -1/float64(m.ErrOrder))))
	}
	if bad || err > 1 {
		res.Rejected++
		r.h[i] *= min(factor, 1)
		switch {
		case math.Abs(r.h[i]) < 1e-12*span && bad:
			res.Status = NotFinite
		case math.Abs(r.h[i]) < 1e-12*span:
			res.Status = StepTooSmall
		case res.Steps+res.Rejected >= set.MaxSteps:
			res.Status = TooManySteps
		}
		return
	}
	res.Steps++
	res.Tau += r.h[i]
	left := r.to[i] - res.Tau
	if math.Abs(left) <= 1e-13*span || left*r.h[i] < 0 {
		res.Tau, res.Status = r.to[i], OK
	} else if res.Steps+res.Rejected >= set.MaxSteps {
		res.Status = TooManySteps
	}
	r.accept(i)
	r.h[i] *= factor
	// Two equal steps at the end rather than a long and a tiny one.
	switch h := math.Abs(r.h[i]); {
	case h >= math.Abs(left):
		r.h[i] = left
	case 2*h > math.Abs(left):
		r.h[i] = left / 2
	}
}

// accept makes the end of the step the state of sample i.
func (r *run) accept(i int) {
	copy(r.row(r.y, i), r.row(r.next, i))
	var f []float64
	if m := r.set.Method; m.FSAL {
		f = r.row(r.k[0], i)
		copy(f, r.row(r.k[len(m.C)-1], i))
	}
	if r.set.Accept != nil {
		r.set.Accept(i, r.res[i].Tau, r.row(r.y, i), f)
	}
}

// errorNorm is the estimated error of a step in units of the tolerance.
func (r *run) errorNorm(i int) float64 {
	m, h := r.set.Method, r.h[i]
	e5, e3, count := 0.0, 0.0, 0
	y, next := r.row(r.y, i), r.row(r.next, i)
	for c := range y {
		w := r.weight(c)
		if w == 0 {
			continue
		}
		count++
		w /= r.set.Tol * (1 + max(math.Abs(y[c]), math.Abs(next[c])))
		s5, s3 := 0.0, 0.0
		for s, e := range m.E {
			s5 += e * r.k[s][i*r.m+c]
		}
		for s, e := range m.E3 {
			s3 += e * r.k[s][i*r.m+c]
		}
		e5 += s5 * s5 * w * w
		e3 += s3 * s3 * w * w
	}
	if count == 0 {
		return 0
	}
	h = math.Abs(h)
	if m.E3 == nil {
		return h * math.Sqrt(e5/float64(count))
	}
	// The geometric weighting of dop853.f, which makes the estimate of order 8.
	if e5 == 0 {
		return 0
	}
	return h * e5 / math.Sqrt((e5+0.01*e3)*float64(count))
}

// norm is the weighted root mean square of v in units of the tolerance at y and z.
func (r *run) norm(v, y, z []float64) float64 {
	sum, count := 0.0, 0
	for c, x := range v {
		if w := r.weight(c); w != 0 {
			x *= w / (r.set.Tol * (1 + max(math.Abs(y[c]), math.Abs(z[c]))))
			sum += x * x
			count++
		}
	}
	if count == 0 {
		return 0
	}
	return math.Sqrt(sum / float64(count))
}

func (r *run) weight(c int) float64 {
	if r.set.Weights == nil {
		return 1
	}
	return r.set.Weights[c]
}

func finite(x []float64) bool {
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

// ByName returns the adaptive method of that name.
func ByName(name string) (*Tableau, error) {
	for _, m := range []*Tableau{DormandPrince, DOP853, RK4} {
		if m.Name == name {
			return m, nil
		}
	}
	return nil, errors.New("ode: method " + fmt.Sprintf("%q", name) + " unknown; have dopri5, dop853, rk4")
}
