package cpu

import (
	"fmt"
	"math"

	"hbar/kernels/simd"
)

// Attention is softmax attention with heads over N samples: of TQ queries and TK keys and values, each head D channels
// wide, the heads' channels one after the other,
//
//	y = softmax(q kᵀ/√D) v
//
// No more than a few rows of a head's TQ×TK matrix are in memory at once, except where ForwardKeep stores the matrices for
// Backward, and where Backward has too few heads for all workers.
type Attention struct{ N, Heads, TQ, TK, D int }

// Heads is a view of an array [N, T, ≥ Heads·D] for Attention: row t of sample n starts at n·Sample + t·Row. The three
// parts of an array [N, T, 3C] are views of it with Row 3C and S starting at 0, C and 2C.
type Heads struct {
	S           []float32
	Row, Sample int
}

// head is the part of a view that belongs to one head of one sample.
type head struct {
	s  []float32
	ld int
}

func (v Heads) head(n, h, d int) head { return head{v.S[n*v.Sample+h*d:], v.Row} }

func (a *Attention) check(op string, queries, keys []Heads) {
	if a.N < 0 || a.Heads < 1 || a.TQ < 1 || a.TK < 1 || a.D < 1 {
		panic(fmt.Sprintf("cpu: %s: N=%d Heads=%d TQ=%d TK=%d D=%d: want at least one head, query, key and channel", op, a.N, a.Heads, a.TQ, a.TK, a.D))
	}
	if a.N == 0 {
		return
	}
	for _, v := range queries {
		want(op, "an array of queries", len(v.S), (a.N-1)*v.Sample+(a.TQ-1)*v.Row+a.Heads*a.D)
	}
	for _, v := range keys {
		want(op, "an array of keys or values", len(v.S), (a.N-1)*v.Sample+(a.TK-1)*v.Row+a.Heads*a.D)
	}
}

const panel = simd.Panel32

// padded is n rounded up to whole panels.
func padded(n int) int { return (n + panel - 1) / panel * panel }

// Most rows of the matrix, of queries, that are in memory at once. Long rows of many keys are taken in smaller tiles, which
// stay in the second-level cache.
const (
	mostQueries   = 128
	fewestQueries = 64
	tileScores    = 32 << 10
)

// rowTile is the most queries whose rows of tk keys are in memory at once.
func rowTile(tk int) int { return min(mostQueries, max(fewestQueries, tileScores/tk)) }

// tileRows is how many of n queries to take at once, so that tiles are as equal as can be.
func (w *attentionWork) tileRows(n int) int {
	tiles := max(1, (n+w.most-1)/w.most)
	return (n + tiles - 1) / tiles
}

// parts is the number of tasks into which the queries of one head are cut, so that all workers have one. Rows do not
// depend on it.
func (a *Attention) parts(t *Team) int {
	heads, w := a.N*a.Heads, t.Workers()
	if w == 1 || heads >= 4*w || heads%w == 0 {
		return 1
	}
	return min(w, (a.TQ+panel-1)/panel)
}

// each calls f for the parts of all heads; queries lo to hi-1 belong to a part.
func (a *Attention) each(t *Team, f func(worker, n, h, lo, hi int)) {
	p := a.parts(t)
	step := (a.TQ + p - 1) / p
	t.Run(a.N*a.Heads*p, func(worker, task int) {
		i, part := task/p, task%p
		if lo, hi := part*step, min(a.TQ, (part+1)*step); lo < hi {
			f(worker, i/a.Heads, i%a.Heads, lo, hi)
		}
	})
}

// carve divides a worker's scratch memory into arrays.
type carve []float32

func (c *carve) take(n int) []float32 {
	s := (*c)[:n:n]
	*c = (*c)[n:]
	return s
}

// Row is the distance of the rows of a head's matrix in the memory that ForwardKeep writes: TK rounded up to what products write at once.
func (a *Attention) Row() int { return padded(a.TK) }

// kept are the rows from i on of a head's matrix in memory that ForwardKeep wrote.
func (a *Attention) kept(p []float32, n, h, i int) []float32 {
	return p[((n*a.Heads+h)*a.TQ+i)*a.Row():]
}

