package infer

import (
	"context"
	"fmt"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// Jets64 expands n(x + δ, τ) in the displacement δ: it writes the coefficients ∂^α n_i/α! for |α| ≤ order to dst, an
// n×D×NJet(D, order) array with α in the order of simd.JetIndex. tau holds n times, or one for all samples.
//
// A dense layer acts on each coefficient, an activation composes with its own expansion: NJet forward passes.
func (e *Engine) Jets64(ctx context.Context, dst, x, tau []float64, order int) error {
	return jets(ctx, e, e.net64(), dst, x, tau, order)
}

// Jets32 is Jets64 in float32.
func (e *Engine) Jets32(ctx context.Context, dst, x []float32, tau []float64, order int) error {
	return jets(ctx, e, e.net32, dst, x, tau, order)
}

func jets[F simd.Float](ctx context.Context, e *Engine, n *net[F], dst, x []F, tau []float64, order int) error {
	samples, err := batch(n.d, len(x), tau)
	if err != nil {
		return err
	}
	if order < 0 || order > kernels.MaxJetOrder {
		return fmt.Errorf("infer: Taylor expansion of order %d, want 0 to %d", order, kernels.MaxJetOrder)
	}
	if order == 0 {
		return forward(ctx, e, n, dst, x, tau)
	}
	if n.d > kernels.MaxJetDim {
		return fmt.Errorf("infer: Taylor expansion in D = %d dimensions, want at most %d", n.d, kernels.MaxJetDim)
	}
	nj := simd.NJet(n.d, order)
	if err := length("dst", len(dst), samples*n.d*nj); err != nil {
		return err
	}
	size, common := e.split(n.rows, samples, nj), n.shared(tau)
	return n.tiles(ctx, e, samples, size, size*nj, func(w *work[F], lo, hi int) error {
		t := n.tileTimes(w, common, tau, lo, hi)
		m := hi - lo
		n.evalJets(w, x[lo*n.d:hi*n.d], m, nj, order, t)
		w.out = grow(w.out, m*nj*n.d)
		n.outputs(w, w.out, m*nj, false)
		for i := range m {
			for c := range nj {
				for d, y := range w.out[(i*nj+c)*n.d:][:n.d] {
					if n.head != nil && c == 0 {
						y += n.head.bias[d]
					}
					dst[((lo+i)*n.d+d)*nj+c] = y
				}
			}
		}
		return nil
	})
}

// evalJets takes m samples, nj coefficient rows each, through all the layers but the head.
func (n *net[F]) evalJets(w *work[F], x []F, m, nj, order int, t times[F]) {
	for i := range n.layers {
		l := &n.layers[i]
		c, ld := w.buf[l.dst], n.ld[l.dst]
		if l.src == 0 {
			n.firstJets(w, l, c, x, m, nj, t)
		} else {
			q := n.product(w, l)
			q.C, q.CM, q.M = c, ld, m*nj
			q.A, q.AM = w.buf[l.src], n.ld[l.src]
			n.prod(q)
			for r := 0; r < m*nj; r += nj {
				n.add(c[r*ld:(r+1)*ld], l.bias)
			}
		}
		if l.act != simd.Identity {
			for r := 0; r < m*nj; r += nj {
				n.jet(l.act, c[r*ld:(r+nj)*ld], ld, ld, n.d, order)
			}
		}
		switch {
		case l.add > 0:
			n.add(c[:m*nj*ld], w.buf[l.add])
		case l.add == 0:
			for r := range m {
				row := c[r*nj*ld:]
				for j, v := range x[r*n.d:][:n.d] {
					row[j] += v
					row[(1+j)*ld+j]++
				}
				for j, v := range t.of(r, n.tf) {
					row[n.d+j] += v
				}
			}
		}
	}
}

// firstJets writes the coefficients of layer l on the input: the value, the weights of each coordinate, and zeros.
func (n *net[F]) firstJets(w *work[F], l *layer[F], c, x []F, m, nj int, t times[F]) {
	ld := n.ld[l.dst]
	if t.bias == nil {
		n.timePart(w, l, c, nj*ld, t.feat, m)
	}
	q := n.product(w, l)
	q.C, q.CM, q.M = c, nj*ld, m
	q.A, q.AM = x, n.d
	if t.bias == nil {
		q.Accumulate = true
	} else {
		q.Bias = t.bias[l.timeAt:]
	}
	n.prod(q)
	for r := range m {
		row := c[r*nj*ld : (r+1)*nj*ld]
		copy(row[ld:], l.cols)
		clear(row[(1+n.d)*ld:])
	}
}
