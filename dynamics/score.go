package dynamics

// derivatives are those of a log density by the matrices of a state space.
type derivatives struct {
	a, q []float64 // d×d; q symmetric
	r    []float64 // p×p, symmetric
	o    []float64 // p, of the offset
}

// visited holds the numbers of one time that the backward pass uses.
type visited struct {
	step      *Propagator // from the time before; nil at the first
	dt        float64
	gain      *gain     // nil where nothing was observed
	at        []int     // observed outputs; nil for all
	w         []float64 // S⁻¹ν
	mean, cov []float64 // before the step, after the update there
}

// score is the log density of the data and its derivatives, by the filter and a backward pass. Each time costs a few times as much
// as in the filter before it is steady. The model has continuous time, a fixed C and no drift.
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
		trail, err := f.recordPass(&data.Records[k])
		if err != nil {
			return 0, nil, err
		}
		back.run(trail)
	}
	back.flush()
	return f.total.LogLik, out, nil
}

// recordPass filters a record and keeps what the backward pass uses.
func (f *filter) recordPass(r *Record) ([]visited, error) {
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
		solveUpper(g.l, v.w)
		f.joseph(&g)
		v.gain = &g
	}
	if !finite(f.total.LogLik) {
		return nil, errOverflow
	}
	return trail, nil
}

// adjoint is the backward pass through a filtered record.
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

	// The derivatives by F and P of a step that occurs many times are summed before they are passed on.
	pendingStep *Propagator
	gatheredDt  float64
	f, p        []float64
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

// logDetGradient is S⁻¹ − wwᵀ: minus twice the derivative of the log density by the innovation's covariance S.
func (v *visited) logDetGradient() []float64 {
	q, l := v.gain.q, v.gain.l
	s := make([]float64, q*q)
	for i := range q {
		e := s[i*q : (i+1)*q]
		e[i] = 1
		solveLower(l, e)
		solveUpper(l, e)
		for j := range q {
			e[j] -= v.w[i] * v.w[j]
		}
	}
	return s
}

// update is the backward pass through an update.
func (b *adjoint) update(v *visited) {
	d, g := b.d, v.gain
	q := g.q
	s := v.logDetGradient()
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

// predict is the backward pass through a step.
func (b *adjoint) predict(v *visited) {
	d := b.d
	step := v.step
	once := step == nil
	if once {
		step = b.work.propagator(v.dt)
	}
	if b.pendingStep != nil && (once || step != b.pendingStep) {
		b.flush()
	}
	if b.pendingStep == nil {
		b.pendingStep, b.gatheredDt = step, v.dt
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

// flush turns the summed derivatives by F and P of pendingStep into derivatives by A and Q.
func (b *adjoint) flush() {
	if b.pendingStep == nil {
		return
	}
	b.work.back(b.gatheredDt, b.f, b.p, b.out)
	clear(b.f)
	clear(b.p)
	b.pendingStep = nil
}

func transpose(dst, a []float64, n int) {
	for i := range n {
		for j := range n {
			dst[j*n+i] = a[i*n+j]
		}
	}
}
