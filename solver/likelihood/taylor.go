package likelihood

import (
	"context"

	"hbar/kernels/jet"
	"hbar/solver"
	"hbar/solver/likelihood/ode"
)

// taylor is the system that goes backwards along a path: the state is
//
//	x        D
//	L        the Taylor polynomial of log q⁰_t about x, to degree 2 (order 1) or 4 (order 2)
//	ℓ₁       its Taylor polynomial, to degree 0 or 2
//	spread   −½∫g²(∇·s − tr H) dt, the first part of ℓ₁; the second is −½∫g²(s − u)·u dt
//	mismatch ½∫g²|s − u|² dt
//	ℓ₂       (order 2)
type taylor struct {
	*problem
	jets   solver.Jetter
	alg    *jet.Algebra // to the degree of s
	order  int          // of the expansion in h
	degL   int
	deg1   int
	l, l1  int // offsets in the state
	spread int
	miss   int
	l2     int
	width  int
}

func newTaylor(p *problem, j solver.Jetter, order int) *taylor {
	t := &taylor{problem: p, jets: j, order: order, degL: 2 * order, deg1: 2 * (order - 1)}
	t.alg = jet.For(p.d, t.degL+1)
	t.l = p.d
	t.l1 = t.l + t.alg.Size(t.degL)
	t.spread = t.l1 + t.alg.Size(t.deg1)
	t.miss = t.spread + 1
	t.l2 = t.miss + 1
	t.width = t.l2 + order - 1
	return t
}

// prior writes the state at Tmax for the point x: log π and zeros.
func (t *taylor) prior(y, x []float64) {
	clear(y)
	copy(y, x)
	l, sd := y[t.l:t.l1], t.s.PriorStd()
	l[0] = t.logPrior(x)
	for i, v := range x {
		l[1+i] = -v / (sd * sd)
	}
	for k, alpha := range t.alg.Index[:t.alg.Size(2)] {
		for _, p := range alpha {
			if p == 2 {
				l[k] = -1 / (2 * sd * sd)
			}
		}
	}
}

// system is the right-hand side per unit of the clock.
func (t *taylor) system() ode.System {
	var c coefficients
	var xb, sb []float64
	nS := t.alg.Size(t.degL + 1)
	work := newTaylorWork(t)
	return ode.System{Width: t.width, Eval: func(ctx context.Context, dst, y, tau []float64, _ []int) error {
		n := len(tau)
		t.coefficients(&c, tau)
		x, s := grow(&xb, n*t.d), grow(&sb, n*t.d*nS)
		gather(x, y, t.d, t.width)
		if err := t.jets.ScoreJets(ctx, s, x, c.t, t.degL+1); err != nil {
			return err
		}
		for i := range n {
			work.field(dst[i*t.width:(i+1)*t.width], y[i*t.width:(i+1)*t.width], s[i*t.d*nS:(i+1)*t.d*nS], c.drift[i], c.half[i])
		}
		return nil
	}}
}

// taylorWork holds the polynomials of one evaluation at one point.
type taylorWork struct {
	*taylor
	flow []float64 // F_i, to the degree of L
	div  []float64 // ∇·s
	grad [][]float64
	diff []float64
}

func newTaylorWork(t *taylor) *taylorWork {
	w := &taylorWork{taylor: t}
	size := t.alg.Size(t.degL)
	w.flow, w.div, w.diff = make([]float64, size), make([]float64, size), make([]float64, size)
	for range t.d {
		w.grad = append(w.grad, make([]float64, size))
	}
	return w
}

// field writes dy/dτ for the state y and the jets s of the score (D of degree degL+1), with the coefficients drift and
// half of problem.at.
func (w *taylorWork) field(dst, y, s []float64, drift, half float64) {
	t, alg := w.taylor, w.alg
	nS := alg.Size(t.degL + 1)
	sizeL := alg.Size(t.degL)
	size1 := alg.Size(t.deg1)
	clear(dst)
	l, l1 := y[t.l:t.l1], y[t.l1:t.spread]
	dl, dl1 := dst[t.l:t.l1], dst[t.l1:t.spread]

	clear(w.div)
	for i := range t.d {
		alg.AddDeriv(w.div, 1, s[i*nS:(i+1)*nS], i, t.degL)
		alg.Deriv(w.grad[i], l, i, t.degL-1)
	}
	// −∇·F
	for k, v := range w.div {
		dl[k] = half * v
	}
	dl[0] -= float64(t.d) * drift
	// ½g² (∇·s − ΔL)
	alg.AddLaplacian(dl1, -half, l, t.deg1)
	for k := range size1 {
		dl1[k] += half * w.div[k]
	}
	dst[t.spread] = dl1[0]
	for i := range t.d {
		si := s[i*nS : (i+1)*nS]
		dst[i] = drift*y[i] - half*si[0]
		for k := range sizeL {
			w.flow[k] = -half * si[k]
		}
		w.flow[1+i] += drift
		// −(F(x+δ) − F(x))·∇ of L and ℓ₁
		alg.AddMulTail(dl, -1, w.flow, w.grad[i], t.degL)
		for k := range size1 {
			w.diff[k] = si[k] - w.grad[i][k]
		}
		dst[t.miss] -= half * w.diff[0] * w.diff[0]
		// ½g² (s − u)·u
		alg.AddMul(dl1, half, w.diff, w.grad[i], t.deg1)
		if t.order < 2 {
			continue
		}
		if t.deg1 > 0 {
			alg.Deriv(w.diff, l1, i, t.deg1-1)
			alg.AddMulTail(dl1, -1, w.flow, w.diff, t.deg1)
			// ½g² (s − 2u)·∇ℓ₁
			dst[t.l2] += half * (si[0] - 2*w.grad[i][0]) * w.diff[0]
		}
	}
	if t.order == 2 {
		alg.AddLaplacian(dst[t.l2:], -half, l1, 0)
	}
}
