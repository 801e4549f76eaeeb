package solver

import (
	"context"
	"fmt"
	"math"

	"hbar/solver/likelihood/ode"
)

// exact are the matrices of a step of a schedule of matrices from t to u, of a process with the dial e: with x̂_0 constant in a step,
//
//	z_u = Ψ z_t + (Φ_u − ΨΦ_t)e_1 x̂_0 + C ε,   Ψ' = β(A + ((1+e)/2) QΣ⁻¹)Ψ,   C Cᵀ = Σ_u − ΨΣ_tΨᵀ.
//
// e = h from t down to u is the reverse process with noise of strength h; e = −h from t up to u is the matching forward process.
type exact struct {
	psi   blockMat
	chol  blockMat // C
	held  blockVec // of x̂_0 held
	slope blockVec // of x̂_0 that changes by one for each unit of λ − λ_t
}

// exactTol is the tolerance of the matrices, whitened: all numbers there are of order one.
const exactTol = 1e-12

// exactBlock is how many steps are integrated together.
const exactBlock = 1 << 12

// exact computes the steps from[i] → to[i] with the dial e(t), which must not exceed its sign: all forward or all reverse. Many steps take
// minutes, which end with ctx.
//
// In the coordinates L⁻¹z with LLᵀ = Σ everything is of order one at all times, and L' = L·low(L⁻¹Σ'L⁻ᵀ), low the lower triangle with
// half of the diagonal. U = L_u⁻¹ΨL_t, the covariance and the two vectors are integrated in log ∫β, where the process is smooth. So
// the covariance of a short step is no difference of large numbers.
func (s *Blocks) exact(ctx context.Context, from, to []float64, dial func(i int, t float64) float64) ([]exact, error) {
	b := s.size
	width := 2*b*b + 2*b
	out := make([]exact, 0, len(from))
	for lo := 0; lo < len(from); lo += exactBlock {
		hi := min(lo+exactBlock, len(from))
		n := hi - lo
		y, starts, ends := make([]float64, n*width), make([]float64, n), make([]float64, n)
		first := make([]law, n)
		for i := range n {
			first[i] = s.at(from[lo+i])
			starts[i], ends[i] = math.Log(s.beta*from[lo+i]), math.Log(s.beta*to[lo+i])
			unit := blockIdentity(b)
			copy(y[i*width:], unit[:b*b])
		}
		sys := ode.System{Width: width, Eval: func(_ context.Context, dst, y, at []float64, rows []int) error {
			for i, r := range rows {
				tau := math.Exp(at[i])
				s.whitened(dst[i*width:(i+1)*width], y[i*width:(i+1)*width], tau, dial(lo+r, tau/s.beta), math.Log(first[r].ratio)/2)
			}
			return nil
		}}
		res, err := ode.Solve(ctx, sys, y, starts, ends, ode.Settings{Tol: exactTol})
		if err != nil {
			return nil, err
		}
		for i, r := range res {
			if r.Status != ode.OK {
				return nil, fmt.Errorf("solver: schedule %q: the step from t = %.6g to %.6g cannot be computed: %s", s.name, from[lo+i], to[lo+i], r.Status)
			}
			last := s.at(to[lo+i])
			out = append(out, last.unwhiten(y[i*width:(i+1)*width], &first[i], b))
		}
	}
	return out, nil
}

// whitened writes the derivatives per unit of log τ.
func (s *Blocks) whitened(dst, y []float64, tau, e, lambda0 float64) {
	b := s.size
	l := s.after(tau)
	var u, v blockMat
	var held, slope blockVec
	copy(u[:], y[:b*b])
	copy(v[:], y[b*b:2*b*b])
	copy(held[:b], y[2*b*b:])
	copy(slope[:b], y[2*b*b+b:])

	a := s.a.mul(&l.chol, b)
	a = l.unit.mul(&a, b)
	g := l.unit.mul(&s.q, b)
	g = g.mulT(&l.unit, b)
	at := a.transpose(b)
	turn := a.add(1, &at)
	turn = turn.add(1, &g)
	turn = turn.lowerPart(b)
	m := a.add((1+e)/2, &g)
	m = m.add(-1, &turn)

	phi := l.unit.apply(&l.phi, b)
	pull := g.apply(&phi, b)
	du, mv := m.mul(&u, b), m.mul(&v, b)
	mvT := mv.transpose(b)
	dv := mv.add(1, &mvT)
	dv = dv.add(-e, &g)
	dHeld, dSlope := m.apply(&held, b), m.apply(&slope, b)
	change := math.Log(l.ratio)/2 - lambda0
	for i := range b * b {
		dst[i], dst[b*b+i] = tau*du[i], tau*dv[i]
	}
	for i := range b {
		dst[2*b*b+i] = tau * (dHeld[i] - (1+e)/2*pull[i])
		dst[2*b*b+b+i] = tau * (dSlope[i] - (1+e)/2*pull[i]*change)
	}
}

