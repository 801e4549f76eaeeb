package likelihood

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"hbar/kernels"
	"hbar/solver"
	"hbar/solver/likelihood/ode"
)

// ℓ₁ in any dimension. Along the path dx/dt = F, with J = ∂F/∂x,
//
//	tangents  dw/dt = J w          duals  dz/dt = −Jᵀ z
//	gradient  du/dt = −∇(∇·F) − Jᵀ u
//	p = H w   dp/dt = −Jᵀ p − [∇∇(∇·F) + Σ_k u_k ∇∇F_k] w
//
// The traces inside come from a probe η that is kept along the path, ∇·F → ηᵀ(∂F/∂x)η: u and p are linear in ηηᵀ, so their
// expectations are right. The integrand of ℓ₁ needs the trace of ∂s/∂x − H, for which zᵀ(∂s/∂x w − p) has the right
// expectation if z = w = v at one time, with E vvᵀ = I: zᵀMw = vᵀΦ⁻¹MΦv. And it needs (s − u)·u, quadratic in u: two
// gradients with independent probes make it ½ s·(u₁+u₂) − u₁·u₂. So no matrix is ever formed; all derivatives are
// adjoints of the score and of its first and second directional derivatives (solver.VJPer).
//
// M probes η that are orthogonal, |η|² = D, with the mean over them, leave less variance than M independent ones, and
// none at M = D. The same holds for v in EstimateDual. So in few dimensions the estimators can be made exact.

// EstimateOptions choose the probes.
type EstimateOptions struct {
	Options
	// Probes is the number of replicates K a point; 0: 16. EstimateDual makes the v of each D replicates orthogonal if K is a
	// multiple of D and at least 2D; its standard error is then over the K/D groups.
	Probes int
	// Inner is the number of orthogonal probes η for the traces inside, at most D; 0: the smaller of 2 and D.
	Inner int
	Kind  Probe // of single probes: Rademacher or Normal; zero: Rademacher. Orthogonal ones have random directions.
	Seed  uint64
	// Sample0 numbers the first point for its random numbers, so that a batch cut in pieces gives the same results.
	Sample0 uint64
}

// Estimate is ℓ₁ at one point, without bias but for the integration's error, with standard errors over the replicates.
type Estimate struct {
	L1, StdErr float64
	// L1 = Spread + Drift, the same parts as in Expansion.
	Spread, SpreadStdErr float64
	Drift, DriftStdErr   float64
	Status               Status // that of the first replicate that failed, if any did
	Failed               int    // replicates that failed; one makes the point invalid
	Evals                int    // evaluations of the derivatives, all replicates together; up to four adjoints each
}

// EstimateDual estimates ℓ₁ at the points x (n×D) with a tangent and its dual along the whole path: x, w and z forward
// from w = z = v at Tmin, then everything back. All times contribute to each replicate; the price is a variance that
// grows where the flow stretches unequally in different directions.
func EstimateDual(ctx context.Context, m solver.Model, s solver.Schedule, x []float64, o EstimateOptions) ([]Estimate, error) {
	return estimate(ctx, m, s, x, o, true, (*estimator).dual)
}

// EstimateTimes estimates ℓ₁ at the points x (n×D) from the integrand at K random times of the clock, one in each of K
// equal parts, with fresh probes at each. The standard error comes from the differences of neighbouring parts; it is too
// large, rather than too small, by the change of the integrand from one to the next.
func EstimateTimes(ctx context.Context, m solver.Model, s solver.Schedule, x []float64, o EstimateOptions) ([]Estimate, error) {
	return estimate(ctx, m, s, x, o, false, (*estimator).times)
}

// estimator is one block of points with their replicates: rows = points × K.
type estimator struct {
	*problem
	model  solver.VJPer
	o      EstimateOptions
	k      int
	rows   int
	x      []float64    // rows×D: the point of each row
	inner  int          // M
	group  int          // replicates that form one independent value: 1, or D with orthogonal v
	v      []float64    // rows×D: the probes of the trace
	eta    [2][]float64 // rows×M×D: the probes of the two gradients
	random []float64    // a uniform number for each row
	skip   func(row int) bool
}

// replicates are the results of the rows.
type replicates struct {
	spread, drift []float64
	status        []Status
	evals         []int
}

