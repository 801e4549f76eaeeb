package likelihood

import (
	"context"
	"fmt"
	"math"
	"slices"

	"hbar/solver"
	"hbar/solver/likelihood/ode"
)

// ExpandOptions choose the order of the expansion.
type ExpandOptions struct {
	Options
	Order int // 1 or 2; 0: 1. Order 1 needs D ≤ 3, order 2 needs D ≤ 2.
	// Theta is the bound on |h² ℓ₂| relative to |h ℓ₁| at the trust radius; 0: 0.1.
	Theta float64
	// Record keeps the mismatch s − u at every step of the integration from Tmax to Tmin.
	Record bool
	// Float32 expands the network in float32 where all points share a mesh. It is faster on GPUs with few float64 units, that is
	// on other than server GPUs. Errors measured at 400 points of each of two trained networks: of log q⁰ up to 10⁻⁴; of ℓ₁
	// (absolute below one, relative above) 4·10⁻⁵ in the mean, against 10⁻⁵ in float64, and 10⁻³ for one point in a hundred.
	Float32 bool
}

// Expansion is log q^h = LogQ + h L1 + h² L2 + O(h³) at one point, with the derivatives and diagnostics that the integration gives.
// All numbers are NaN unless Status is OK.
type Expansion struct {
	LogQ      float64
	Grad      []float64 // u = ∇log q⁰, D
	Hessian   []float64 // ∇∇log q⁰, D×D
	Laplacian float64   // Δ log q⁰
	L1        float64
	// The two terms of L1 = DivTerm + GradTerm: −½∫g²(∇·s − Δlog q⁰) dt and −½∫g²(s − u)·u dt.
	DivTerm, GradTerm float64
	L2                float64 // NaN at order 1
	// Trust is the h at which the second-order term reaches Theta times the first-order one, Theta·|L1/L2|. At larger h the
	// expansion, which is asymptotic at h = 0, should not be relied on. NaN at order 1.
	Trust float64
	// Mismatch is ½∫g²|s − u|² dt along the path, the analogue of the score-matching loss at one point; it is zero for an exact score.
	Mismatch float64
	// MismatchEnd is s − u at Tmin. Path has s − u at each step, if ExpandOptions.Record is set.
	MismatchEnd []float64
	Path        []Mismatch
	// Return is the distance at Tmin between the point and the end of its path to Tmax and back: a check on the integration.
	Return float64
	Status Status
	Steps  int // of both integrations
	Evals  int // evaluations of the score, to Tmax
	Jets   int // evaluations of its Taylor expansion, back to Tmin
}

// Mismatch is s − u at one point of a path.
type Mismatch struct {
	T    float64
	X    []float64
	Diff []float64 // s − u
}

// Expand computes the WKB expansion at the points x (n×D): the path forward to Tmax, then the path with the Taylor
// polynomials of log q⁰ and ℓ₁ back to Tmin (package doc). The model must be a solver.Jetter.
//
// In general each path has adaptive steps of its own. The paths of a solver.Network whose engine has an integrator for expansions
// (infer.Engine, cuda.Engine) share a mesh instead, in float64 at any Precision. It is nearly as fine as the steps of a few
// pilots, and a point for which it is too coarse is integrated by itself. The values then depend on the other points of the call,
// by less than the tolerance; with Options.Steps they do not. With Record all paths have steps of their own.
func Expand(ctx context.Context, m solver.Model, s solver.Schedule, x []float64, o ExpandOptions) ([]Expansion, error) {
	p, err := newProblem(m, s, o.Options)
	if err != nil {
		return nil, err
	}
	if err := solver.NeedScalars(s, "the expansion by Taylor polynomials"); err != nil {
		return nil, fmt.Errorf("likelihood: %w; EstimateDual has ℓ₁", err)
	}
	if o.Order == 0 {
		o.Order = 1
	}
	if o.Theta == 0 {
		o.Theta = 0.1
	}
	jets, ok := m.(solver.Jetter)
	switch {
	case o.Order < 1 || o.Order > 2:
		return nil, fmt.Errorf("likelihood: order %d of the expansion; have 1 and 2", o.Order)
	case p.d > 4-o.Order:
		return nil, fmt.Errorf("likelihood: order %d of the expansion by Taylor polynomials works in up to %d dimensions, not %d; the estimators work in any", o.Order, 4-o.Order, p.d)
	case !(o.Theta > 0):
		return nil, fmt.Errorf("likelihood: theta %v; want a positive number", o.Theta)
	case !ok:
		return nil, lacks(m, "its Taylor expansion (solver.Jetter)", "the WKB expansion")
	}
	n, err := p.count(x)
	if err != nil {
		return nil, err
	}
	e := expansion{taylor: newTaylor(p, jets, o.Order), o: o}
	if !o.Record {
		e.fuse(ctx)
	}
	return e.run(ctx, x, n)
}

