package dynamics

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

// gradientA turns derivatives by A into derivatives by its parameters.
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
