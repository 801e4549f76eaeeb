package dynamics

import (
	"math"
)

// derivatives are those of a log density by the matrices of a state space.
type derivatives struct {
	a, q []float64 // d×d; q symmetric
	r    []float64 // p×p, symmetric
	o    []float64 // p, of the offset
}

// visited is what the way back needs of one time.
type visited struct {
	step      *Propagator // from the time before; nil at the first
	dt        float64
	gain      *gain     // nil where nothing was observed
	at        []int     // observed outputs; nil for all
	w         []float64 // S⁻¹ν
	mean, cov []float64 // before the step, after the update there
}

// score is the log density of the data and its derivatives, by the filter and back through it. A time costs a few times
// what it costs the filter before it is steady. The model has continuous time, a fixed C and no drift.
//
// With w = S⁻¹ν and L = 1 − KC an update has dm⁺ = L dm − K do + L dP Cᵀw − K dR w and dP⁺ = L dP Lᵀ + K dR Kᵀ, from which
// the adjoints follow.
func (m *StateSpace) score(data *Data) (float64, *derivatives, error) {
	f := newFilter(m)
	d, p := f.d, f.p
	out := &derivatives{a: make([]float64, d*d), q: make([]float64, d*d), r: make([]float64, p*p), o: make([]float64, p)}
	back := newAdjoint(m)
	back.out = out
	for k := range data.Records {
		trail, err := f.trail(&data.Records[k])
		if err != nil {
			return 0, nil, err
		}
		back.run(trail)
	}
	back.flush()
	return f.total.LogLik, out, nil
}

// trail filters a record and keeps the way.
func (f *filter) trail(r *Record) ([]visited, error) {
	d := f.d
	copy(f.mean, f.m.M0)
	copy(f.cov, flat(f.m.P0))
	f.steady, f.lastValid, f.keeping = false, false, true
	trail := make([]visited, r.Len())
	for i := range trail {
		v := &trail[i]
		if i > 0 {
			v.mean, v.cov = append([]float64(nil), f.mean...), append([]float64(nil), f.cov...)
			v.dt = r.Times[i] - r.Times[i-1]
			var err error
			if v.step, err = f.steps.between(r.Times[i-1], r.Times[i]); err != nil {
				return nil, err
			}
			f.predict(v.step)
			if v.step == f.steps.scratch {
				v.step = nil // is computed again
			}
		}
		y := r.Row(i, f.p)
		seen := 0
		for _, x := range y {
			if x == x {
				seen++
			}
		}
		if seen == 0 {
			continue
		}
		g, offset := newGain(f.all.c, f.all.r, d), f.m.Offset
		if seen < f.p {
			var part []float64
			g, part = f.partial(y, seen)
			for j, x := range y {
				if x == x {
					v.at = append(v.at, j)
				}
			}
			y, offset = part, nil
		}
		if err := f.prepare(&g); err != nil {
			return nil, err
		}
		f.correct(&g, y, offset) // leaves L⁻¹ν
		v.w = append([]float64(nil), g.nu...)
		for a := g.q - 1; a >= 0; a-- {
			for b := a + 1; b < g.q; b++ {
				v.w[a] -= g.l[b*g.q+a] * v.w[b]
			}
			v.w[a] /= g.l[a*g.q+a]
		}
		f.joseph(&g)
		v.gain = &g
	}
	if !finite(f.total.LogLik) {
		return nil, errOverflow
	}
	return trail, nil
}

// adjoint goes back through a trail.
type adjoint struct {
	m    *StateSpace
	d    int
	out  *derivatives
	mean []float64 // derivatives by the state's mean and covariance
	cov  []float64
	x    []float64
	m1   []float64
	m2   []float64
	m3   []float64
	work *stepAdjoint

	// The derivatives by F and P of a step that comes again and again are gathered.
	gathered   *Propagator
	gatheredDt float64
	f, p       []float64
}

