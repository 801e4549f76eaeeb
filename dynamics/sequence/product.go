package sequence

import "hbar/kernels/simd"

// matrix is a row-major view of rows×cols numbers, or of their transpose.
type matrix struct {
	x          []float32
	rows, cols int // as stored
	transposed bool
}

// multiplier runs matrix products with room of its own.
type multiplier struct {
	impl                *simd.Impl
	packed, edge, slope []float32
}

// product sets c (row-major, as many columns as b) to a b, or adds it.
func (w *multiplier) product(c []float32, a, b matrix, add bool) { w.run(c, nil, a, b, add) }

// activated sets c to SiLU(c + a b) and slope to the derivative there.
func (w *multiplier) activated(c, slope []float32, a, b matrix) { w.run(c, slope, a, b, true) }

func (w *multiplier) run(c, slope []float32, a, b matrix, add bool) {
	if w.impl == nil {
		w.impl = simd.Best()
	}
	const panel = simd.Panel32
	m, k, am, ak := a.rows, a.cols, a.cols, 1
	if a.transposed {
		m, k, am, ak = a.cols, a.rows, 1, a.cols
	}
	n := b.cols
	if b.transposed {
		n = b.rows
	}
	panels := (n + panel - 1) / panel
	w.packed = grown(w.packed, panels*k*panel)
	if b.transposed {
		w.impl.PackT(w.packed, b.x, b.cols, n, k)
	} else {
		w.impl.Pack(w.packed, b.x, b.cols, k, n)
	}
	p := simd.Product[float32]{C: c, CM: n, CP: panel, A: a.x, AM: am, AK: ak, B: w.packed, BP: k * panel, BK: panel, M: m, K: k, NP: n / panel, Accumulate: add}
	if slope != nil {
		p.D, p.Ep, p.Act = slope, simd.ActivateGrad, simd.SiLU
	}
	w.impl.Product32(&p)
	rest := n % panel
	if rest == 0 {
		return
	}
	// The last columns, fewer than a panel, by way of a place of their own.
	w.edge = grown(w.edge, m*panel)
	at := n - rest
	if add {
		for i := range m {
			copy(w.edge[i*panel:i*panel+rest], c[i*n+at:i*n+n])
			clear(w.edge[i*panel+rest : (i+1)*panel])
		}
	}
	if slope != nil {
		w.slope = grown(w.slope, m*panel)
		p.D = w.slope
	}
	p.C, p.CM, p.B, p.NP = w.edge, panel, w.packed[(panels-1)*k*panel:], 1
	w.impl.Product32(&p)
	for i := range m {
		copy(c[i*n+at:i*n+n], w.edge[i*panel:i*panel+rest])
		if slope != nil {
			copy(slope[i*n+at:i*n+n], w.slope[i*panel:i*panel+rest])
		}
	}
}