func estimate(ctx context.Context, m solver.Model, s solver.Schedule, x []float64, o EstimateOptions, dual bool, run func(*estimator, context.Context) (*replicates, error)) ([]Estimate, error) {
	p, err := newProblem(m, s, o.Options)
	if err != nil {
		return nil, err
	}
	n, err := p.count(x)
	if err != nil {
		return nil, err
	}
	model, ok := m.(solver.VJPer)
	if !ok {
		return nil, lacks(m, "adjoint derivatives (solver.VJPer)", "an estimate of ℓ₁")
	}
	if o.Kind == Exact {
		o.Kind = Rademacher
	}
	if o.Probes < 0 || o.Inner < 0 || o.Inner > p.d || int(o.Kind) >= len(probeNames) {
		return nil, fmt.Errorf("likelihood: %d probes with %d inner ones of kind %d; inner ones are at most D = %d", o.Probes, o.Inner, o.Kind, p.d)
	}
	if o.Probes == 0 {
		o.Probes = 16
	}
	if o.Inner == 0 {
		o.Inner = min(2, p.d)
	}
	if o.Tol == 0 {
		o.Tol = 1e-3
	}
	out := make([]Estimate, 0, n)
	size := max(1, min(block, rowsAtOnce(p.d)/8)/o.Probes)
	for at := 0; at < n; at += size {
		e := newEstimator(p, model, o, x[at*p.d:min(n, at+size)*p.d])
		if dual && o.Probes%p.d == 0 && o.Probes >= 2*p.d {
			e.group = p.d
		}
		e.draw(o.Sample0 + uint64(at))
		rep, err := run(e, ctx)
		if err != nil {
			return nil, err
		}
		for i := range e.rows / e.k {
			est := rep.summary(i*e.k, (i+1)*e.k, func(v []float64) (float64, float64) {
				if !dual {
					return stratified(v)
				}
				return meanStdErr(groupMeans(v, e.group))
			})
			if e.skip(i * e.k) {
				est.Status = BadPoint
			}
			out = append(out, est)
		}
		if o.Progress != nil {
			o.Progress(len(out), n)
		}
	}
	return out, nil
}

func newEstimator(p *problem, m solver.VJPer, o EstimateOptions, x []float64) *estimator {
	d, k := p.d, o.Probes
	rows := len(x) / d * k
	e := &estimator{problem: p, model: m, o: o, k: k, rows: rows, x: make([]float64, rows*d),
		inner: o.Inner, group: 1, v: make([]float64, rows*d), random: make([]float64, rows)}
	for r := range rows {
		copy(e.x[r*d:(r+1)*d], x[r/k*d:])
	}
	for i := range e.eta {
		e.eta[i] = make([]float64, rows*e.inner*d)
	}
	e.skip = badPoints(e.x, d)
	return e
}

// draw fills the probes. Each of a sample has a number: v of replicate j, then its two sets of η.
func (e *estimator) draw(sample0 uint64) {
	d, k, m, kind, seed := e.d, e.k, e.inner, e.o.Kind, e.o.Seed
	for r := range e.rows {
		sample, j := sample0+uint64(r/k), r%k
		number := j * (1 + 2*m)
		if j%e.group == 0 {
			kind.frame(e.v[r*d:(r+e.group)*d], seed, sample, number, e.group, d, 1+2*m)
		}
		for i, eta := range e.eta {
			kind.frame(eta[r*m*d:(r+1)*m*d], seed, sample, number+1+i*m, m, d, 1)
		}
		// The times take the blocks of StreamResample, which no probe uses.
		src := kernels.NewSource(seed, kernels.StreamResample, sample*uint64(k)+uint64(j))
		e.random[r] = rand.New(src).Float64()
	}
}

// frame writes m orthogonal probes with |η|² = d, from the probes numbered number, number+step, …; one alone is of the
// kind as it is.
func (k Probe) frame(dst []float64, seed, sample uint64, number, m, d, step int) {
	if m > 1 {
		k = Normal
	}
	for i := range m {
		row := dst[i*d : (i+1)*d]
		k.fill(row, seed, sample, number+i*step, d)
		if m == 1 {
			return
		}
		for range 2 { // once more against rounding
			for j := range i {
				c := dot(row, dst[j*d:(j+1)*d]) / float64(d)
				for l := range row {
					row[l] -= c * dst[j*d+l]
				}
			}
		}
		scale := math.Sqrt(float64(d) / dot(row, row))
		for l := range row {
			row[l] *= scale
		}
	}
}