// expansion is a call of Expand.
type expansion struct {
	*taylor
	o      ExpandOptions
	engine taylorEngine // nil: all paths have adaptive steps of their own
	pred   solver.Prediction
}

func (e *expansion) run(ctx context.Context, x []float64, n int) ([]Expansion, error) {
	d, w := e.d, e.Width
	x, pilot, err := e.withPilots(x, n)
	if err != nil {
		return nil, err
	}
	asked := n
	n = len(x) / d
	toTmax := &integration{expansion: e, order: 0, width: d, from: e.start(), to: e.end(), set: forward(e.o.settings()),
		system: e.pathSystem(), y: append([]float64(nil), x...), res: make([]ode.Result, n), pilot: pilot}
	var todo []int
	for i := range n {
		if !finitePoint(x[i*d : (i+1)*d]) {
			toTmax.res[i].Status = BadPoint
			continue
		}
		todo = append(todo, i)
	}
	if err := toTmax.run(ctx, todo); err != nil {
		return nil, err
	}
	e.flagEscaped(toTmax.res, toTmax.y, d)

	toTmin := &integration{expansion: e, order: e.Order, width: w, from: e.end(), to: e.start(), set: e.o.settings(),
		system: e.system(), y: make([]float64, n*w), res: make([]ode.Result, n), pilot: pilot, progress: e.o.Progress}
	toTmin.set.Weights = e.weights()
	out := make([]Expansion, n)
	if e.o.Record {
		toTmin.accept = func(i int, tau float64, y, f []float64) { out[i].Path = append(out[i].Path, e.mismatch(tau, y, f)) }
	}
	todo = todo[:0]
	for i := range n {
		e.prior(toTmin.y[i*w:(i+1)*w], toTmax.y[i*d:(i+1)*d])
		if toTmax.res[i].Status == OK {
			todo = append(todo, i)
		}
	}
	if err := toTmin.run(ctx, todo); err != nil {
		return nil, err
	}
	n, out = asked, out[:asked]

	s, ends := make([]float64, n*d), make([]float64, n*d)
	gather(ends, toTmin.y[:n*w], d, w)
	if err := e.model.Score(ctx, s, ends, []float64{e.s.Tmin()}); err != nil {
		return nil, err
	}
	for i := range out {
		q := &out[i]
		q.Status = toTmax.res[i].Status
		if q.Status == OK {
			q.Status = toTmin.res[i].Status
		}
		q.Steps, q.Evals, q.Jets = toTmax.res[i].Steps+toTmin.res[i].Steps, toTmax.res[i].Evals, toTmin.res[i].Evals
		if q.Status == OK {
			e.read(q, toTmin.y[i*w:(i+1)*w], x[i*d:(i+1)*d], s[i*d:(i+1)*d], e.o.Theta)
			if !finitePoint([]float64{q.LogQ, q.Laplacian, q.L1, q.Return}) {
				q.Status = NotFinite
			}
		}
		if q.Status != OK {
			q.invalid(d)
		}
	}
	return out, nil
}

