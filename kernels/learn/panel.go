package learn

import (
	"cmp"
	"slices"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// planPieces lists the panels of all layers, the costly ones first.
func (t *Trainer) planPieces() {
	for _, in := range t.prog.Backward {
		if in.Op == kernels.BackParams {
			l := t.byWeight[in.W]
			for p := range l.panels() {
				t.pieces = append(t.pieces, piece{l: l, x: in.X, dz: in.Src, p: p})
			}
		}
	}
	slices.SortStableFunc(t.pieces, func(a, b piece) int { return cmp.Compare(b.l.size/b.l.panels(), a.l.size/a.l.panels()) })
	t.pieceSum = make([]float64, len(t.pieces))
	t.pieceBad = make([]bool, len(t.pieces))
}

// blockRows is how many rows of the batch a panel's gradient takes at a time: their columns of X and dZ stay in the
// first-level cache while the panel's rows pass.
const blockRows = 128

// paramGrad is the second phase for a panel: the sum over the batch, in order. It returns the squared norm, if wanted,
// and whether any value is not finite.
func (w *worker) paramGrad(t *Trainer, q *piece) (float64, bool) {
	l, x, dz := q.l, &t.fwd[q.x], &t.grad[q.dz]
	lo, hi := l.panel(q.p)
	g := t.g[lo:hi]
	r := &w.product
	for row := 0; row < t.batch; row += blockRows {
		k := min(blockRows, t.batch-row)
		if l.head {
			*r = simd.Product[float32]{C: g, CM: l.rows, CP: lanes, A: dz.batch[row*dz.ld:], AM: 1, AK: dz.ld,
				B: x.batch[row*x.ld:], BP: lanes, BK: x.ld, M: l.out, K: k, NP: l.rows / lanes}
		} else {
			*r = simd.Product[float32]{C: g, CM: lanes, A: x.batch[row*x.ld:], AM: 1, AK: x.ld,
				B: dz.batch[row*dz.ld+q.p*lanes:], BK: dz.ld, M: l.rows, K: k, NP: 1}
		}
		r.Accumulate = row > 0
		t.opt.Impl.Product32(r)
	}

	// Σ 0·g is 0 unless a g is not finite.
	*r = simd.Product[float32]{C: w.check, A: zeros[:1], B: g, BK: lanes, M: 1, K: len(g) / lanes, NP: 1}
	t.opt.Impl.Product32(r)
	bad := [lanes]float32(w.check) != zeros

	sum := 0.0
	if t.opt.Norm || t.opt.Clip > 0 {
		var s [4]float64
		for i := 0; i < len(g); i += 4 {
			for j, v := range g[i : i+4] {
				s[j] += float64(v) * float64(v)
			}
		}
		sum = s[0] + s[1] + s[2] + s[3]
	}
	return sum, bad
}

// refresh remakes what is derived from a panel's parameters.
func (w *worker) refresh(t *Trainer, l *layer, p int) {
	if l.head {
		return
	}
	lo, hi := l.panel(p)
	copy(l.bias[p*lanes:][:lanes], t.param[hi-lanes:hi])
	if l.back == nil {
		return
	}
	outs := min(lanes, l.out-p*lanes)
	q := &w.product
	for b := range pad(l.in) / lanes {
		*q = simd.Product[float32]{C: l.back[(b*l.out+p*lanes)*lanes:], CM: lanes, A: t.param[lo+b*lanes*lanes : hi], AM: 1, AK: lanes,
			B: unit[:], BK: lanes, M: outs, K: lanes, NP: 1}
		t.opt.Impl.Product32(q)
	}
}

var zeros [lanes]float32

// unit is the identity matrix: a product with it transposes a block, exactly.
var unit = func() (u [lanes * lanes]float32) {
	for i := range lanes {
		u[i*lanes+i] = 1
	}
	return
}()
