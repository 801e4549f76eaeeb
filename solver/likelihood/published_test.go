package likelihood

import (
	"context"
	"fmt"
	"math"

	"hbar/kernels/jet"
	"hbar/solver"
	"hbar/solver/likelihood/ode"
)

// PublishedOptions are the settings of the published method; the zero value has the paper's.
type PublishedOptions struct {
	DX       float64 // step of the finite differences; 0: 0.01
	OuterTol float64 // of the shifted path; 0: 1e-3
	InnerTol float64 // of the nested solves for log q⁰; 0: 1e-5
	MaxSteps int     // of a path; 0: 5000
	Progress func(done, total int)
}

// PublishedPoint is ℓ₁ at one point by the published method.
type PublishedPoint struct {
	L1     float64 // NaN unless Status is OK
	Status Status
	Steps  int // of the shifted path
	Inner  int // evaluations of s and ∇·s in the nested solves of all finite differences
}

// Published computes ℓ₁ as arXiv:2403.11262 and its code do, for comparison with Expand: a second path, shifted by h δx,
//
//	dδx/dt = (∂F/∂x) δx − ½ g² (s − ∇log q⁰),   δx(Tmin) = 0,
//	ℓ₁ = δx·∇log π at Tmax + ∫ [δx·∇(∇·F) − ½ g² (∇·s − Δlog q⁰)] dt,
//
// where ∇log q⁰ and Δlog q⁰ at every evaluation come from central differences of 2D+1 probability-flow solves of their
// own, from there to Tmax. Dormand–Prince in t throughout; the published code takes the same steps for all points, this one
// chooses them for each. Its error is that of differencing log q⁰ with noise InnerTol: about InnerTol/DX² in the Laplacian.
func Published(ctx context.Context, m solver.Model, s solver.Schedule, x []float64, o PublishedOptions) ([]PublishedPoint, error) {
	p, err := newProblem(m, s, Options{Clock: ClockTime, Tol: o.OuterTol, MaxSteps: o.MaxSteps})
	if err != nil {
		return nil, err
	}
	if err := solver.NeedScalars(s, "the published method"); err != nil {
		return nil, fmt.Errorf("likelihood: %w", err)
	}
	n, err := p.count(x)
	if err != nil {
		return nil, err
	}
	for _, f := range []struct {
		v    *float64
		zero float64
	}{{&o.DX, 0.01}, {&o.OuterTol, 1e-3}, {&o.InnerTol, 1e-5}} {
		if *f.v == 0 {
			*f.v = f.zero
		}
	}
	if !(o.DX > 0) {
		return nil, fmt.Errorf("likelihood: finite differences with a step of %v; want a positive one", o.DX)
	}
	if _, ok := m.(solver.Jetter); !ok || p.d > 3 {
		return nil, fmt.Errorf("likelihood: the published method needs a model with Taylor expansions (solver.Jetter) in at most 3 dimensions, not %T in %d", m, p.d)
	}
	if _, ok := m.(solver.Diverger); !ok {
		return nil, lacks(m, "its divergence (solver.Diverger)", "the published method")
	}
	d, w := p.d, 2*p.d+1
	out := make([]PublishedPoint, n)
	y := make([]float64, n*w)
	for i := range n {
		copy(y[i*w:], x[i*d:(i+1)*d])
	}
	sys := ode.System{Width: w, Eval: func(ctx context.Context, dst, y, tau []float64, rows []int) error {
		return p.shifted(ctx, dst, y, tau, rows, o, out)
	}}
	set := ode.Settings{Method: ode.DormandPrince, Tol: o.OuterTol, MaxSteps: o.MaxSteps, Skip: badPoints(x, d), Progress: o.Progress}
	res, err := ode.Solve(ctx, sys, y, fill(p.start(), n), fill(p.end(), n), set)
	if err != nil {
		return nil, err
	}
	p.flagEscaped(res, y, w)
	sd := s.PriorStd()
	for i, r := range res {
		out[i].Status, out[i].Steps = pointStatus(r.Status), r.Steps
		out[i].L1 = math.NaN()
		if r.Status == OK {
			at := y[i*w : (i+1)*w]
			out[i].L1 = at[2*d] - dot(at[:d], at[d:2*d])/(sd*sd)
		}
	}
	return out, nil
}

// shifted is the right-hand side for x, δx and the integral.
func (p *problem) shifted(ctx context.Context, dst, y, tau []float64, rows []int, o PublishedOptions, out []PublishedPoint) error {
	d, w, n := p.d, 2*p.d+1, len(tau)
	alg := jet.For(d, 2)
	size := alg.Size(2)
	x, jets := make([]float64, n*d), make([]float64, n*d*size)
	gather(x, y, d, w)
	var c coefficients
	p.coefficients(&c, tau)
	if err := p.model.(solver.Jetter).ScoreJets(ctx, jets, x, c.t, 2); err != nil {
		return err
	}
	logQ, evals, err := p.stencil(ctx, x, tau, o)
	if err != nil {
		return err
	}
	div := make([]float64, alg.Size(1))
	grad := make([]float64, alg.Size(1))
	for i := range n {
		out[rows[i]].Inner += evals[i]
		f, shift := dst[i*w:(i+1)*w], y[i*w+d:i*w+2*d]
		q := logQ[i*(2*d+1) : (i+1)*(2*d+1)]
		clear(div)
		lap := 0.0
		for k := range d {
			s := jets[(i*d+k)*size : (i*d+k+1)*size]
			up, down := q[1+2*k], q[2+2*k]
			u := (up - down) / (2 * o.DX)
			lap += (up + down - 2*q[0]) / (o.DX * o.DX)
			f[k] = c.drift[i]*x[i*d+k] - c.half[i]*s[0]
			f[d+k] = c.drift[i]*shift[k] - c.half[i]*(dot(s[1:1+d], shift)+s[0]-u)
			alg.Deriv(grad, s, k, 1)
			for j := range div {
				div[j] += grad[j]
			}
		}
		f[2*d] = -c.half[i] * (dot(div[1:], shift) + div[0] - lap)
	}
	return nil
}

// stencil computes log q⁰ at each x and at x ± DX in each dimension by the probability flow from tau on, with the
// number of evaluations. A value that fails is NaN, at which the outer integration stops.
func (p *problem) stencil(ctx context.Context, x, tau []float64, o PublishedOptions) (logQ []float64, evals []int, err error) {
	d, k := p.d, 2*p.d+1
	n := len(tau)
	y, from := make([]float64, n*k*(d+1)), make([]float64, n*k)
	for i := range n * k {
		copy(y[i*(d+1):], x[i/k*d:(i/k+1)*d])
		from[i] = tau[i/k]
		if j := i%k - 1; j >= 0 {
			y[i*(d+1)+j/2] += o.DX * float64(1-2*(j%2))
		}
	}
	set := ode.Settings{Method: ode.DormandPrince, Tol: o.InnerTol, MaxSteps: o.MaxSteps}
	res, err := ode.Solve(ctx, p.flowSystem(nil, 1), y, from, fill(p.end(), n*k), set)
	if err != nil {
		return nil, nil, err
	}
	logQ, evals = make([]float64, n*k), make([]int, n)
	for i, r := range res {
		logQ[i] = math.NaN()
		if r.Status == ode.OK {
			logQ[i] = p.logPrior(y[i*(d+1):i*(d+1)+d]) + y[i*(d+1)+d]
		}
		evals[i/k] += r.Evals
	}
	return logQ, evals, nil
}
