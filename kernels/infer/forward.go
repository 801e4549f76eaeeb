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
	size, common := split(e, n, samples, 1), n.shared(tau)
	return n.tiles(ctx, e, samples, size, size, func(w *work[F], lo, hi int) error {
		t := n.tileTimes(w, common, tau, lo, hi)
		n.eval(w, x[lo*n.d:hi*n.d], n.d, hi-lo, 1, t)
		n.outputs(w, dst[lo*n.d:hi*n.d], 0, 1, hi-lo, true)
		return nil
	})
}

// tiles runs tiles of size samples, with scratch for the given number of rows, on the engine's workers.
func (n *net[F]) tiles(ctx context.Context, e *Engine, samples, size, rows int, run func(w *work[F], lo, hi int) error) error {
	return tiles(ctx, e.workers, samples, size, func() *work[F] { return n.get(rows) }, func(w *work[F]) { n.pool.Put(w) }, run)
}

// eval takes m samples through all the layers but the head. Each sample has g rows in the input (coordinates, row
// stride am): its value and g-1 tangents.
func (n *net[F]) eval(w *work[F], in []F, am, m, g int, t times[F]) {
	for i := range n.layers {
		l := &n.layers[i]
		c, ld := w.buf[l.dst], n.ld[l.dst]
		accumulate := false
		if l.src == 0 && t.bias == nil {
			n.timePart(w, l, c, g*ld, t.feat, m)
			for r := 0; g > 1 && r < m*g; r += g {
				clear(c[(r+1)*ld : (r+g)*ld])
			}
			accumulate = true
		}
		q := n.product(w, l)
		q.C, q.CM, q.M, q.Act = c, ld, m*g, l.act
		switch {
		case l.src != 0:
			q.A, q.AM, q.Bias = w.buf[l.src], n.ld[l.src], l.bias
		case accumulate:
			q.A, q.AM, q.Accumulate = in, am, true
		default:
			q.A, q.AM, q.Bias = in, am, t.bias[l.timeAt:]
		}
		switch {
		case g > 1:
			q.Ep, q.T = simd.Tangent, g-1
		case l.act != simd.Identity:
			q.Ep = simd.Activate
		}
		n.prod(q)
		n.residual(w, l, in, am, m, g, t)
	}
}

// residual adds the rows of l's Add.
func (n *net[F]) residual(w *work[F], l *layer[F], in []F, am, m, g int, t times[F]) {
	switch {
	case l.add > 0:
		n.add(w.buf[l.dst][:m*g*n.ld[l.dst]], w.buf[l.add])
	case l.add == 0:
		ld := n.ld[l.dst]
		for r := range m * g {
			row := w.buf[l.dst][r*ld:][:n.d+n.tf]
			for j, v := range in[r*am:][:n.d] {
				row[j] += v
			}
			if r%g == 0 {
				for j, v := range t.of(r/g, n.tf) {
					row[n.d+j] += v
				}
			}
		}
	}
}

// outputs writes the D outputs of rows first, first+step, … (m of them) after eval to out, m×D. Where the last layer is
// a head its bias is added if wanted; other last layers have added theirs to value rows.
func (n *net[F]) outputs(w *work[F], out []F, first, step, m int, bias bool) {
	if h := n.head; h != nil {
		b := h.bias
		if !bias {
			b = h.none
		}
		ld := n.ld[h.src]
		n.headRun(out, w.buf[h.src][first*ld:], step*ld, h.dense, b, m, ld, n.d)
		return
	}
	ld := n.ld[n.output]
	for i := range m {
		copy(out[i*n.d:(i+1)*n.d], w.buf[n.output][(first+i*step)*ld:])
	}
}
