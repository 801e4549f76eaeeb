package infer

import (
	"context"
	"errors"
	"fmt"

	"hbar/kernels/simd"
)

// Tangent writes n(x, τ) to dst (n×D, may be nil) and the directional derivatives (∂n/∂x) v of each sample along its k
// directions v (n×k×D) to jv (n×k×D). With v nil and k = D the directions are the unit vectors: jv[i][j] is column j of
// the Jacobian, ∂n/∂x_j. tau holds n times, or one for all samples.
func (e *Engine) Tangent(ctx context.Context, dst, jv, x, v []float32, k int, tau []float64) error {
	return tangent(ctx, e, e.net32, dst, jv, nil, x, v, k, tau)
}

// Tangent64 is Tangent in float64.
func (e *Engine) Tangent64(ctx context.Context, dst, jv, x, v []float64, k int, tau []float64) error {
	return tangent(ctx, e, e.net64(), dst, jv, nil, x, v, k, tau)
}

// Divergence writes n(x, τ) to dst (n×D, may be nil) and div_i = Σ_k v_k·(∂n/∂x) v_k to div (n): Hutchinson's sum over
// the k probes v (n×k×D), not divided by k, or with v nil and k = D the exact divergence. The sum over k and over the
// coordinates is made in float64.
func (e *Engine) Divergence(ctx context.Context, dst []float32, div []float64, x, v []float32, k int, tau []float64) error {
	if div == nil {
		return errors.New("infer: Divergence without div")
	}
	return tangent(ctx, e, e.net32, dst, nil, div, x, v, k, tau)
}

// Divergence64 is Divergence in float64.
func (e *Engine) Divergence64(ctx context.Context, dst, div, x, v []float64, k int, tau []float64) error {
	if div == nil {
		return errors.New("infer: Divergence without div")
	}
	return tangent(ctx, e, e.net64(), dst, nil, div, x, v, k, tau)
}

// tangent computes the values of a tile first, and keeps the slopes f' of the activations. Each direction is then a forward pass
// whose products are multiplied by the slopes, so the cost grows linearly with the number of directions.
func tangent[F simd.Float](ctx context.Context, e *Engine, n *net[F], dst, jv []F, div []float64, x, v []F, k int, tau []float64) error {
	samples, err := batch(n.d, len(x), tau)
	if err != nil {
		return err
	}
	if k < 1 || v == nil && k != n.d {
		return fmt.Errorf("infer: %d directions, want at least 1, or D = %d for the unit vectors", k, n.d)
	}
	if dst != nil {
		err = length("dst", len(dst), samples*n.d)
	}
	if v != nil && err == nil {
		err = length("v", len(v), samples*k*n.d)
	}
	if jv != nil && err == nil {
		err = length("jv", len(jv), samples*k*n.d)
	}
	if div != nil && err == nil {
		err = length("div", len(div), samples)
	}
	if err != nil {
		return err
	}
	size, common := e.split(n.rows*2/3, samples, 1), n.shared(tau)
	return n.tiles(ctx, e, samples, size, size, func(w *work[F], lo, hi int) error {
		m := hi - lo
		n.reserveSlopes(w)
		n.eval(w, x[lo*n.d:hi*n.d], n.d, m, n.tileTimes(w, common, tau, lo, hi), true)
		if dst != nil {
			n.outputs(w, dst[lo*n.d:hi*n.d], m, true)
		}
		if div != nil {
			clear(div[lo:hi])
		}
		w.out = grow(w.out, m*n.d)
		for j := range k {
			var dir []F // of sample lo
			if v != nil {
				dir = v[(lo*k+j)*n.d : ((hi-1)*k+j+1)*n.d]
			}
			if div != nil && v == nil {
				n.diagonal(w, div[lo:hi], j)
				continue
			}
			n.evalTangent(w, dir, k*n.d, j, m, false)
			n.outputs(w, w.out, m, false)
			for i := range m {
				y := w.out[i*n.d : (i+1)*n.d]
				if jv != nil {
					copy(jv[((lo+i)*k+j)*n.d:], y)
				}
				if div != nil {
					s := 0.0
					for c, u := range dir[i*k*n.d:][:n.d] {
						s += float64(u) * float64(y[c])
					}
					div[lo+i] += s
				}
			}
		}
		return nil
	})
}

// diagonal adds ∂n_j/∂x_j of a tile's samples to div.
func (n *net[F]) diagonal(w *work[F], div []float64, j int) {
	m := len(div)
	n.evalTangent(w, nil, 0, j, m, true)
	if h := n.head; h != nil {
		ld := n.ld[h.src]
		n.headRun(w.out, w.buf[h.src], ld, h.dense[j*ld:], h.none, m, ld, 1)
		for i := range div {
			div[i] += float64(w.out[i])
		}
		return
	}
	for i := range div {
		div[i] += float64(w.buf[n.output][i*n.ld[n.output]+j])
	}
}

// evalTangent takes one direction of m samples through all the layers but the head, after eval left the slopes. The
// directions are rows of v with stride vm, or with v nil the unit vector j. If diagonal, only output j is wanted: of a
// linear last layer one panel is computed.
func (n *net[F]) evalTangent(w *work[F], v []F, vm, j, m int, diagonal bool) {
	for i := range n.layers {
		l := &n.layers[i]
		c, ld := w.buf[l.dst], n.ld[l.dst]
		q := n.product(w, l)
		q.C, q.CM, q.M = c, ld, m
		switch {
		case l.src != 0:
			q.A, q.AM = w.buf[l.src], n.ld[l.src]
		case v != nil:
			q.A, q.AM = v, vm
		default: // the weights of coordinate j, times one
			q.A, q.AM, q.K = n.one[:], 0, 1
			q.B, q.BP = l.cols[j*ld:], n.panel
		}
		if l.act != simd.Identity {
			q.Ep, q.D = simd.MulD, w.slope[i]
		} else if diagonal && i == len(n.layers)-1 && l.dst == n.output && l.add < 0 {
			p := j / n.panel
			q.B, q.C, q.NP = q.B[p*q.BP:], q.C[p*n.panel:], 1
		}
		n.prod(q)
		switch {
		case l.add > 0:
			n.add(c[:m*ld], w.buf[l.add])
		case l.add == 0 && v == nil:
			for r := range m {
				c[r*ld+j]++
			}
		case l.add == 0:
			for r := range m {
				row := c[r*ld:]
				for d, u := range v[r*vm:][:n.d] {
					row[d] += u
				}
			}
		}
	}
}
