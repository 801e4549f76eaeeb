package exact

import (
	"context"

	"hbar/kernels"
	"hbar/kernels/jet"
)

// Derivatives of log Σ w_k N: about x, in a displacement δ,
//
//	log p(x+δ) = log p + b̄·δ − Σ_i c̄_i δ_i²/2 + log Σ_k r_k exp( (b_k − b̄)·δ − Σ_i (1/v_ki − c̄_i) δ_i²/2 )
//
// with b̄ = Σ r_k b_k and c̄ = Σ r_k/v_k; what is left in the logarithm has no linear term in the mean.

// multilinear is s(x + Σ ε_j d_j) for up to three directions d_j and nilpotent ε_j (ε_j² = 0): the coefficient of
// Π_{j∈S} ε_j, at the index with bits S, is the mixed derivative of s along the directions in S.
type multilinear struct {
	dirs int
	p    [8]float64   // Σ r_k exp(…)
	n    [][8]float64 // D: Σ r_k ∂_i (…) exp(…)
	d    [3][]float64 // the directions
	in   [8]float64   // scratch: the exponent of a component
	e    [8]float64   // scratch: its exponential
}

// expand computes n, the derivatives of ∇ log p at the posterior along the directions of l. A nil direction is zero.
func (l *multilinear) expand(p *posterior, dirs ...[]float64) {
	d := p.m.d
	if l.n == nil {
		l.n = make([][8]float64, d)
	}
	l.dirs = len(dirs)
	copy(l.d[:], dirs)
	size := 1 << l.dirs
	l.p = [8]float64{}
	clear(l.n)
	for k, r := range p.r {
		if r == 0 {
			continue
		}
		b, c := p.b[k*d:(k+1)*d], p.c[k*d:(k+1)*d]
		l.in = [8]float64{}
		for j := range l.dirs {
			for i := range b {
				l.in[1<<j] += b[i] * at(l.d[j], i)
				for h := range j {
					l.in[1<<j|1<<h] -= c[i] * at(l.d[j], i) * at(l.d[h], i)
				}
			}
		}
		// exp: the sum over T ⊂ S with S's lowest bit of in[T] e[S−T].
		l.e[0] = 1
		for s := 1; s < size; s++ {
			l.e[s] = 0
			for t := s; t > 0; t = (t - 1) & s {
				if t&(s&-s) != 0 {
					l.e[s] += l.in[t] * l.e[s&^t]
				}
			}
		}
		for s := range size {
			l.p[s] += r * l.e[s]
			for i := range b {
				l.n[i][s] += r * b[i] * l.e[s]
				for j := range l.dirs {
					if s&(1<<j) != 0 {
						l.n[i][s] -= r * c[i] * at(l.d[j], i) * l.e[s&^(1<<j)]
					}
				}
			}
		}
	}
	for i := range l.n {
		q := &l.n[i]
		for s := 1; s < size; s++ {
			for t := s; t > 0; t = (t - 1) & s {
				q[s] -= l.p[t] * q[s&^t]
			}
		}
		q[0] += p.mean[i]
		for j := range l.dirs {
			q[1<<j] -= p.inv[i] * at(l.d[j], i)
		}
	}
}

func at(v []float64, i int) float64 {
	if v == nil {
		return 0
	}
	return v[i]
}

// add adds c times the derivative of index s to dst, and put writes it, unless dst is nil.
func (l *multilinear) add(dst []float64, c float64, s int) {
	for i := range dst {
		dst[i] += c * l.n[i][s]
	}
}

func (l *multilinear) put(dst []float64, c float64, s int) {
	clear(dst)
	l.add(dst, c, s)
}

// part is row i of an n×d matrix, nil of a nil one.
func part(a []float64, i, d int) []float64 {
	if a == nil {
		return nil
	}
	return a[i*d : (i+1)*d]
}

// ScoreJVP implements solver.JVPer.
func (m *Mixture) ScoreJVP(ctx context.Context, s, jv, x, v []float64, k int, t []float64) error {
	var l multilinear
	return m.rows(ctx, x, t, func(i int, p *posterior) {
		for j := range k {
			l.expand(p, part(v, i*k+j, m.d))
			l.put(part(jv, i*k+j, m.d), 1+m.Epsilon, 1)
		}
		for j, b := range p.mean {
			s[i*m.d+j] = (1 + m.Epsilon) * b
		}
	})
}

// ScoreVJP implements solver.VJPer; ∂s/∂x is symmetric.
func (m *Mixture) ScoreVJP(ctx context.Context, s, vj, x, u, t []float64) error {
	return m.ScoreAdjoint(ctx, &kernels.Adjoint[float64]{X: x, CovS: u, Grad: vj, S: s}, t)
}

// ScoreAdjoint implements solver.VJPer; all derivatives are symmetric, so that ∇(b·Ds v) = D²s[b,v] and so on.
func (m *Mixture) ScoreAdjoint(ctx context.Context, q *kernels.Adjoint[float64], t []float64) error {
	var l multilinear
	d, scale := m.d, 1+m.Epsilon
	return m.rows(ctx, q.X, t, func(i int, p *posterior) {
		v, w := part(q.V, i, d), part(q.W, i, d)
		l.expand(p, v, w, part(q.CovSVW, i, d))
		l.put(part(q.S, i, d), scale, 0)
		l.put(part(q.SV, i, d), scale, 1)
		l.put(part(q.SW, i, d), scale, 2)
		l.put(part(q.SVW, i, d), scale, 3)
		g := part(q.Grad, i, d)
		l.put(g, scale, 7)
		if q.CovS != nil {
			l.expand(p, part(q.CovS, i, d))
			l.add(g, scale, 1)
		}
		if q.CovSV != nil {
			l.expand(p, part(q.CovSV, i, d), v)
			l.add(g, scale, 3)
		}
		if q.CovSW != nil {
			l.expand(p, part(q.CovSW, i, d), w)
			l.add(g, scale, 3)
		}
	})
}

// ScoreJets implements solver.Jetter for any order.
func (m *Mixture) ScoreJets(ctx context.Context, dst, x, t []float64, order int) error {
	d := m.d
	alg := jet.For(d, order+1)
	size, out := alg.Size(order+1), alg.Size(order)
	sum, logs := make([]float64, size), make([]float64, size)
	pow := make([]float64, d*(order+2)) // the series of exp(bδ − cδ²/2) in each variable
	return m.rows(ctx, x, t, func(row int, p *posterior) {
		clear(sum)
		for k, r := range p.r {
			if r == 0 {
				continue
			}
			for i := range d {
				h := pow[i*(order+2) : (i+1)*(order+2)]
				b, c := p.b[k*d+i], p.c[k*d+i]
				h[0] = 1
				for n := 1; n < len(h); n++ {
					h[n] = b * h[n-1]
					if n > 1 {
						h[n] -= c * h[n-2]
					}
					h[n] /= float64(n)
				}
			}
			for a, alpha := range alg.Index {
				term := r
				for i, n := range alpha {
					term *= pow[i*(order+2)+n]
				}
				sum[a] += term
			}
		}
		alg.Log(logs, sum, p.logP, order+1)
		for i := range d {
			coeffs := dst[(row*d+i)*out : (row*d+i+1)*out]
			alg.Deriv(coeffs, logs, i, order)
			coeffs[0] += p.mean[i]
			if order > 0 {
				coeffs[1+i] -= p.inv[i]
			}
			for a := range coeffs {
				coeffs[a] *= 1 + m.Epsilon
			}
		}
	})
}
