package learn

import (
	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/simd"
)

// piece is a task of the second and third phase: rows [lo, hi) of panels [p, p+np) of a layer; all of a head. lo is a
// multiple of 16, and so is hi but at the end.
type piece struct {
	l      *layer
	x, dz  int // buffers that the gradient is made of
	p, np  int
	lo, hi int
	id     int
}

// pieceRows is the most rows of a panel that a task takes, the bias aside.
const pieceRows = 64

// planPieces cuts the parameters into tasks.
func (t *Trainer) planPieces() {
	for _, in := range t.prog.Backward {
		if in.Op != kernels.BackParams {
			continue
		}
		l := t.byWeight[in.W]
		add := func(p, np, lo, hi int) {
			t.pieces = append(t.pieces, piece{l: l, x: in.X, dz: in.Src, p: p, np: np, lo: lo, hi: hi, id: len(t.pieces)})
		}
		if l.head {
			add(0, 1, 0, l.rows)
			continue
		}
		for p := 0; p < l.panels(); p += 2 {
			np := min(2, l.panels()-p)
			lo := 0
			for ; lo+pieceRows+1 < l.rows; lo += pieceRows {
				add(p, np, lo, lo+pieceRows)
			}
			add(p, np, lo, l.rows)
		}
	}
	t.sumSquare, t.bad = make([]float64, len(t.pieces)), make([]bool, len(t.pieces))
	t.pieces = balance(t.pieces, t.opt.Workers, func(q piece) int { return q.np * (q.hi - q.lo) })
}

// each calls f with the range in the flat vectors of every panel's part of the piece.
func (q *piece) each(f func(p, lo, hi int)) {
	if q.l.head {
		f(0, q.l.off, q.l.off+q.l.size)
		return
	}
	for p := q.p; p < q.p+q.np; p++ {
		off := q.l.off + p*q.l.rows*lanes
		f(p, off+q.lo*lanes, off+q.hi*lanes)
	}
}

// The rows of a part (fit.PartRows): their columns of dZ and of a few inputs stay in the first-level cache while a panel's rows
// pass.
const (
	leastPart = 128
	mostPart  = 256
)

// PartRows is the number of rows of the parts of a batch of n rows.
func (t *Trainer) PartRows(n int) int { return fit.PartRows(n, leastPart, mostPart) }

// paramGrad computes a piece of the gradient: a sum over the parts of the batch, in order.
func (w *worker) paramGrad(t *Trainer, q *piece) {
	l, x, dz := q.l, &t.fwd[q.x], &t.grad[q.dz]
	g := t.g[l.off+(q.p*l.rows+q.lo)*lanes:]
	r := &w.product
	if l.head {
		*r = simd.Product[float32]{C: g, CM: l.rows, CP: lanes, A: dz.batch, AM: 1, AK: dz.ld,
			B: x.batch, BP: lanes, BK: x.ld, M: l.out, NP: l.rows / lanes}
	} else {
		*r = simd.Product[float32]{C: g, CM: lanes, CP: lanes * l.rows, A: x.batch[q.lo:], AM: 1, AK: x.ld,
			B: dz.batch[q.p*lanes:], BP: lanes, BK: dz.ld, M: q.hi - q.lo, NP: q.np}
	}
	r.K, r.Chunk = t.batch, t.PartRows(t.total)
	t.opt.Impl.Product32(r)
}

// checkGrad looks for numbers of a piece of the gradient that are not finite, and sums their squares if these are wanted.
func (w *worker) checkGrad(t *Trainer, q *piece) {
	t.sumSquare[q.id], t.bad[q.id] = 0, false
	q.each(func(_, lo, hi int) {
		g := t.g[lo:hi]
		if !w.allFinite(t, g) {
			t.bad[q.id] = true
		}
		if t.opt.Norm || t.opt.Clip > 0 {
			t.sumSquare[q.id] += sumSquares(g)
		}
	})
}

// allFinite reports whether all numbers of whole panel rows are finite: Σ 0·g is 0 unless a g is not.
func (w *worker) allFinite(t *Trainer, g []float32) bool {
	w.product = simd.Product[float32]{C: w.check, A: zeros[:1], B: g, BK: lanes, M: 1, K: len(g) / lanes, NP: 1}
	t.opt.Impl.Product32(&w.product)
	return [lanes]float32(w.check) == zeros
}

var zeros [lanes]float32

func sumSquares(g []float32) float64 {
	var s [4]float64
	for ; len(g) >= 4; g = g[4:] {
		for j, v := range g[:4] {
			s[j] += float64(v) * float64(v)
		}
	}
	return s[0] + s[1] + s[2] + s[3]
}

// update takes the step of a piece.
func (w *worker) update(t *Trainer, q *piece) {
	q.each(func(_, lo, hi int) {
		var ema []float32
		if t.ema != nil {
			ema = t.ema[lo:hi]
		}
		t.opt.Impl.Adam(t.param[lo:hi], t.m[lo:hi], t.v[lo:hi], t.g[lo:hi], ema, &w.adam)
	})
	t.refresh(q)
}

// refresh remakes what is derived from a piece's parameters.
func (t *Trainer) refresh(q *piece) {
	l := q.l
	if l.head {
		return
	}
	q.each(func(p, lo, hi int) {
		if q.hi == l.rows {
			copy(l.bias[p*lanes:][:lanes], t.param[hi-lanes:hi])
		}
		if l.back == nil {
			return
		}
		outs := min(lanes, l.out-p*lanes)
		for b := q.lo / lanes; b < q.hi/lanes; b++ {
			transpose(l.back[(b*l.out+p*lanes)*lanes:][:outs*lanes], (*block)(t.param[lo+(b*lanes-q.lo)*lanes:]))
		}
	})
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
