package fokkerplanck

import (
	"context"
	"math"
)

// state is the density for one h while λ advances.
type state struct {
	h      float64
	s      *spectral
	u      []complex128 // spectrum of q in y
	acc    []complex128
	stage  []complex128
	z      [3][]complex128 // σs at the beginning, middle and end of a step
	decay  [2][2][]float64 // factor of the diffusion over each half step, per dimension and mode
	steps  int
	lambda float64 // of z[2], if it is valid
	sizes  []size  // of the grids passed
	err    error
}

func newState(h float64, s *spectral) *state {
	st := &state{h: h}
	st.move(s)
	return st
}

// move takes the state to another grid: modes that are not there yet are zero, others are copied.
func (st *state) move(s *spectral) {
	u := make([]complex128, s.modes())
	if st.s != nil {
		k1, k2 := min(s.k[0], st.s.k[0]), min(s.k[1], st.s.k[1])
		for k := 0; k <= k1; k++ {
			copy(u[k*s.column()+s.k[1]-k2:][:2*k2+1], st.u[k*st.s.column()+st.s.k[1]-k2:][:2*k2+1])
		}
	}
	st.s, st.u = s, u
	st.acc, st.stage = make([]complex128, len(u)), make([]complex128, len(u))
	for i := range st.z {
		st.z[i] = make([]complex128, s.points())
	}
	for half := range st.decay {
		for i := range st.decay[half] {
			st.decay[half][i] = make([]float64, s.k[i]+1)
		}
	}
	st.lambda = math.Inf(-1)
}

// drift is b at one λ, with σs given.
func (f *frame) drift(a at, h float64, z []complex128) *drift {
	b := &drift{z: z}
	for i := range f.d {
		r := a.sigma / a.width[i]
		b.c[i], b.e[i] = (1+h)*r, f.kappa*r
	}
	return b
}

// gauss3 are the nodes and weights of Gauss–Legendre quadrature on [0, 1].
var gauss3 = [3][2]float64{
	{0.5 - 0.3872983346207417, 5.0 / 18}, {0.5, 8.0 / 18}, {0.5 + 0.3872983346207417, 5.0 / 18},
}

// setDecay computes exp(−π²k² ∫ h (σ/W)² dλ) over an interval.
func (st *state) setDecay(half int, f *frame, lambda, step float64) {
	var sum [2]float64
	for _, g := range gauss3 {
		a := f.at(lambda + g[0]*step)
		for i := range f.d {
			r := a.sigma / a.width[i]
			sum[i] += g[1] * r * r
		}
	}
	for i, decay := range st.decay[half] {
		rate := math.Pi * math.Pi * st.h * step * sum[i]
		for k := range decay {
			decay[k] = math.Exp(-rate * float64(k*k))
		}
	}
}

// step advances from λ to λ + d by the integrating-factor Runge–Kutta method of order four. With E the diffusion over
// the whole step, E₁, E₂ over its halves and N the advective rate,
//
//	k₁ = N(u)  k₂ = N(E₁(u + d/2 k₁))  k₃ = N(E₁u + d/2 k₂)  k₄ = N(Eu + d E₂k₃)
//	u ← E(u + d/6 k₁) + d/3 E₂(k₂ + k₃) + d/6 k₄
func (st *state) step(ctx context.Context, t *tables, node int, lambda, d float64) error {
	s, f := st.s, t.frame
	begin, middle, end := f.at(lambda), f.at(lambda+d/2), f.at(lambda+d)
	if st.lambda == lambda {
		st.z[0], st.z[2] = st.z[2], st.z[0]
	} else if err := t.interpolate(ctx, st.z[0], lambda, node, s.grid, s.pool); err != nil {
		return err
	}
	if err := t.interpolate(ctx, st.z[1], lambda+d/2, node, s.grid, s.pool); err != nil {
		return err
	}
	if err := t.interpolate(ctx, st.z[2], lambda+d, node, s.grid, s.pool); err != nil {
		return err
	}
	st.lambda = lambda + d
	st.setDecay(0, f, lambda, d/2)
	st.setDecay(1, f, lambda+d/2, d/2)

	b := [3]*drift{f.drift(begin, st.h, st.z[0]), f.drift(middle, st.h, st.z[1]), f.drift(end, st.h, st.z[2])}
	st.each(b[0], st.u, func(i int, e1, e2 float64, u, k complex128) {
		st.acc[i] = scale(e1*e2, u+scale(d/6, k))
		st.stage[i] = scale(e1, u+scale(d/2, k))
	})
	st.each(b[1], st.stage, func(i int, e1, e2 float64, u, k complex128) {
		st.acc[i] += scale(d/3*e2, k)
		st.stage[i] = scale(e1, u) + scale(d/2, k)
	})
	st.each(b[1], st.stage, func(i int, e1, e2 float64, u, k complex128) {
		st.acc[i] += scale(d/3*e2, k)
		st.stage[i] = scale(e2, scale(e1, u)+scale(d, k))
	})
	st.each(b[2], st.stage, func(i int, _, _ float64, _, k complex128) {
		st.u[i] = st.acc[i] + scale(d/6, k)
	})
	st.steps++
	return nil
}

// each evaluates the advective rate at q and calls f for every mode, with the factors of the half steps, u and the rate.
func (st *state) each(b *drift, q []complex128, f func(i int, e1, e2 float64, u, k complex128)) {
	k2, width := st.s.k[1], st.s.column()
	st.s.advect(q, b, func(k1 int, rate []complex128) {
		e1, e2 := st.decay[0][0][k1], st.decay[1][0][k1]
		for j, k := range rate {
			i, m := k1*width+j, j-k2
			if m < 0 {
				m = -m
			}
			f(i, e1*st.decay[0][1][m], e2*st.decay[1][1][m], st.u[i], k)
		}
	})
}

func scale(f float64, z complex128) complex128 { return complex(f*real(z), f*imag(z)) }

// tail is the root-mean-square of the density's outer modes, over the highest fifth in either dimension, relative to that
// of the density: what the grid is about to lose.
func (st *state) tail() float64 {
	var all, outer float64
	s := st.s
	for k1 := 0; k1 <= s.k[0]; k1++ {
		double := 2.0 // column −k₁
		if k1 == 0 {
			double = 1
		}
		for j, v := range st.u[k1*s.column() : (k1+1)*s.column()] {
			p := double * (real(v)*real(v) + imag(v)*imag(v))
			all += p
			k2 := j - s.k[1]
			if 5*k1 > 4*s.k[0] || 5*max(k2, -k2) > 4*s.k[1] && s.k[1] > 0 {
				outer += p
			}
		}
	}
	return math.Sqrt(outer / all)
}

// rate bounds the advective eigenvalues on a table: max over the grid of π Σ_i |b_i| k_i.
func (st *state) rate(f *frame, lambda float64, tab table) float64 {
	b, s := f.drift(f.at(lambda), st.h, tab), st.s
	n1 := s.n[0]
	best := make([]float64, s.pool.workers)
	s.pool.run(s.n[1], max(1, 4096/n1), func(w, lo, hi int) {
		top := best[w]
		for j := lo; j < hi; j++ {
			e2 := b.e[1] * s.y[1][j]
			for i, z := range tab[j*n1 : (j+1)*n1] {
				r := float64(s.k[0])*math.Abs(b.c[0]*real(z)+b.e[0]*s.y[0][i]) + float64(s.k[1])*math.Abs(b.c[1]*imag(z)+e2)
				top = max(top, r)
			}
		}
		best[w] = top
	})
	m := 0.0
	for _, v := range best {
		m = max(m, v)
	}
	return math.Pi * m
}