func newAdjoint(m *StateSpace) *adjoint {
	d := m.Dim()
	n := func() []float64 { return make([]float64, d*d) }
	return &adjoint{m: m, d: d, mean: make([]float64, d), x: make([]float64, d), cov: n(), m1: n(), m2: n(), m3: n(), f: n(), p: n(), work: newStepAdjoint(m.System)}
}

func (b *adjoint) run(trail []visited) {
	clear(b.mean)
	clear(b.cov)
	for i := len(trail) - 1; i >= 0; i-- {
		v := &trail[i]
		if v.gain != nil {
			b.update(v)
		}
		if i > 0 {
			b.predict(v)
		}
	}
}

// update goes back through an update.
func (b *adjoint) update(v *visited) {
	d, g := b.d, v.gain
	q := g.q
	// S⁻¹ − wwᵀ
	s := make([]float64, q*q)
	for i := range q {
		e := make([]float64, q)
		e[i] = 1
		solveLower(g.l, e)
		for a := q - 1; a >= 0; a-- {
			for c := a + 1; c < q; c++ {
				e[a] -= g.l[c*q+a] * e[c]
			}
			e[a] /= g.l[a*q+a]
		}
		for j := range q {
			s[i*q+j] = e[j] - v.w[i]*v.w[j]
		}
	}
	out := func(i int) int {
		if v.at != nil {
			return v.at[i]
		}
		return i
	}
	// by R and the offset
	pk := make([]float64, d*q)
	multiply(pk, b.cov, g.k, d, d, q)
	km := make([]float64, q)
	for k := range d {
		for i := range q {
			km[i] += g.k[k*q+i] * b.mean[k]
		}
	}
	p := len(b.out.o)
	for i := range q {
		b.out.o[out(i)] += v.w[i] - km[i]
		for j := range q {
			r := -0.5*s[i*q+j] - (km[i]*v.w[j]+km[j]*v.w[i])/2
			for k := range d {
				r += g.k[k*q+i] * pk[k*q+j]
			}
			b.out.r[out(i)*p+out(j)] += r
		}
	}
	// by what was predicted: L = 1 − KC in m1
	multiply(b.m1, g.k, g.c, d, q, d)
	for i := range b.m1 {
		b.m1[i] = -b.m1[i]
	}
	cw := make([]float64, d)
	for i := range d {
		b.m1[i*d+i]++
		for k := range q {
			cw[i] += g.c[k*d+i] * v.w[k]
		}
	}
	for i := range d {
		t := 0.0
		for k := range d {
			t += b.m1[k*d+i] * b.mean[k]
		}
		b.x[i] = t
	}
	multiply(b.m2, b.cov, b.m1, d, d, d)
	transpose(b.m3, b.m1, d)
	multiply(b.cov, b.m3, b.m2, d, d, d)
	sc := make([]float64, q*d)
	multiply(sc, s, g.c, q, q, d)
	for i := range d {
		for j := range d {
			t := (b.x[i]*cw[j] + b.x[j]*cw[i]) / 2
			for k := range q {
				t -= 0.5 * g.c[k*d+i] * sc[k*d+j]
			}
			b.cov[i*d+j] += t
		}
	}
	for i := range d {
		b.mean[i] = b.x[i] + cw[i]
	}
}

// predict goes back through a step.
func (b *adjoint) predict(v *visited) {
	d := b.d
	step := v.step
	once := step == nil
	if once {
		step = b.work.propagator(v.dt)
	}
	if b.gathered != nil && (once || step != b.gathered) {
		b.flush()
	}
	if b.gathered == nil {
		b.gathered, b.gatheredDt = step, v.dt
	}
	f := step.F.RawMatrix().Data
	// F̄ += m̄ mᵀ + 2 P̄ F P
	multiply(b.m1, b.cov, f, d, d, d)
	multiply(b.m2, b.m1, v.cov, d, d, d)
	for i := range d {
		for j := range d {
			b.f[i*d+j] += b.mean[i]*v.mean[j] + 2*b.m2[i*d+j]
			b.p[i*d+j] += b.cov[i*d+j]
		}
	}
	for i := range d {
		t := 0.0
		for k := range d {
			t += f[k*d+i] * b.mean[k]
		}
		b.x[i] = t
	}
	copy(b.mean, b.x)
	transpose(b.m2, f, d)
	multiply(b.cov, b.m2, b.m1, d, d, d)
	if once {
		b.flush()
	}
}

