package likelihood

import (
	"context"
	"fmt"
	"math"

	"hbar/solver"
	"hbar/solver/likelihood/ode"
)

// ExpandOptions choose the order of the expansion.
type ExpandOptions struct {
	Options
	Order int // 1 or 2; 0: 1. Order 1 needs D ≤ 3, order 2 needs D ≤ 2.
	// Theta is the bound on |h² ℓ₂| relative to |h ℓ₁| at the trust radius; 0: 0.1.
	Theta float64
	// Record keeps the mismatch s − u at every step of the way back.
	Record bool
	// Float32 expands the network in float32 where all points share a mesh: quicker on GPUs with few units for float64, which
	// server GPUs are not. Measured at 400 points of each of two trained networks: errors of log q⁰ up to 10⁻⁴; of ℓ₁, absolute
	// below one and relative above, 4·10⁻⁵ in the mean (float64 10⁻⁵) and 10⁻³ for one point in a hundred.
	Float32 bool
}

// Expansion is log q^h = LogQ + h L1 + h² L2 + O(h³) at one point, with what was found on the way. All numbers are NaN
// unless Status is OK.
type Expansion struct {
	LogQ      float64
	Grad      []float64 // u = ∇log q⁰, D
	Hessian   []float64 // ∇∇log q⁰, D×D
	Laplacian float64   // Δ log q⁰
	L1        float64
	// The two parts of L1 = Spread + Drift: −½∫g²(∇·s − Δlog q⁰) dt and −½∫g²(s − u)·u dt.
	Spread, Drift float64
	L2            float64 // NaN at order 1
	// Trust is the h at which the second-order term reaches Theta times the first-order one, Theta·|L1/L2|: the expansion
	// is a slope at h = 0, and beyond this radius even its own next term says so. NaN at order 1.
	Trust float64
	// Mismatch is ½∫g²|s − u|² dt along the path, a per-point cousin of the score-matching loss; zero for an exact score.
	Mismatch float64
	// MismatchEnd is s − u at Tmin; Path, if recorded, the same all along.
	MismatchEnd []float64
	Path        []Mismatch
	// Return is the distance between the point and the end of the way back, both at Tmin: a check on the integration.
	Return float64
	Status Status
	Steps  int // there and back
	Evals  int // of the score, there
	Jets   int // of its Taylor expansion, back
}

// Mismatch is a point of a path.
type Mismatch struct {
	T    float64
	X    []float64
	Diff []float64 // s − u
}

// Expand computes the WKB expansion at the points x (n×D): the path forward to Tmax, then the path with the Taylor
// polynomials of log q⁰ and ℓ₁ back to Tmin (package doc). The model must be a solver.Jetter.
//
// Each path has its own steps, but for a solver.Network whose engine integrates expansions itself (infer.Engine,
// cuda.Engine): there, in float64 at any Precision, all points share a mesh nearly as fine as that of the finest of a few
// pilots, and a point whose error that leaves too large is integrated by itself. Values then depend on the other points of
// the call, by less than the tolerance; with Options.Steps they do not. Record takes steps of each path's own.
func Expand(ctx context.Context, m solver.Model, s solver.Schedule, x []float64, o ExpandOptions) ([]Expansion, error) {
	p, err := newProblem(m, s, o.Options)
	if err != nil {
		return nil, err
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
	engine taylorEngine // nil: all paths in steps of their own
	pred   solver.Prediction
}

func (e *expansion) run(ctx context.Context, x []float64, n int) ([]Expansion, error) {
	d, w := e.d, e.Width
	there := &leg{expansion: e, order: 0, width: d, from: e.start(), to: e.end(), set: forward(e.o.settings()),
		system: e.pathSystem(), y: append([]float64(nil), x...), res: make([]ode.Result, n)}
	var todo []int
	for i := range n {
		if !finitePoint(x[i*d : (i+1)*d]) {
			there.res[i].Status = BadPoint
			continue
		}
		todo = append(todo, i)
	}
	if err := there.run(ctx, todo); err != nil {
		return nil, err
	}
	e.flagEscaped(there.res, there.y, d)

	back := &leg{expansion: e, order: e.Order, width: w, from: e.end(), to: e.start(), set: e.o.settings(),
		system: e.system(), y: make([]float64, n*w), res: make([]ode.Result, n), progress: e.o.Progress}
	back.set.Weights = e.weights()
	out := make([]Expansion, n)
	if e.o.Record {
		back.accept = func(i int, tau float64, y, f []float64) { out[i].Path = append(out[i].Path, e.mismatch(tau, y, f)) }
	}
	todo = todo[:0]
	for i := range n {
		e.prior(back.y[i*w:(i+1)*w], there.y[i*d:(i+1)*d])
		if there.res[i].Status == OK {
			todo = append(todo, i)
		}
	}
	if err := back.run(ctx, todo); err != nil {
		return nil, err
	}

	s, ends := make([]float64, n*d), make([]float64, n*d)
	gather(ends, back.y, d, w)
	if err := e.model.Score(ctx, s, ends, []float64{e.s.Tmin()}); err != nil {
		return nil, err
	}
	for i := range out {
		q := &out[i]
		q.Status = there.res[i].Status
		if q.Status == OK {
			q.Status = back.res[i].Status
		}
		q.Steps, q.Evals, q.Jets = there.res[i].Steps+back.res[i].Steps, there.res[i].Evals, back.res[i].Evals
		if q.Status == OK {
			e.read(q, back.y[i*w:(i+1)*w], x[i*d:(i+1)*d], s[i*d:(i+1)*d], e.o.Theta)
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

// pathWeight is the weight of the path's coordinates in the control of the error on the way back: an error of the path
// moves the point whose derivatives are taken.
const pathWeight = 10

// weights are those of the numbers of a state in the control of the error.
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
		m.Diff = append(m.Diff, (drift*y[i]-f[i])/half-y[t.L+1+i])
	}
	return m
}

// read takes the results from the state y at Tmin. The way back ends near the point, not at it: the polynomials are
// evaluated at the displacement.
func (t *taylor) read(e *Expansion, y, x, s []float64, theta float64) {
	d, alg := t.d, t.alg
	delta := make([]float64, d)
	for i := range delta {
		delta[i] = x[i] - y[i]
		e.Return = math.Hypot(e.Return, delta[i])
	}
	l := y[t.L:t.L1]
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
	e.L1 = alg.Eval(y[t.L1:t.Spread], delta, t.Deg1)
	e.Spread = y[t.Spread]
	e.Drift = y[t.L1] - e.Spread
	e.Mismatch = y[t.Mismatch]
	e.L2, e.Trust = math.NaN(), math.NaN()
	if t.Order == 2 {
		e.L2 = y[t.L2]
		e.Trust = theta * math.Abs(e.L1/e.L2)
	}
}

// invalid blanks the numbers of a point that failed.
func (e *Expansion) invalid(d int) {
	nan := math.NaN()
	e.LogQ, e.Laplacian, e.L1, e.Spread, e.Drift, e.L2, e.Trust, e.Mismatch, e.Return = nan, nan, nan, nan, nan, nan, nan, nan, nan
	e.Grad, e.Hessian, e.MismatchEnd = fill(nan, d), fill(nan, d*d), fill(nan, d)
}

// LogQAt is the expansion at h, to second order if that is known.
func (e Expansion) LogQAt(h float64) float64 {
	l := e.LogQ + h*e.L1
	if !math.IsNaN(e.L2) {
		l += h * h * e.L2
	}
	return l
}