// withPilots are the points followed by those pilots that are not among them, and the rows of all pilots. Without an engine there are no
// pilots.
func (e *expansion) withPilots(x []float64, n int) (rows []float64, pilot []int, err error) {
	if e.engine == nil {
		return x, nil, nil
	}
	p, err := e.o.pilots(x, n, e.d, func(int) uint64 { return 0 })
	if err != nil {
		return nil, nil, err
	}
	rows = slices.Clip(x)
	for k, i := range p.at {
		if i < 0 {
			i = len(rows) / e.d
			rows = append(rows, p.x[k*e.d:(k+1)*e.d]...)
		}
		pilot = append(pilot, i)
	}
	return rows, pilot, nil
}

// pathWeight is the weight of the coordinates x in the error norm of the integration from Tmax to Tmin. It is larger than 1 because
// an error of the path moves the point about which everything is expanded.
const pathWeight = 10

// weights are the weights of the numbers of a state in the error norm.
func (t *taylor) weights() []float64 {
	w := fill(1, t.Width)
	w[t.Mismatch] = 0
	for i := range t.d {
		w[i] = pathWeight
	}
	return w
}

// mismatch is s − u at a state y with derivative f: dx/dτ = drift x − half s.
func (t *taylor) mismatch(tau float64, y, f []float64) Mismatch {
	time, drift, half := t.at(tau)
	m := Mismatch{T: time, X: append([]float64(nil), y[:t.d]...)}
	for i := range t.d {
		m.Diff = append(m.Diff, (drift*y[i]-f[i])/half-y[t.LogQ+1+i])
	}
	return m
}

// read takes the results from the state y at Tmin. The path back ends near the point x, not at it, so the polynomials are
// evaluated at the displacement.
func (t *taylor) read(e *Expansion, y, x, s []float64, theta float64) {
	d, alg := t.d, t.alg
	delta := make([]float64, d)
	for i := range delta {
		delta[i] = x[i] - y[i]
		e.Return = math.Hypot(e.Return, delta[i])
	}
	l := y[t.LogQ:t.L1]
	e.LogQ = alg.Eval(l, delta, t.DegL)
	e.Grad, e.Hessian, e.MismatchEnd = make([]float64, d), make([]float64, d*d), make([]float64, d)
	first, second := make([]float64, alg.Size(t.DegL-1)), make([]float64, alg.Size(t.DegL-2))
	for i := range d {
		alg.Deriv(first, l, i, t.DegL-1)
		e.Grad[i] = alg.Eval(first, delta, t.DegL-1)
		e.MismatchEnd[i] = s[i] - first[0]
		for j := range d {
			alg.Deriv(second, first, j, t.DegL-2)
			e.Hessian[i*d+j] = alg.Eval(second, delta, t.DegL-2)
		}
		e.Laplacian += e.Hessian[i*d+i]
	}
	e.L1 = alg.Eval(y[t.L1:t.DivTerm], delta, t.Deg1)
	e.DivTerm = y[t.DivTerm]
	e.GradTerm = y[t.L1] - e.DivTerm
	e.Mismatch = y[t.Mismatch]
	e.L2, e.Trust = math.NaN(), math.NaN()
	if t.Order == 2 {
		e.L2 = y[t.L2]
		e.Trust = theta * math.Abs(e.L1/e.L2)
	}
}

// invalid sets the numbers of a point that failed to NaN.
func (e *Expansion) invalid(d int) {
	nan := math.NaN()
	e.LogQ, e.Laplacian, e.L1, e.DivTerm, e.GradTerm, e.L2, e.Trust, e.Mismatch, e.Return = nan, nan, nan, nan, nan, nan, nan, nan, nan
	e.Grad, e.Hessian, e.MismatchEnd = fill(nan, d), fill(nan, d*d), fill(nan, d)
}
