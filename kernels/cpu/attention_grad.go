package cpu

import "hbar/kernels/simd"

// Backward writes the gradients dq, dk, dv of ⟨dy, y⟩; none of them may be an input.
//
// With P = softmax(q kᵀ/√D) and dP = dy vᵀ: dS = P∘(dP - Σ P∘dP)/√D, dq = dS k, dk = dSᵀ q, dv = Pᵀ dy. The sums over
// queries run in their order, one multiply-add after the other, so that they do not depend on tiles.
// p is nil, or the matrices P that ForwardKeep wrote for the same q and k, which give the same bits.
func (a *Attention) Backward(t *Team, dq, dk, dv, dy, q, k, v Heads, p []float32) {
	if p != nil {
		want("Attention.Backward", "the matrices", len(p), a.matrices())
	}
	a.check("Attention.Backward", []Heads{q, dy, dq}, []Heads{k, v, dk, dv})
	w := &attentionBackward{newAttentionWork(t, a), t, dq, dk, dv, dy, q, k, v, p}
	if a.parts(t) == 1 {
		t.Run(a.N*a.Heads, func(worker, i int) { w.whole(worker, i/a.Heads, i%a.Heads) })
		return
	}
	w.shared()
}

type attentionBackward struct {
	*attentionWork
	t                       *Team
	dq, dk, dv, dy, q, k, v Heads
	p                       []float32 // the matrices P; nil: they are computed
}

// packed are a head's keys and values in the panels that the rows of the matrix need.
type packed struct{ kt, vt, k []float32 }

func (w *attentionBackward) pack(c *carve, n, h int) (p packed) {
	w.prefetch(n, h, 0, w.TK, w.k, w.v)
	p.kt, p.vt, p.k = c.take(w.panels), c.take(w.panels), c.take(w.panels)
	if w.p == nil {
		w.im.PackT(p.kt, w.k.head(n, h, w.D).s, w.k.Row, w.TK, w.D)
	}
	w.im.PackT(p.vt, w.v.head(n, h, w.D).s, w.v.Row, w.TK, w.D)
	w.attentionWork.pack(p.k, w.k.head(n, h, w.D), w.TK)
	return p
}

// rows computes P, unless it is there, and dS, [m, tk], for queries i.., and their dq through o.
func (w *attentionBackward) rows(prod *simd.Product[float32], c packed, p, ds, o []float32, n, h, i, m int) {
	if w.p == nil {
		w.scores(prod, p, w.q.head(n, h, w.D), i, m, c.kt, false)
		w.probabilities(p, m)
	}
	w.scores(prod, ds, w.dy.head(n, h, w.D), i, m, c.vt, false)
	w.softmaxGrad(ds, p, m)
	w.valuesTo(prod, w.dq.head(n, h, w.D), i, ds, m, c.k, o)
}

// columns writes to n rows of o, whole panels wide, or adds, the sums over m queries of columns from.. of s [m, tk] times
// rows of x in panels.
func (w *attentionBackward) columns(p *simd.Product[float32], o head, s []float32, from, n, m int, xp []float32, add bool) {
	*p = simd.Product[float32]{C: o.s, CM: o.ld, CP: panel, A: s[from:], AM: 1, AK: w.tk,
		B: xp, BP: m * panel, BK: panel, M: n, K: m, NP: w.d / panel, Accumulate: add}
	w.im.Product32(p)
}

// whole is the work of one head, a tile of queries after the other.
func (w *attentionBackward) whole(worker, n, h int) {
	c := carve(w.t.Scratch(worker, 5*w.panels+2*w.tile+2*w.out))
	w.prefetch(n, h, 0, w.TK, w.dk, w.dv)
	in := w.pack(&c, n, h)
	dk, dv := w.dk.head(n, h, w.D), w.dv.head(n, h, w.D)
	if !w.direct() {
		dk, dv = head{c.take(w.panels), w.d}, head{c.take(w.panels), w.d}
	}
	p, ds, o, xp := c.take(w.tile), c.take(w.tile), c.take(w.out), c.take(w.out)
	var prod simd.Product[float32]
	step := w.tileRows(w.TQ)
	w.prefetch(n, h, 0, step, w.q, w.dy, w.dq)
	for i := 0; i < w.TQ; i += step {
		m := min(step, w.TQ-i)
		w.prefetch(n, h, i+m, min(w.TQ, i+m+step), w.q, w.dy, w.dq)
		if w.p != nil {
			p = w.kept(w.p, n, h, i)
		}
		w.rows(&prod, in, p, ds, o, n, h, i, m)
		w.attentionWork.pack(xp, w.dy.head(n, h, w.D).from(i), m)
		w.columns(&prod, dv, p, 0, w.TK, m, xp, i > 0)
		w.attentionWork.pack(xp, w.q.head(n, h, w.D).from(i), m)
		w.columns(&prod, dk, ds, 0, w.TK, m, xp, i > 0)
	}
	if !w.direct() {
		w.scatterRows(w.dk.head(n, h, w.D), 0, dk.s, w.TK)
		w.scatterRows(w.dv.head(n, h, w.D), 0, dv.s, w.TK)
	}
}

// from is the head without its first rows.
func (x head) from(rows int) head { return head{x.s[rows*x.ld:], x.ld} }

// shared computes few heads, whose work is divided among the workers: the rows of P and dS by parts, then dk and dv by parts of the keys.
func (w *attentionBackward) shared() {
	size := w.matrices()
	borrowed := size
	if w.p == nil {
		borrowed = 2 * size
	}
	all, back := borrow[float32](&pool32, borrowed)
	defer pool32.Put(back)
	matrices := [2][]float32{w.p, all[:size]} // P, dS
	if w.p == nil {
		matrices[0] = all[size:]
	}
	matrix := func(n, h, which int) []float32 { return w.kept(matrices[which], n, h, 0) }
	w.each(w.t, func(worker, n, h, lo, hi int) {
		c := carve(w.t.Scratch(worker, 3*w.panels+w.out))
		in := w.pack(&c, n, h)
		o := c.take(w.out)
		p, ds := matrix(n, h, 0), matrix(n, h, 1)
		var prod simd.Product[float32]
		step := w.tileRows(hi - lo)
		for i := lo; i < hi; i += step {
			m := min(step, hi-i)
			w.rows(&prod, in, p[i*w.tk:], ds[i*w.tk:], o, n, h, i, m)
		}
	})
	parts := min(w.t.Workers(), w.tk/panel)
	step := (w.TK + parts - 1) / parts
	w.t.Run(2*w.N*w.Heads*parts, func(worker, task int) {
		part, which, i := task%parts, task/parts%2, task/parts/2
		n, h := i/w.Heads, i%w.Heads
		lo, hi := part*step, min(w.TK, (part+1)*step)
		if lo >= hi {
			return
		}
		from, to := w.dy, w.dv
		if which == 1 {
			from, to = w.q, w.dk
		}
		c := carve(w.t.Scratch(worker, w.TQ*w.d+(hi-lo)*w.d))
		xp, o := c.take(w.TQ*w.d), c.take((hi-lo)*w.d)
		w.attentionWork.pack(xp, from.head(n, h, w.D), w.TQ)
		var prod simd.Product[float32]
		y := to.head(n, h, w.D)
		if w.direct() {
			w.columns(&prod, y.from(lo), matrix(n, h, which), lo, hi-lo, w.TQ, xp, false)
			return
		}
		w.columns(&prod, head{o, w.d}, matrix(n, h, which), lo, hi-lo, w.TQ, xp, false)
		w.scatterRows(y, lo, o, hi-lo)
	})
}
