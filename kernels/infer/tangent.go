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

// maxTangents is the number of tangents that share one value row: more are done in several passes.
const maxTangents = 47

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
	passes := (k + maxTangents - 1) / maxTangents
	q := tangents[F]{n: n, jv: jv, div: div, x: x, v: v, k: k, group: 1 + (k+passes-1)/passes}
	size, common := split(e, n, samples, q.group), n.shared(tau)
	return n.tiles(ctx, e, samples, size, size*q.group, func(w *work[F], lo, hi int) error {
		t := n.tileTimes(w, common, tau, lo, hi)
		if div != nil {
			clear(div[lo:hi])
		}
		for j := 0; j < k; j += q.group - 1 {
			g := min(q.group, 1+k-j)
			q.fill(w, lo, hi, j, g)
			n.eval(w, w.in, n.d, hi-lo, g, t)
			if dst != nil && j == 0 {
				n.outputs(w, dst[lo*n.d:hi*n.d], 0, g, hi-lo, true)
			}
			if div != nil && v == nil && n.head != nil {
				q.diagonal(w, lo, hi, j, g)
			} else {
				q.collect(w, lo, hi, j, g)
			}
		}
		return nil
	})
}

// tangents are the arguments of a call of tangent.
type tangents[F simd.Float] struct {
	n        *net[F]
	jv, x, v []F
	div      []float64
	k, group int // directions, and rows of a sample in one pass
}

// fill writes the input rows of samples lo to hi and directions j to j+g-1.
func (q *tangents[F]) fill(w *work[F], lo, hi, j, g int) {
	d := q.n.d
	w.in = grow(w.in, (hi-lo)*g*d)
	for i := lo; i < hi; i++ {
		in := w.in[(i-lo)*g*d:][:g*d]
		copy(in, q.x[i*d:(i+1)*d])
		if q.v != nil {
			copy(in[d:], q.v[(i*q.k+j)*d:(i*q.k+j+g-1)*d])
			continue
		}
		clear(in[d:])
		for r := 1; r < g; r++ {
			in[r*d+j+r-1] = 1
		}
	}
}

// diagonal adds the diagonal entries of the Jacobian to div: of each unit tangent one output.
func (q *tangents[F]) diagonal(w *work[F], lo, hi, j, g int) {
	n, h, m := q.n, q.n.head, hi-lo
	w.out = grow(w.out, m)
	ld := n.ld[h.src]
	for r := 1; r < g; r++ {
		n.headRun(w.out, w.buf[h.src][r*ld:], g*ld, h.dense[(j+r-1)*ld:], h.none, m, ld, 1)
		for i, y := range w.out {
			q.div[lo+i] += float64(y)
		}
	}
}

// collect copies the derivatives to jv or adds their products with the directions to div.
func (q *tangents[F]) collect(w *work[F], lo, hi, j, g int) {
	n, d, m := q.n, q.n.d, hi-lo
	w.out = grow(w.out, m*g*d)
	n.outputs(w, w.out, 0, 1, m*g, false)
	for i := range m {
		for r := range g - 1 {
			y := w.out[(i*g+r+1)*d:][:d]
			at := (lo+i)*q.k + j + r
			switch {
			case q.jv != nil:
				copy(q.jv[at*d:(at+1)*d], y)
			case q.v == nil:
				q.div[lo+i] += float64(y[j+r])
			default:
				s := 0.0
				for c, v := range q.v[at*d : (at+1)*d] {
					s += float64(v) * float64(y[c])
				}
				q.div[lo+i] += s
			}
		}
	}
}