// flush takes the derivatives by F and P of the gathered step to those by A and Q.
func (b *adjoint) flush() {
	if b.gathered == nil {
		return
	}
	b.work.back(b.gatheredDt, b.f, b.p, b.out)
	clear(b.f)
	clear(b.p)
	b.gathered = nil
}

func transpose(dst, a []float64, n int) {
	for i := range n {
		for j := range n {
			dst[j*n+i] = a[i*n+j]
		}
	}
}

// stepAdjoint goes back through the series and the doublings of System.Step.
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
	// forward, kept
	for len(w.f) <= halvings {
		w.f, w.p = append(w.f, make([]float64, d*d)), append(w.p, make([]float64, d*d))
	}
	terms := taylorTerms
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
	// and back
	copy(w.fb, f)
	copy(w.pb, p)
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

// gradient is that of log p by the parameters.
func (q *parameters) gradient(theta []float64, by *derivatives) []float64 {
	na, ng, nr, no := q.counts()
	d, p := q.d, q.p
	g := make([]float64, len(theta))
	q.gradientA(g[:na], theta[:na], by.a)
	gm := q.matrixG(theta[na : na+ng])
	n := na
	for i := range d {
		for j := range p {
			if i >= d-p && j > i-(d-p) {
				continue
			}
			s := 0.0
			for k := range d {
				s += (by.q[i*d+k] + by.q[k*d+i]) * gm.At(k, j)
			}
			g[n] = s
			n++
		}
	}
	for i := range nr {
		g[n+i] = 2 * theta[n+i] * by.r[i*p+i]
	}
	copy(g[n+nr:], by.o[:no])
	return g
}

// gradientA takes derivatives by A to those by its parameters.
func (q *parameters) gradientA(g, theta, a []float64) {
	d, p := q.d, q.p
	if q.kind == Free {
		copy(g, a[(d-p)*d:])
		return
	}
	tri := d * (d - 1) / 2
	full := d * (d + 1) / 2
	lower := func(x []float64) []float64 {
		l := make([]float64, d*d)
		for i := range d {
			for k := range i + 1 {
				l[i*d+k] = x[0]
				x = x[1:]
			}
		}
		return l
	}
	square := func(l []float64) []float64 {
		out := make([]float64, d*d)
		multiplyT(out, l, l, d, d, d)
		return out
	}
	lh := lower(theta[tri : tri+full])
	h := square(lh)
	m := make([]float64, d*d) // J − R
	n := 0
	for i := range d {
		for k := range i {
			m[i*d+k], m[k*d+i] = theta[n], -theta[n]
			n++
		}
	}
	var lr []float64
	if q.kind == Dissipative {
		lr = lower(theta[tri+full:])
		addScaled(m, -1, square(lr))
	}
	mb, hb, mt := make([]float64, d*d), make([]float64, d*d), make([]float64, d*d)
	multiply(mb, a, h, d, d, d)
	transpose(mt, m, d)
	multiply(hb, mt, a, d, d, d)
	n = 0
	for i := range d {
		for k := range i {
			g[n] = mb[i*d+k] - mb[k*d+i]
			n++
		}
	}
	root := func(by, l []float64, sign float64) {
		for i := range d {
			for k := range i + 1 {
				s := 0.0
				for j := range d {
					s += (by[i*d+j] + by[j*d+i]) * l[j*d+k]
				}
				g[n] = sign * s
				n++
			}
		}
	}
	root(hb, lh, 1)
	if q.kind == Dissipative {
		root(mb, lr, -1)
	}
}
