package infer

import (
	"context"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// VJP32 writes n(x, τ) to dst (n×D, may be nil) and (∂n/∂x)ᵀ u to vj (n×D).
func (e *Engine) VJP32(ctx context.Context, dst, vj, x, u []float32, tau []float64) error {
	return adjoint(ctx, e, e.net32, &kernels.Adjoint[float32]{X: x, CovS: u, Grad: vj, S: dst}, tau)
}

// VJP64 is VJP32 in float64.
func (e *Engine) VJP64(ctx context.Context, dst, vj, x, u, tau []float64) error {
	return adjoint(ctx, e, e.net64(), &kernels.Adjoint[float64]{X: x, CovS: u, Grad: vj, S: dst}, tau)
}

// Adjoint32 computes q. tau holds n times, or one for all samples.
func (e *Engine) Adjoint32(ctx context.Context, q *kernels.Adjoint[float32], tau []float64) error {
	return adjoint(ctx, e, e.net32, q, tau)
}

// Adjoint64 computes q. tau holds n times, or one for all samples.
func (e *Engine) Adjoint64(ctx context.Context, q *kernels.Adjoint[float64], tau []float64) error {
	return adjoint(ctx, e, e.net64(), q, tau)
}

func adjoint[F simd.Float](ctx context.Context, e *Engine, n *net[F], q *kernels.Adjoint[F], tau []float64) error {
	samples, err := batch(n.d, len(q.X), tau)
	if err != nil {
		return err
	}
	if err := q.Validate(); err != nil {
		return err
	}
	g := q.Rows()
	size, common := e.split(n.rows/2, samples, g), n.shared(tau)
	get := func() *tape[F] { return n.getTape(q, size) }
	return tiles(ctx, e.workers, samples, size, get, n.putTape, func(t *tape[F], lo, hi int) error {
		t.m = hi - lo
		t.forward(lo, n.tileTimes(t.w, common, tau, lo, hi))
		t.results(lo)
		if q.Grad != nil {
			t.backward(lo)
		}
		return nil
	})
}

// tape holds what the forward pass of a tile leaves for the backward pass.
type tape[F simd.Float] struct {
	n *net[F]
	q *kernels.Adjoint[F]
	w *work[F]
	g int // rows of a sample: the coefficients of 1, τ, ε, τε (see kernels.Adjoint)

	size int // samples it has room for
	m    int // samples in the tile

	layers []layer[F] // all, the head too
	in     []F        // rows of the coordinates
	z      [][]F      // before the activation, of each layer
	f      [][]F      // f, f', f''/2, f'''/6 at the values of z, of each layer, planes of m×ld
	y      [][]F      // the rows of each buffer
	adj    [][]F      // their adjoints
	seen   []bool     // which of adj have been written
}

// getTape returns a tape for tiles of size samples, from the pool or new.
func (n *net[F]) getTape(q *kernels.Adjoint[F], size int) *tape[F] {
	g := q.Rows()
	t, _ := n.tapes[g].Get().(*tape[F])
	if t == nil || t.size < size {
		t = n.newTape(g, size)
	}
	t.q, t.w = q, n.get(0)
	return t
}

func (n *net[F]) putTape(t *tape[F]) {
	n.pool.Put(t.w)
	t.q, t.w = nil, nil
	n.tapes[t.g].Put(t)
}

func (n *net[F]) newTape(g, size int) *tape[F] {
	t := &tape[F]{n: n, g: g, size: size, layers: n.layers}
	if n.head != nil {
		t.layers = n.layers[:len(n.layers)+1]
	}
	t.in = aligned[F](size * g * n.d)
	t.y, t.adj, t.seen = make([][]F, len(n.ld)), make([][]F, len(n.ld)), make([]bool, len(n.ld))
	t.adj[0] = aligned[F](size * n.coordLD())
	for _, l := range t.layers {
		rows := size * g * n.ld[l.dst]
		t.y[l.dst], t.adj[l.dst] = aligned[F](rows), aligned[F](rows)
		t.z = append(t.z, aligned[F](rows))
		t.f = append(t.f, aligned[F](4*size*n.ld[l.dst]))
	}
	return t
}

// fillRows writes the tile's rows of the coefficients to dst, stride ld.
func (t *tape[F]) fillRows(dst []F, ld, lo int, coef ...[]F) {
	d := t.n.d
	for i := range t.m {
		for c := range t.g {
			row := dst[(i*t.g+c)*ld:][:ld]
			clear(row)
			if coef[c] != nil {
				copy(row, coef[c][(lo+i)*d:(lo+i+1)*d])
			}
		}
	}
}

func (t *tape[F]) forward(lo int, tm times[F]) {
	n, g := t.n, t.g
	t.fillRows(t.in, n.d, lo, t.q.X, t.q.V, t.q.W, nil)
	for i := range t.layers {
		l := &t.layers[i]
		z, ld := t.z[i], n.ld[l.dst]
		p := n.product(t.w, l)
		p.C, p.CM, p.M = z, ld, t.m*g
		if l.src == 0 {
			p.A, p.AM = t.in, n.d
		} else {
			p.A, p.AM = t.y[l.src], n.ld[l.src]
		}
		n.prod(p)
		for s := range t.m {
			bias := l.bias
			if l.src == 0 && tm.bias != nil {
				bias = tm.bias[l.timeAt:]
			} else if l.src == 0 {
				bias = t.f[i][:ld]
				n.timePart(t.w, l, bias, ld, tm.of(s, n.tf), 1)
			}
			n.add(z[s*g*ld:(s*g+1)*ld], bias)
		}
		t.activate(i)
		y := t.y[l.dst]
		switch {
		case l.add > 0:
			n.add(y[:t.m*g*ld], t.y[l.add])
		case l.add == 0:
			for r := range t.m * g {
				row := y[r*ld:]
				for j, v := range t.in[r*n.d:][:n.d] {
					row[j] += v
				}
				if r%g == 0 {
					for j, v := range tm.of(r/g, n.tf) {
						row[n.d+j] += v
					}
				}
			}
		}
	}
}

// activate writes y = f(z) in the algebra, and the derivatives of f at the values:
//
//	y₀ = f(z₀)   y₁ = f' z₁   y₂ = f' z₂   y₃ = f'' z₁ z₂ + f' z₃
func (t *tape[F]) activate(i int) {
	n, l, g := t.n, &t.layers[i], t.g
	ld := n.ld[l.dst]
	z, y := t.z[i], t.y[l.dst]
	if l.act == simd.Identity {
		copy(y[:t.m*g*ld], z)
		return
	}
	f0, f1, f2, _ := t.derivatives(i)
	order := 1 + g/2
	for s := range t.m {
		copy(f0[s*ld:(s+1)*ld], z[s*g*ld:])
	}
	for j := range f1 {
		f1[j] = 1
	}
	plane := t.m * ld
	clear(t.f[i][2*plane : (order+1)*plane])
	n.jet(l.act, t.f[i], plane, plane, 1, order)
	for s := range t.m {
		r := func(rows []F, c int) []F { return rows[(s*g+c)*ld:][:ld] }
		d0, d1, d2 := f0[s*ld:][:ld], f1[s*ld:][:ld], f2[s*ld:][:ld]
		copy(r(y, 0), d0)
		for c := 1; c < min(g, 3); c++ {
			yc, zc := r(y, c), r(z, c)
			for j, d := range d1 {
				yc[j] = d * zc[j]
			}
		}
		if g == 4 {
			y3, z1, z2, z3 := r(y, 3), r(z, 1), r(z, 2), r(z, 3)
			for j, d := range d1 {
				y3[j] = 2*d2[j]*z1[j]*z2[j] + d*z3[j]
			}
		}
	}
}

// derivatives returns the planes f, f′, f″/2 and f‴/6 of layer i.
func (t *tape[F]) derivatives(i int) (f0, f1, f2, f3 []F) {
	f, p := t.f[i], t.m*t.n.ld[t.layers[i].dst]
	return f[:p], f[p : 2*p], f[2*p : 3*p], f[3*p : 4*p]
}

// results copies the outputs of the forward pass.
func (t *tape[F]) results(lo int) {
	d, ld := t.n.d, t.n.ld[t.n.output]
	for c, dst := range [4][]F{t.q.S, t.q.SV, t.q.SW, t.q.SVW} {
		if dst == nil {
			continue
		}
		for i := range t.m {
			copy(dst[(lo+i)*d:(lo+i+1)*d], t.y[t.n.output][(i*t.g+c)*ld:])
		}
	}
}

// backward starts from the covectors at the output and writes the adjoint of the input's values to Grad.
func (t *tape[F]) backward(lo int) {
	n, g := t.n, t.g
	clear(t.seen)
	t.fillRows(t.adj[n.output], n.ld[n.output], lo, t.q.CovS, t.q.CovSV, t.q.CovSW, t.q.CovSVW)
	t.seen[n.output] = true
	backs := n.backs()
	for i := len(t.layers) - 1; i >= 0; i-- {
		l := &t.layers[i]
		if !t.seen[l.dst] {
			continue
		}
		ld, a := n.ld[l.dst], t.adj[l.dst]
		if l.add >= 0 {
			t.addAdjoint(l)
		}
		t.reverse(i)
		p := n.product(t.w, l)
		p.A, p.AM, p.K = a, ld, l.out
		p.B, p.BP, p.NP = backs[i], l.out*n.panel, (l.in+n.panel-1)/n.panel
		p.C, p.CM, p.M = t.adj[l.src], n.ld[l.src], t.m*g
		if l.src == 0 { // only the values depend on x
			p.CM, p.M, p.AM = p.NP*n.panel, t.m, g*ld
		}
		p.Accumulate = t.seen[l.src]
		n.prod(p)
		t.seen[l.src] = true
	}
	ld := n.coordLD()
	for i := range t.m {
		copy(t.q.Grad[(lo+i)*n.d:(lo+i+1)*n.d], t.adj[0][i*ld:])
	}
}

// addAdjoint adds the adjoint of l's result to that of the buffer that l adds (the residual connection).
func (t *tape[F]) addAdjoint(l *layer[F]) {
	n, ld, a, b := t.n, t.n.ld[l.dst], t.adj[l.dst], t.adj[l.add]
	switch {
	case l.add > 0 && t.seen[l.add]:
		n.add(b[:t.m*t.g*ld], a)
	case l.add > 0:
		copy(b, a[:t.m*t.g*ld])
	default:
		to := n.coordLD()
		for i := range t.m {
			row := b[i*to:][:n.d]
			if !t.seen[0] {
				clear(b[i*to:][:to])
			}
			for j, v := range a[i*t.g*ld:][:n.d] {
				row[j] += v
			}
		}
	}
	t.seen[l.add] = true
}

// reverse turns the adjoint Y of layer i's result into that of z, in place:
//
//	Z₃ = f' Y₃    Z₂ = f' Y₂ + f'' z₁ Y₃    Z₁ = f' Y₁ + f'' z₂ Y₃
//	Z₀ = f' Y₀ + f'' (z₁ Y₁ + z₂ Y₂ + z₃ Y₃) + f''' z₁ z₂ Y₃
func (t *tape[F]) reverse(i int) {
	l, g := &t.layers[i], t.g
	if l.act == simd.Identity {
		return
	}
	ld := t.n.ld[l.dst]
	_, f1, f2, f3 := t.derivatives(i)
	for s := range t.m {
		a := t.adj[l.dst][s*g*ld : (s+1)*g*ld]
		z := t.z[i][s*g*ld : (s+1)*g*ld]
		d1, d2, d3 := f1[s*ld:][:ld], f2[s*ld:][:ld], f3[s*ld:][:ld]
		switch g {
		case 1:
			for j := range a {
				a[j] *= d1[j]
			}
		case 2:
			y0, y1, z1 := a[:ld], a[ld:][:ld], z[ld:][:ld]
			for j, d := range d1 {
				y0[j] = d*y0[j] + 2*d2[j]*z1[j]*y1[j]
				y1[j] *= d
			}
		case 4:
			y0, y1, y2, y3 := a[:ld], a[ld:][:ld], a[2*ld:][:ld], a[3*ld:][:ld]
			z1, z2, z3 := z[ld:][:ld], z[2*ld:][:ld], z[3*ld:][:ld]
			for j, d := range d1 {
				h, p := 2*d2[j], z1[j]*z2[j]
				u1, u2, u3 := y1[j], y2[j], y3[j]
				y0[j] = d*y0[j] + h*(z1[j]*u1+z2[j]*u2+z3[j]*u3) + 6*d3[j]*p*u3
				y1[j] = d*u1 + h*z2[j]*u3
				y2[j] = d*u2 + h*z1[j]*u3
				y3[j] = d * u3
			}
		}
	}
}