// matrices is the size of that memory.
func (a *Attention) matrices() int { return a.N * a.Heads * a.TQ * a.Row() }

// Forward writes y.
func (a *Attention) Forward(t *Team, y, q, k, v Heads) { a.forward(t, y, q, k, v, nil) }

// ForwardKeep writes y, the same bits as Forward, and the softmax of each head to p, [N, Heads, TQ, Row].
func (a *Attention) ForwardKeep(t *Team, y, q, k, v Heads, p []float32) {
	want("Attention.ForwardKeep", "the matrices", len(p), a.matrices())
	a.forward(t, y, q, k, v, p)
}

func (a *Attention) forward(t *Team, y, q, k, v Heads, keep []float32) {
	a.check("Attention", []Heads{q, y}, []Heads{k, v})
	w := newAttentionWork(t, a)
	a.each(t, func(worker, n, h, lo, hi int) {
		c := carve(t.Scratch(worker, 2*w.panels+w.tile+w.out))
		kt, vp := c.take(w.panels), c.take(w.panels)
		s, o := c.take(w.tile), c.take(w.out)
		w.prefetch(n, h, 0, a.TK, k, v)
		w.im.PackT(kt, k.head(n, h, a.D).s, k.Row, a.TK, a.D)
		w.pack(vp, v.head(n, h, a.D), a.TK)
		var p simd.Product[float32]
		step := w.tileRows(hi - lo)
		w.prefetch(n, h, lo, min(hi, lo+step), q, y)
		q1, y1 := q.head(n, h, a.D), y.head(n, h, a.D)
		for i := lo; i < hi; i += step {
			m := min(step, hi-i)
			w.prefetch(n, h, i+m, min(hi, i+m+step), q, y)
			if keep != nil {
				s = a.kept(keep, n, h, i)
			}
			w.scores(&p, s, q1, i, m, kt, false)
			w.probabilities(s, m)
			w.valuesTo(&p, y1, i, s, m, vp, o)
		}
	})
}

// attentionWork has the sizes that the tasks of a layer share.
type attentionWork struct {
	*Attention
	im     *simd.Impl
	scale  float32
	d, tk  int // padded to panels
	most   int // queries of the largest tile
	panels int // elements of a matrix [TK, D] in panels, of channels or, transposed, of keys
	tile   int // elements of the largest tile of scores
	out    int // elements of the largest tile of outputs
}

func newAttentionWork(t *Team, a *Attention) *attentionWork {
	w := &attentionWork{Attention: a, im: t.Impl, scale: float32(1 / math.Sqrt(float64(a.D))), d: padded(a.D), tk: padded(a.TK)}
	w.panels = w.d * w.tk
	w.most = rowTile(w.tk)
	w.tile = w.most * w.tk
	w.out = w.most * w.d
	return w
}

// pack copies n rows of a head to panels of channels, padded with zeros.
func (w *attentionWork) pack(dst []float32, x head, n int) { w.im.Pack(dst, x.s, x.ld, n, w.D) }

// prefetch requests rows lo to hi-1 of a head of the views, if they fit in the cache with room for other data and are parts of longer rows.
func (w *attentionWork) prefetch(n, h, lo, hi int, views ...Heads) {
	if lo >= hi || (hi-lo)*w.D > 1<<15 {
		return
	}
	for _, v := range views {
		x := v.head(n, h, w.D)
		if x.ld == w.D {
			continue // contiguous memory, which processors prefetch themselves
		}
		w.im.Prefetch(x.s[lo*x.ld:], x.ld, hi-lo, w.D)
	}
}

// direct reports whether products can write into the rows of a head: its channels are whole panels.
func (w *attentionWork) direct() bool { return w.d == w.D }

// scores writes to s [m, tk], or adds, the products of queries i.. with all keys, whose transpose kt holds.
func (w *attentionWork) scores(p *simd.Product[float32], s []float32, q head, i, m int, kt []float32, add bool) {
	*p = simd.Product[float32]{C: s, CM: w.tk, CP: panel, A: q.s[i*q.ld:], AM: q.ld, AK: 1,
		B: kt, BP: w.D * panel, BK: panel, M: m, K: w.D, NP: w.tk / panel, Accumulate: add}
	w.im.Product32(p)
}

