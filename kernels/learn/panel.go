package learn

import (
	"cmp"
	"slices"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// gradPiece is a task of the second phase: rows [lo, hi) of panels [p, p+np) of a layer's gradient; all of a head's.
type gradPiece struct {
	l         *layer
	x, dz     int // buffers
	p, np     int
	lo, hi    int
	sumSquare float64 // results
	bad       bool
}

// updatePiece is a task of the third phase: a panel of a layer.
type updatePiece struct {
	l *layer
	p int
}

// pieceRows is about how many rows of a panel a task takes.
const pieceRows = 72

// planPieces lists the tasks of the second and third phase, the costly ones first.
func (t *Trainer) planPieces() {
	for _, in := range t.prog.Backward {
		if in.Op != kernels.BackParams {
			continue
		}
		l := t.byWeight[in.W]
		for p := range l.panels() {
			t.updates = append(t.updates, updatePiece{l, p})
		}
		if l.head {
			t.grads = append(t.grads, gradPiece{l: l, x: in.X, dz: in.Src, np: 1, hi: l.rows})
			continue
		}
		parts := (l.rows + pieceRows - 1) / pieceRows
		for p := 0; p < l.panels(); p += 2 {
			for i := range parts {
				t.grads = append(t.grads, gradPiece{l: l, x: in.X, dz: in.Src, p: p, np: min(2, l.panels()-p),
					lo: i * l.rows / parts, hi: (i + 1) * l.rows / parts})
			}
		}
	}
	slices.SortStableFunc(t.grads, func(a, b gradPiece) int { return cmp.Compare(b.np*(b.hi-b.lo), a.np*(a.hi-a.lo)) })
	slices.SortStableFunc(t.updates, func(a, b updatePiece) int { return cmp.Compare(b.l.rows, a.l.rows) })
}

// blockRows is how many rows of the batch a panel's gradient takes at a time: their columns of dZ and of a few inputs
// stay in the first-level cache while the panel's rows pass.
const blockRows = 256

// paramGrad computes a piece of the gradient: sums over the batch, in order.
func (w *worker) paramGrad(t *Trainer, q *gradPiece) {
	l, x, dz := q.l, &t.fwd[q.x], &t.grad[q.dz]
	r := &w.product
	g := t.g[l.off+(q.p*l.rows+q.lo)*lanes:]
	for row := 0; row < t.batch; row += blockRows {
		k := min(blockRows, t.batch-row)
		if l.head {
			*r = simd.Product[float32]{C: g, CM: l.rows, CP: lanes, A: dz.batch[row*dz.ld:], AM: 1, AK: dz.ld,
				B: x.batch[row*x.ld:], BP: lanes, BK: x.ld, M: l.out, K: k, NP: l.rows / lanes}
		} else {
			*r = simd.Product[float32]{C: g, CM: lanes, CP: lanes * l.rows, A: x.batch[row*x.ld+q.lo:], AM: 1, AK: x.ld,
				B: dz.batch[row*dz.ld+q.p*lanes:], BP: lanes, BK: dz.ld, M: q.hi - q.lo, K: k, NP: q.np}
		}
		r.Accumulate = row > 0
		t.opt.Impl.Product32(r)
	}
	q.sumSquare, q.bad = 0, false
	for p := range q.np {
		n := (q.hi - q.lo) * lanes
		if l.head {
			n = l.size
		}
		w.inspect(t, q, g[p*l.rows*lanes:][:n])
	}
}

// inspect looks for values that are not finite and adds up squares if the norm is wanted.
func (w *worker) inspect(t *Trainer, q *gradPiece, g []float32) {
	// Σ 0·g is 0 unless a g is not finite.
	r := &w.product
	*r = simd.Product[float32]{C: w.check, A: zeros[:1], B: g, BK: lanes, M: 1, K: len(g) / lanes, NP: 1}
	t.opt.Impl.Product32(r)
	q.bad = q.bad || [lanes]float32(w.check) != zeros
	if t.opt.Norm || t.opt.Clip > 0 {
		var s [4]float64
		for i := 0; i < len(g); i += 4 {
			for j, v := range g[i : i+4] {
				s[j] += float64(v) * float64(v)
			}
		}
		q.sumSquare += s[0] + s[1] + s[2] + s[3]
	}
}

var zeros [lanes]float32

// update takes the step of a panel.
func (w *worker) update(t *Trainer, q *updatePiece) {
	lo, hi := q.l.panel(q.p)
	var ema []float32
	if t.ema != nil {
		ema = t.ema[lo:hi]
	}
	t.opt.Impl.Adam(t.param[lo:hi], t.m[lo:hi], t.v[lo:hi], t.g[lo:hi], ema, &w.adam)
	t.refresh(q)
}

// refresh remakes what is derived from a panel's parameters.
func (t *Trainer) refresh(q *updatePiece) {
	l := q.l
	if l.head {
		return
	}
	lo, hi := l.panel(q.p)
	copy(l.bias[q.p*lanes:][:lanes], t.param[hi-lanes:hi])
	if l.back == nil {
		return
	}
	outs := min(lanes, l.out-q.p*lanes)
	for b := range pad(l.in) / lanes {
		transpose(l.back[(b*l.out+q.p*lanes)*lanes:][:outs*lanes], (*block)(t.param[lo+b*lanes*lanes:]))
	}
}

type block [lanes * lanes]float32

// transpose writes the first rows of srcᵀ.
func transpose(dst []float32, src *block) {
	if len(dst) < len(src) { // a last panel of few outputs
		for o := range len(dst) / lanes {
			for k := range lanes {
				dst[o*lanes+k] = src[k*lanes+o]
			}
		}
		return
	}
	d := (*block)(dst)
	for o := range lanes {
		r, s := (*[lanes]float32)(d[o*lanes:]), src[o:]
		s = s[: 15*lanes+1 : 15*lanes+1]
		r[0], r[1], r[2], r[3] = s[0], s[lanes], s[2*lanes], s[3*lanes]
		r[4], r[5], r[6], r[7] = s[4*lanes], s[5*lanes], s[6*lanes], s[7*lanes]
		r[8], r[9], r[10], r[11] = s[8*lanes], s[9*lanes], s[10*lanes], s[11*lanes]
		r[12], r[13], r[14], r[15] = s[12*lanes], s[13*lanes], s[14*lanes], s[15*lanes]
	}
}