// unwhiten takes the result of an integration to the coordinates of z.
func (l *law) unwhiten(y []float64, first *law, b int) (x exact) {
	var u, v blockMat
	copy(u[:], y[:b*b])
	copy(v[:], y[b*b:2*b*b])
	var held, slope blockVec
	copy(held[:b], y[2*b*b:])
	copy(slope[:b], y[2*b*b+b:])
	x.psi = l.chol.mul(&u, b)
	x.psi = x.psi.mul(&first.unit, b)
	c, _ := v.cholesky(b)
	x.chol = l.chol.mul(&c, b)
	x.held, x.slope = l.chol.apply(&held, b), l.chol.apply(&slope, b)
	return x
}

// euler is the step of Euler and Maruyama from t to u at the dial e.
func (s *Blocks) euler(t, u, e float64) (x exact) {
	b := s.size
	l := s.at(t)
	// K = A + ((1+e)/2)QΣ⁻¹, and ((1+e)/2)QΣ⁻¹φ
	inverse := l.unit.transpose(b)
	inverse = inverse.mul(&l.unit, b)
	pull := s.q.mul(&inverse, b)
	k := s.a.add((1+e)/2, &pull)
	x.psi = blockIdentity(b)
	x.psi = x.psi.add(s.beta*(u-t), &k)
	qw := s.q.apply(&l.w, b)
	for i := range b {
		x.held[i] = -s.beta * (u - t) * (1 + e) / 2 * qw[i]
	}
	g, _ := s.q.cholesky(b)
	x.chol = x.chol.add(math.Sqrt(math.Abs(e*s.beta*(u-t))), &g)
	return x
}

// propagator is the step as the loop takes it.
func (x *exact) propagator(t float64, b int, step uint32) Propagator {
	p := Propagator{T: t, F: append([]float64(nil), x.psi[:b*b]...), B: append([]float64(nil), x.held[:b]...), Step: step}
	if x.chol != (blockMat{}) {
		p.C = append([]float64(nil), x.chol[:b*b]...)
	}
	return p
}

// blockSamplers are the samplers of schedules of matrices.
const blockSamplers = "em, exp, exp2"

// table is NewTableContext for a schedule of matrices.
func (s *Blocks) table(ctx context.Context, times []float64, o TableOptions, h func(t float64) float64) (*Table, error) {
	if o.Sampler == Heun {
		return nil, fmt.Errorf("solver: schedule %q has the samplers %s; not %s", s.name, blockSamplers, o.Sampler)
	}
	b, n := s.size, len(times)-1
	dial := func(i int, t float64) float64 {
		if i == n-1 && o.LastNoise == LastNone {
			return 0
		}
		return h(t)
	}
	var steps []exact
	if o.Sampler == EulerMaruyama {
		for k := range n {
			steps = append(steps, s.euler(times[k], times[k+1], dial(k, times[k])))
		}
	} else {
		var err error
		if steps, err = s.exact(ctx, times[:n], times[1:], dial); err != nil {
			return nil, err
		}
	}
	table := &Table{Times: times, Stride: 1}
	for k := range steps {
		x := &steps[k]
		if k == n-1 && o.LastNoise == LastMean {
			x.chol = blockMat{}
		}
		p := x.propagator(times[k], b, uint32(k))
		if o.Sampler == Exponential2 && k > 0 {
			span := s.Lambda(times[k]) - s.Lambda(times[k-1])
			p.M = make([]float64, b)
			for i := range b {
				p.B[i] += x.slope[i] / span
				p.M[i] = -x.slope[i] / span
			}
		}
		if !finiteRowOf(p.F) || !finiteRowOf(p.B) || !finiteRowOf(p.C) {
			return nil, fmt.Errorf("solver: schedule %q, sampler %q: step %d of %d, from t = %.6g to %.6g, overflows float64", s.name, o.Sampler, k+1, n, times[k], times[k+1])
		}
		table.Propagators = append(table.Propagators, p)
	}
	if o.Denoise {
		p := Propagator{T: times[n], F: make([]float64, b*b), B: make([]float64, b), Step: uint32(n)}
		p.B[0] = 1
		table.Propagators = append(table.Propagators, p)
	}
	return table, nil
}

// PathSteps are what the path integral of a schedule of matrices needs between two times of a chain, from the earlier time of
// generation t down to u: the step of the sampler, and that of the matching forward process from u to t. C is there for both.
type PathSteps struct{ Reverse, Forward Propagator }

// PathSteps lists the steps of the exponential sampler (exp) at h > 0 over the grid, from Tmax to Tmin.
func (s *Blocks) PathSteps(ctx context.Context, grid Grid, steps int, h float64) (times []float64, out []PathSteps, err error) {
	if times, err = grid.Times(s, steps); err != nil {
		return nil, nil, err
	}
	reverse, err := s.exact(ctx, times[:steps], times[1:], func(int, float64) float64 { return h })
	if err != nil {
		return nil, nil, err
	}
	forward, err := s.exact(ctx, times[1:], times[:steps], func(int, float64) float64 { return -h })
	if err != nil {
		return nil, nil, err
	}
	for k := range reverse {
		out = append(out, PathSteps{reverse[k].propagator(times[k], s.size, uint32(k)), forward[k].propagator(times[k+1], s.size, uint32(k))})
	}
	return times, out, nil
}
