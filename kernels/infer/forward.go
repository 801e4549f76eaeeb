package infer

import (
	"context"

	"hbar/kernels/simd"
)

// Forward writes n(x, τ) of n samples (n×D) to dst (n×D). tau holds n times, or one for all samples.
func (e *Engine) Forward(ctx context.Context, dst, x []float32, tau []float64) error {
	return forward(ctx, e, e.net32, dst, x, tau)
}

// Forward64 is Forward in float64.
func (e *Engine) Forward64(ctx context.Context, dst, x, tau []float64) error {
	return forward(ctx, e, e.net64(), dst, x, tau)
}

func forward[F simd.Float](ctx context.Context, e *Engine, n *net[F], dst, x []F, tau []float64) error {
	samples, err := batch(n.d, len(x), tau)
	if err != nil {
		return err
	}
	if err := length("dst", len(dst), len(x)); err != nil {
		return err
	}
	size, common := e.split(n.rows, samples, 1), n.shared(tau)
	return n.tiles(ctx, e, samples, size, size, func(w *work[F], lo, hi int) error {
		t := n.tileTimes(w, common, tau, lo, hi)
		n.eval(w, x[lo*n.d:hi*n.d], n.d, hi-lo, t, false)
		n.outputs(w, dst[lo*n.d:hi*n.d], hi-lo, true)
		return nil
	})
}

// tiles runs tiles of size samples, with scratch for the given number of rows, on the engine's workers.
func (n *net[F]) tiles(ctx context.Context, e *Engine, samples, size, rows int, run func(w *work[F], lo, hi int) error) error {
	return tiles(ctx, e.workers, samples, size, func() *work[F] { return n.get(rows) }, func(w *work[F]) { n.pool.Put(w) }, run)
}

// eval takes the values of m samples through all the layers but the head: m rows of coordinates in, row stride am. If
// slopes, f' of each layer is left in w.slope for the tangents.
func (n *net[F]) eval(w *work[F], in []F, am, m int, t times[F], slopes bool) {
	for i := range n.layers {
		l := &n.layers[i]
		c, ld := w.buf[l.dst], n.ld[l.dst]
		if l.src == 0 && t.bias == nil {
			n.timePart(w, l, c, ld, t.feat, m)
		}
		q := n.product(w, l)
		q.C, q.CM, q.M, q.Act = c, ld, m, l.act
		switch {
		case l.src != 0:
			q.A, q.AM, q.Bias = w.buf[l.src], n.ld[l.src], l.bias
		case t.bias != nil:
			q.A, q.AM, q.Bias = in, am, t.bias[l.timeAt:]
		default:
			q.A, q.AM, q.Accumulate = in, am, true
		}
		switch {
		case l.act == simd.Identity:
		case slopes:
			q.Ep, q.D = simd.ActivateGrad, w.slope[i]
		default:
			q.Ep = simd.Activate
		}
		n.prod(q)
		switch {
		case l.add > 0:
			n.add(c[:m*ld], w.buf[l.add])
		case l.add == 0:
			for r := range m {
				row := c[r*ld:]
				for j, v := range in[r*am:][:n.d] {
					row[j] += v
				}
				for j, v := range t.of(r, n.tf) {
					row[n.d+j] += v
				}
			}
		}
	}
}

// outputs writes the D outputs of m rows after eval (or, without the bias, evalTangent) to out, m×D.
func (n *net[F]) outputs(w *work[F], out []F, m int, bias bool) {
	if h := n.head; h != nil {
		b := h.none
		if bias {
			b = h.bias
		}
		n.headRun(out, w.buf[h.src], n.ld[h.src], h.dense, b, m, n.ld[h.src], n.d)
		return
	}
	ld := n.ld[n.output]
	for i := range m {
		copy(out[i*n.d:(i+1)*n.d], w.buf[n.output][i*ld:])
	}
}
