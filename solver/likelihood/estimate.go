package likelihood

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"hbar/kernels"
	"hbar/solver"
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
	// L1 = DivTerm + GradTerm, the same terms as in Expansion.
	DivTerm, DivTermStdErr   float64
	GradTerm, GradTermStdErr float64
	// Trust is about the h at which the second order reaches a tenth of the first (trustOf), the least over the times; NaN by EstimateDual
	// and under schedules of matrices.
	Trust  float64
	Status Status // that of the first replicate that failed, if any did
	Failed int    // replicates that failed; one makes the point invalid
	Evals  int    // evaluations of the derivatives, of all replicates; one takes up to four adjoints
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

// estimation is how the replicates of a block of points are computed.
type estimation func(*estimator, context.Context) (*replicates, error)

func estimate(ctx context.Context, m solver.Model, s solver.Schedule, x []float64, o EstimateOptions, dual bool, run estimation) ([]Estimate, error) {
	p, err := newProblem(m, s, o.Options)
	if err != nil {
		return nil, err
	}
	if _, err := p.count(x); err != nil {
		return nil, err
	}
	if _, ok := m.(solver.VJPer); !ok {
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
	if p.blocks != nil {
		return p.estimateOfBlocks(ctx, x, o, dual, run)
	}
	return p.estimates(ctx, x, o, dual, run)
}

// estimates is estimate for states of the problem, with options that are complete.
func (p *problem) estimates(ctx context.Context, x []float64, o EstimateOptions, dual bool, run estimation) ([]Estimate, error) {
	n, model := len(x)/p.d, p.model.(solver.VJPer)
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

// The layout of a state of the integration from Tmax, in parts of D numbers: x, w, p, u₁, u₂; with a dual also z, and then the two
// terms of ℓ₁.
const (
	partX = iota
	partW
	partP
	partU1
	partU2
	partZ
	parts
)