// summary averages the replicates lo to hi.
func (r *replicates) summary(lo, hi int, average func([]float64) (mean, stderr float64)) Estimate {
	e := Estimate{Status: OK}
	total := make([]float64, 0, hi-lo)
	for i := lo; i < hi; i++ {
		e.Evals += r.evals[i]
		total = append(total, r.spread[i]+r.drift[i])
		st := r.status[i]
		if st == OK && !finitePoint(total[i-lo:i-lo+1]) {
			st = NotFinite
		}
		if st != OK {
			e.Failed++
			if e.Status == OK {
				e.Status = st
			}
		}
	}
	if e.Status != OK {
		nan := math.NaN()
		e.L1, e.StdErr, e.Spread, e.SpreadStdErr, e.Drift, e.DriftStdErr = nan, nan, nan, nan, nan, nan
		return e
	}
	e.L1, e.StdErr = average(total)
	e.Spread, e.SpreadStdErr = average(r.spread[lo:hi])
	e.Drift, e.DriftStdErr = average(r.drift[lo:hi])
	return e
}

// stratified is the mean of values from neighbouring strata, one each, and its standard error: with equal means nearby,
// half the sum of the squared differences of neighbours estimates the sum of the variances.
func stratified(v []float64) (mean, stderr float64) {
	mean, _ = meanStdErr(v)
	k := float64(len(v))
	if k < 2 {
		return mean, math.NaN()
	}
	sum := 0.0
	for i := range v[1:] {
		sum += (v[i+1] - v[i]) * (v[i+1] - v[i]) / 2
	}
	return mean, math.Sqrt(sum / (k * (k - 1)))
}

// groupMeans are the means of each size values.
func groupMeans(v []float64, size int) []float64 {
	means := make([]float64, len(v)/size)
	for i := range means {
		means[i], _ = meanStdErr(v[i*size : (i+1)*size])
	}
	return means
}

// The state on the way back, in parts of D: x, w, p, u₁, u₂, then z and the two integrals if there is a dual.
const (
	partX = iota
	partW
	partP
	partU1
	partU2
	partZ
	parts
)

// back is the system on the way back.
func (e *estimator) back(dual bool) ode.System {
	d, used, width := e.d, partZ, partZ*e.d
	if dual {
		used, width = parts, parts*d+2
	}
	var c coefficients
	buf := make([][]float64, 16)
	return ode.System{Width: width, Eval: func(ctx context.Context, dst, y, tau []float64, rows []int) error {
		n := len(tau)
		e.coefficients(&c, tau)
		b := func(i int) []float64 { return grow(&buf[i], n*d) }
		x, w, p, u1, u2, z := b(0), b(1), b(2), b(3), b(4), b(5)
		for j, part := range [][]float64{x, w, p, u1, u2, z}[:used] {
			for i := range n {
				copy(part[i*d:(i+1)*d], y[i*width+j*d:])
			}
		}
		s, sw, gp, g1, g2, gz := b(6), b(7), b(8), b(9), b(10), b(11)
		if err := e.adjoints(ctx, rows, x, w, p, u1, u2, s, sw, gp, g1, g2, c.t, b); err != nil {
			return err
		}
		if dual {
			if err := e.model.ScoreVJP(ctx, nil, gz, x, z, c.t); err != nil {
				return err
			}
		}
		for i := range n {
			f := dst[i*width : (i+1)*width]
			drift, half := c.drift[i], c.half[i]
			for j := range d {
				a := i*d + j
				f[partX*d+j] = drift*x[a] - half*s[a]
				f[partW*d+j] = drift*w[a] - half*sw[a]
				f[partP*d+j] = half*gp[a] - drift*p[a]
				f[partU1*d+j] = half*g1[a] - drift*u1[a]
				f[partU2*d+j] = half*g2[a] - drift*u2[a]
				if dual {
					f[partZ*d+j] = half*gz[a] - drift*z[a]
				}
			}
			if dual {
				row := func(m []float64) []float64 { return m[i*d : (i+1)*d] }
				f[parts*d], f[parts*d+1] = integrand(half, row(z), row(s), row(sw), row(p), row(u1), row(u2))
			}
		}
		return nil
	}}
}

