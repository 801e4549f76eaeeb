package infer

import (
	"hbar/kernels/simd"
)

// work is the scratch memory of one worker. It grows and is kept between calls.
type work[F simd.Float] struct {
	p     simd.Product[F] // here, not on the stack: it is passed through a function value
	buf   [][]F           // scratch of each buffer of the program
	slots [][]F
	slope [][]F // f' of each layer, for tangents
	rows  int   // that slots have
	feat  []F   // time features of a tile's samples
	out   []F   // a tile's outputs
}

// get returns scratch for tiles of the given number of rows, from the pool or new.
func (n *net[F]) get(rows int) *work[F] {
	w, _ := n.pool.Get().(*work[F])
	if w == nil {
		w = &work[F]{buf: make([][]F, len(n.ld)), slots: make([][]F, len(n.slotLD))}
	}
	if w.rows < rows {
		w.rows, w.slope = rows, nil
		for i, ld := range n.slotLD {
			w.slots[i] = aligned[F](rows * ld)
		}
		for _, l := range n.layers {
			w.buf[l.dst] = w.slots[n.slots[l.dst]]
		}
	}
	return w
}

// reserveSlopes makes room for the slopes of tiles of w's size.
func (n *net[F]) reserveSlopes(w *work[F]) {
	if w.slope != nil {
		return
	}
	w.slope = make([][]F, len(n.layers))
	for i, l := range n.layers {
		if l.act != simd.Identity {
			w.slope[i] = aligned[F](w.rows * n.ld[l.dst])
		}
	}
}

// grow returns a slice of length n that reuses s if it can. The contents are arbitrary.
func grow[F simd.Float](s []F, n int) []F {
	if cap(s) < n {
		return aligned[F](n)
	}
	return s[:n]
}
