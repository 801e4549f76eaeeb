package dynamics

import "math"

// stepAdjoint is the backward pass through the series and the doublings of System.Step.
type stepAdjoint struct {
	s      *System
	d      int
	a, at  []float64
	f, p   [][]float64 // before each doubling, and after the last
	t, u   [][]float64 // the terms of the series
	m1, m2 []float64
	fb, pb []float64
	tb, ub []float64
	out    *Propagator
	norm   float64
}

func newStepAdjoint(s *System) *stepAdjoint {
	d := s.Dim()
	n := func() []float64 { return make([]float64, d*d) }
	w := &stepAdjoint{s: s, d: d, a: flat(s.A), at: n(), m1: n(), m2: n(), fb: n(), pb: n(), tb: n(), ub: n()}
	transpose(w.at, w.a, d)
	for range taylorTerms {
		w.t, w.u = append(w.t, n()), append(w.u, n())
	}
	return w
}

func (w *stepAdjoint) propagator(dt float64) *Propagator {
	if w.out == nil {
		w.out = w.s.Step(dt)
		return w.out
	}
	w.s.series.into(w.out, dt, make([]float64, 2*w.d*w.d+w.d))
	return w.out
}

// back adds to out the derivatives by A and Q of what has derivatives f and p by F and P of a step.
func (w *stepAdjoint) back(dt float64, f, p []float64, out *derivatives) {
	d := w.d
	if w.norm == 0 {
		for j := range d {
			sum := 0.0
			for i := range d {
				sum += math.Abs(w.a[i*d+j])
			}
			w.norm = math.Max(w.norm, sum)
		}
	}
	halvings := 0
	x := w.norm * dt
	if x > 0.5 {
		_, halvings = math.Frexp(2 * x)
		x = math.Ldexp(x, -halvings)
	}
	h := math.Ldexp(dt, -halvings)
	terms := w.forward(h, x, halvings)
	copy(w.fb, f)
	copy(w.pb, p)
	w.backDoublings(halvings)
	w.backSeries(h, terms, out)
}

// forward computes and keeps the terms of the series, and the propagators before and after each doubling.
func (w *stepAdjoint) forward(h, x float64, halvings int) (terms int) {
	d := w.d
	for len(w.f) <= halvings {
		w.f, w.p = append(w.f, make([]float64, d*d)), append(w.p, make([]float64, d*d))
	}
	terms = taylorTerms
	clear(w.f[0])
	clear(w.p[0])
	clear(w.t[0])
	for i := range d {
		w.t[0][i*d+i] = 1
	}
	for i, v := range flat(w.s.Q) {
		w.u[0][i] = h * v
	}
	size := 1.0
	for j := range terms {
		if j > 0 {
			multiply(w.t[j], w.a, w.t[j-1], d, d, d)
			multiply(w.m1, w.a, w.u[j-1], d, d, d)
			for a := range d {
				for b := range d {
					w.t[j][a*d+b] *= h / float64(j)
					w.u[j][a*d+b] = h / float64(j+1) * (w.m1[a*d+b] + w.m1[b*d+a])
				}
			}
		}
		addScaled(w.f[0], 1, w.t[j])
		addScaled(w.p[0], 1, w.u[j])
		if size *= 2 * x / float64(j+1); size < 1e-18 {
			terms = j + 1
			break
		}
	}
	for k := range halvings {
		multiply(w.m1, w.f[k], w.p[k], d, d, d)
		multiplyT(w.p[k+1], w.m1, w.f[k], d, d, d)
		addScaled(w.p[k+1], 1, w.p[k])
		multiply(w.f[k+1], w.f[k], w.f[k], d, d, d)
	}
	return terms
}

// backDoublings turns derivatives by the last propagator into derivatives by the series.
func (w *stepAdjoint) backDoublings(halvings int) {
	d := w.d
	for k := halvings - 1; k >= 0; k-- {
		transpose(w.m2, w.f[k], d)
		multiply(w.m1, w.pb, w.f[k], d, d, d)  // P̄ F
		multiply(w.tb, w.m2, w.m1, d, d, d)    // Fᵀ P̄ F
		multiply(w.ub, w.m1, w.p[k], d, d, d)  // P̄ F P
		multiplyT(w.m1, w.fb, w.f[k], d, d, d) // F̄ Fᵀ
		addScaled(w.m1, 2, w.ub)
		multiply(w.ub, w.m2, w.fb, d, d, d) // Fᵀ F̄
		for i := range w.fb {
			w.fb[i] = w.m1[i] + w.ub[i]
			w.pb[i] += w.tb[i]
		}
	}
}

// backSeries turns these into derivatives by A and Q.
func (w *stepAdjoint) backSeries(h float64, terms int, out *derivatives) {
	d := w.d
	copy(w.tb, w.fb)
	copy(w.ub, w.pb)
	for j := terms - 1; j >= 1; j-- {
		c := h / float64(j)
		multiplyT(w.m1, w.tb, w.t[j-1], d, d, d)
		addScaled(out.a, c, w.m1)
		multiply(w.m1, w.at, w.tb, d, d, d)
		c2 := h / float64(j+1)
		multiply(w.m2, w.ub, w.u[j-1], d, d, d)
		addScaled(out.a, 2*c2, w.m2)
		multiply(w.m2, w.at, w.ub, d, d, d)
		for a := range d {
			for b := range d {
				w.tb[a*d+b] = w.fb[a*d+b] + c*w.m1[a*d+b]
			}
		}
		for a := range d {
			for b := range a + 1 {
				s := c2 * (w.m2[a*d+b] + w.m2[b*d+a])
				w.ub[a*d+b], w.ub[b*d+a] = w.pb[a*d+b]+s, w.pb[b*d+a]+s
			}
		}
	}
	addScaled(out.q, h, w.ub)
}