// adjoints writes s, sw = Ds w, gp = ∇[p·s + u₁·Ds w + mean η₁·D²s[η₁, w]] and g = ∇[u·s + mean η·Ds η] for both gradients. b
// gives buffers, of which it uses 12 to 15.
func (e *estimator) adjoints(ctx context.Context, rows []int, x, w, p, u1, u2, s, sw, gp, g1, g2, t []float64, b func(int) []float64) error {
	d, m := e.d, e.inner
	eta, mean, more, nothing := b(12), b(13), b(14), []float64(nil)
	add := func(dst []float64) {
		for i, v := range more {
			dst[i] += v
		}
	}
	for i := range m {
		for set, u := range [][]float64{u1, u2} {
			for j, r := range rows {
				copy(eta[j*d:(j+1)*d], e.eta[set][(r*m+i)*d:])
			}
			for j, v := range eta {
				mean[j] = v / float64(m)
			}
			// What does not depend on η is taken once.
			g, du, dp, dw, sOut, swOut := more, nothing, nothing, nothing, nothing, nothing
			if i == 0 {
				g, du, dp, dw, sOut, swOut = [][]float64{g1, g2}[set], u, p, u1, s, sw
			}
			if err := e.model.ScoreVJP2(ctx, g, nil, nil, nil, nil, x, eta, nil, du, mean, nil, nil, t); err != nil {
				return err
			}
			if i > 0 {
				add([][]float64{g1, g2}[set])
			}
			if set == 1 {
				continue
			}
			g = more
			if i == 0 {
				g = gp
			}
			if err := e.model.ScoreVJP2(ctx, g, sOut, nil, swOut, nil, x, eta, w, dp, nil, dw, mean, t); err != nil {
				return err
			}
			if i > 0 {
				add(gp)
			}
		}
	}
	return nil
}

// integrand is dℓ₁/dτ in its two parts.
func integrand(half float64, z, s, sw, p, u1, u2 []float64) (spread, drift float64) {
	for j := range z {
		spread += half * z[j] * (sw[j] - p[j])
		drift += half * (s[j]*(u1[j]+u2[j])/2 - u1[j]*u2[j])
	}
	return spread, drift
}

// there integrates (x, w) or, with a dual, (x, w, z) forward: y is rows×2D or rows×3D.
func (e *estimator) there(ctx context.Context, y, from, to []float64, width int) ([]ode.Result, error) {
	d := e.d
	var c coefficients
	buf := make([][]float64, 6)
	sys := ode.System{Width: width, Eval: func(ctx context.Context, dst, y, tau []float64, _ []int) error {
		n := len(tau)
		e.coefficients(&c, tau)
		b := func(i int) []float64 { return grow(&buf[i], n*d) }
		x, w, z := b(0), b(1), b(2)
		for j, part := range [][]float64{x, w, z}[:width/d] {
			for i := range n {
				copy(part[i*d:(i+1)*d], y[i*width+j*d:])
			}
		}
		s, sw, gz := b(3), b(4), b(5)
		if err := e.model.ScoreJVP(ctx, s, sw, x, w, 1, c.t); err != nil {
			return err
		}
		if width == 3*d {
			if err := e.model.ScoreVJP(ctx, nil, gz, x, z, c.t); err != nil {
				return err
			}
		}
		for i := range n {
			for j := range d {
				a, f := i*d+j, dst[i*width+j:]
				f[0] = c.drift[i]*x[a] - c.half[i]*s[a]
				f[d] = c.drift[i]*w[a] - c.half[i]*sw[a]
				if width == 3*d {
					f[2*d] = c.half[i]*gz[a] - c.drift[i]*z[a]
				}
			}
		}
		return nil
	}}
	set := forward(e.o.settings())
	set.Skip = e.skip
	res, err := ode.Solve(ctx, sys, y, from, to, set)
	e.flagEscaped(res, y, width)
	return res, err
}