// values writes to m rows of o, whole panels wide, or adds, the products of the rows of s with the rows of a matrix
// [TK, D] in panels.
func (w *attentionWork) values(p *simd.Product[float32], o head, s []float32, m int, vp []float32, add bool) {
	*p = simd.Product[float32]{C: o.s, CM: o.ld, CP: panel, A: s, AM: w.tk, AK: 1,
		B: vp, BP: w.TK * panel, BK: panel, M: m, K: w.TK, NP: w.d / panel, Accumulate: add}
	w.im.Product32(p)
}

// valuesTo writes values to m rows of a head from i on, through o where its channels are no whole panels.
func (w *attentionWork) valuesTo(p *simd.Product[float32], x head, i int, s []float32, m int, vp, o []float32) {
	if w.direct() {
		w.values(p, x.from(i), s, m, vp, false)
		return
	}
	w.values(p, head{o, w.d}, s, m, vp, false)
	w.scatterRows(x, i, o, m)
}

// probabilities turns m rows of scores into softmax's.
func (w *attentionWork) probabilities(s []float32, m int) {
	w.im.Softmax(s, s, w.tk, w.TK, m, w.scale)
}

// softmaxGrad turns m rows of cotangents, or of tangents, of the probabilities p into those of the scores.
func (w *attentionWork) softmaxGrad(ds, p []float32, m int) {
	w.im.SoftmaxGrad(ds, p, ds, w.tk, w.TK, m, w.scale)
}

// scatterRows copies m rows of o to the head's rows from i on.
func (w *attentionWork) scatterRows(x head, i int, o []float32, m int) {
	for r := range m {
		copy(x.s[(i+r)*x.ld:][:w.D], o[r*w.d:])
	}
}

// Tangent writes the derivative dy of y along (dq, dk, dv), any of which may have S nil, which stands for zeros.
func (a *Attention) Tangent(t *Team, dy, q, k, v, dq, dk, dv Heads) {
	queries, keys := []Heads{q, dy}, []Heads{k, v}
	if dq.S != nil {
		queries = append(queries, dq)
	}
	for _, d := range []Heads{dk, dv} {
		if d.S != nil {
			keys = append(keys, d)
		}
	}
	a.check("Attention.Tangent", queries, keys)
	w := newAttentionWork(t, a)
	a.each(t, func(worker, n, h, lo, hi int) {
		c := carve(t.Scratch(worker, 4*w.panels+2*w.tile+w.out))
		kt, vp, dkt, dvp := c.take(w.panels), c.take(w.panels), c.take(w.panels), c.take(w.panels)
		s, ds, o := c.take(w.tile), c.take(w.tile), c.take(w.out)
		w.im.PackT(kt, k.head(n, h, a.D).s, k.Row, a.TK, a.D)
		w.pack(vp, v.head(n, h, a.D), a.TK)
		if dk.S != nil {
			w.im.PackT(dkt, dk.head(n, h, a.D).s, dk.Row, a.TK, a.D)
		}
		if dv.S != nil {
			w.pack(dvp, dv.head(n, h, a.D), a.TK)
		}
		var p simd.Product[float32]
		step := w.tileRows(hi - lo)
		for i := lo; i < hi; i += step {
			m := min(step, hi-i)
			w.scores(&p, s, q.head(n, h, a.D), i, m, kt, false)
			w.probabilities(s, m)
			clear(o)
			if dv.S != nil {
				w.values(&p, head{o, w.d}, s, m, dvp, false)
			}
			if dq.S != nil {
				w.scores(&p, ds, dq.head(n, h, a.D), i, m, kt, false)
			}
			if dk.S != nil {
				w.scores(&p, ds, q.head(n, h, a.D), i, m, dkt, dq.S != nil)
			}
			if dq.S != nil || dk.S != nil {
				w.softmaxGrad(ds, s, m)
				w.values(&p, head{o, w.d}, ds, m, vp, true)
			}
			w.scatterRows(dy.head(n, h, a.D), i, o, m)
		}
	})
}