// returning integrates from Tmax back to the given times: there is the state (x, w and perhaps z) that arrived.
func (e *estimator) returning(ctx context.Context, there []float64, arrived []ode.Result, to []float64, dual bool) (y []float64, res []ode.Result, err error) {
	d, sys := e.d, e.back(dual)
	width, in := sys.Width, len(there)/e.rows
	y = make([]float64, e.rows*width)
	sd := e.s.PriorStd()
	for r := range e.rows {
		row, from := y[r*width:(r+1)*width], there[r*in:(r+1)*in]
		copy(row, from[:2*d])
		for j := range d {
			row[partP*d+j] = -row[partW*d+j] / (sd * sd)
			row[partU1*d+j] = -row[j] / (sd * sd)
			row[partU2*d+j] = -row[j] / (sd * sd)
		}
		if dual {
			copy(row[partZ*d:], from[2*d:])
		}
	}
	set := e.o.settings()
	set.Skip = func(r int) bool { return arrived[r].Status != OK }
	res, err = ode.Solve(ctx, sys, y, fill(e.end(), e.rows), to, set)
	for r := range res {
		if arrived[r].Status != OK {
			res[r].Status = arrived[r].Status
		}
		res[r].Evals += arrived[r].Evals
	}
	return y, res, err
}

func newReplicates(res []ode.Result) *replicates {
	rep := &replicates{spread: make([]float64, len(res)), drift: make([]float64, len(res))}
	for _, r := range res {
		rep.status = append(rep.status, r.Status)
		rep.evals = append(rep.evals, r.Evals)
	}
	return rep
}

func (e *estimator) dual(ctx context.Context) (*replicates, error) {
	d := e.d
	start := make([]float64, e.rows*3*d)
	for r := range e.rows {
		copy(start[r*3*d:], e.x[r*d:(r+1)*d])
		copy(start[(r*3+1)*d:], e.v[r*d:(r+1)*d])
		copy(start[(r*3+2)*d:], e.v[r*d:(r+1)*d])
	}
	first, last := fill(e.start(), e.rows), fill(e.end(), e.rows)
	arrived, err := e.there(ctx, start, first, last, 3*d)
	if err != nil {
		return nil, err
	}
	y, res, err := e.returning(ctx, start, arrived, first, true)
	if err != nil {
		return nil, err
	}
	rep := newReplicates(res)
	width := parts*d + 2
	for r := range e.rows {
		rep.spread[r], rep.drift[r] = y[r*width+parts*d], y[r*width+parts*d+1]
	}
	return rep, nil
}

func (e *estimator) times(ctx context.Context) (*replicates, error) {
	d := e.d
	at := make([]float64, e.rows)
	for r := range at {
		f := (float64(r%e.k) + e.random[r]) / float64(e.k)
		at[r] = e.start() + f*(e.end()-e.start())
	}
	// x to the time drawn, then with w = v there to Tmax, then all back to that time.
	set := forward(e.o.settings())
	set.Skip = e.skip
	xs, met, err := e.pathsTo(ctx, e.x, at, set)
	if err != nil {
		return nil, err
	}
	start := make([]float64, e.rows*2*d)
	for r := range e.rows {
		copy(start[r*2*d:], xs[r*d:(r+1)*d])
		copy(start[(r*2+1)*d:], e.v[r*d:(r+1)*d])
	}
	arrived, err := e.there(ctx, start, at, fill(e.end(), e.rows), 2*d)
	if err != nil {
		return nil, err
	}
	for r := range arrived {
		arrived[r].Evals += met[r].Evals
		if met[r].Status != OK {
			arrived[r].Status = met[r].Status
		}
	}
	y, res, err := e.returning(ctx, start, arrived, at, false)
	if err != nil {
		return nil, err
	}
	rep := newReplicates(res)
	width := partZ * d
	x, w := make([]float64, e.rows*d), make([]float64, e.rows*d)
	s, sw := make([]float64, e.rows*d), make([]float64, e.rows*d)
	for r := range e.rows {
		copy(x[r*d:(r+1)*d], y[r*width:])
		copy(w[r*d:(r+1)*d], y[r*width+partW*d:])
	}
	var c coefficients
	e.coefficients(&c, at)
	if err := e.model.ScoreJVP(ctx, s, sw, x, w, 1, c.t); err != nil {
		return nil, err
	}
	span := e.start() - e.end()
	for r := range e.rows {
		row := func(part int) []float64 { return y[r*width+part*d : r*width+(part+1)*d] }
		spread, drift := integrand(c.half[r], w[r*d:(r+1)*d], s[r*d:(r+1)*d], sw[r*d:(r+1)*d], row(partP), row(partU1), row(partU2))
		rep.spread[r], rep.drift[r] = span*spread, span*drift
	}
	return rep, nil
}
