//go:build !noasm

package simd

import "sync"

// rowKernels are one instruction set's kernels for Rows (kernels/_asm, row*.go), with w elements to a row
// and at least one row. Strides are in bytes.
type rowKernels struct {
	affine, affineSilu affineKernels
	affineGrad         func(dz, dy, x, s0, s1, m *float32, w, rows int)
	affineGradSilu     func(dz, dy, x, s0, s1, m, a, b *float32, w, rows int)
	combine            func(y, u, x, a, m, b, c *float32, w, rows int)
	gate               func(y, x, z, g *float32, w, rows int)
	columnSums         func(x, s *float32, w, rows int)
	moments            [2]momentsFn // for groups of one and of four vectors of channels
	layerNorm          func(y, x, a, b *float32, w, rows int, inv, eps float32)
	layerNormGrad      func(dx, dy, x, a *float32, w, rows int, inv, eps float32)
	layerNormGradSums  func(dx, dy, x, a, sa, sb *float32, w, rows int, inv, eps float32)
	exp                func(y, x *float32, ld, n, rows int, scale float32, sums *float32)
	softmax            func(y, x *float32, ld, n, rows int, scale float32)
	softmaxGrad        func(dx, p, dp *float32, ld, n, rows int, scale float32)
	add, mul           func(y, a, b *float32, n int)
	scale              func(y, x *float32, n int, s float32)
	sum4               func(y, a, b, c, d *float32, n int, s float32)
	scan               func(z, u, l, s *float32, w, rows, half, ld int)
	scanGrad           func(y, d, z, l, s, a *float32, w, rows, half, ld int)
	packT              func(dst, src *float32, ld, n int)
	pack               func(dst *float32, dp int, src *float32, ld, n, p int)
	actGrad            [GELUTanh + 1]func(dx, dy, x *float32, n int) // by Act; nil: two passes
	lanes64            int                                           // float64 of a vector
	act32              func(f Act, y, d, x []float32)
}

// affineKernels computes (x - m)·a + b: with all vectors, without m, and without m and b.
type affineKernels struct {
	mb func(y, x, a, m, b *float32, w, rows int)
	b  func(y, x, a, b *float32, w, rows int)
	a  func(y, x, a *float32, w, rows int)
}

// momentsFn is Moments64 for n groups of channels.
type momentsFn func(s1, s2 *float64, x, k *float32, w, rows, n int)

// withAct is the kernels with an instruction set's activations.
func (k rowKernels) withAct(act func(f Act, y, d, x []float32)) *rowKernels {
	k.act32 = act
	return &k
}

func (k *rowKernels) rows() Rows {
	return Rows{
		Affine:        k.affineRows,
		AffineGrad:    k.affineGradRows,
		Combine:       k.combineRows,
		Gate:          k.gateRows,
		ColumnSums:    k.sums,
		Moments64:     k.moments64,
		LayerNorm:     k.norm,
		LayerNormGrad: k.normGrad,
		Exp:           k.softmaxExp,
		Softmax:       k.softmaxRows,
		SoftmaxGrad:   k.softmaxBack,
		Add:           func(y, a, b []float32) { flat3("Add", k.add, y, a, b) },
		Mul:           func(y, a, b []float32) { flat3("Mul", k.mul, y, a, b) },
		Scale:         func(y, x []float32, s float32) { flat2("Scale", k.scale, y, x, s) },
		Sum4:          k.sumOf4,
		Scan:          k.scanRows,
		ScanGrad:      k.scanGradRows,
		PackT:         k.packTransposed,
		Pack:          k.packRows,
		Prefetch:      prefetchRows,
		ActGrad:       k.actGradRow,
	}
}

// cut calls f for blocks of n contiguous rows of w elements: o is a block's first element.
func cut(n, w int, f func(o, rows int)) { cutRows(n, w, func(r, rows int) { f(r*w, rows) }) }

// cutRows calls f for blocks of n rows of w elements that take about ten microseconds: r is a block's first row.
func cutRows(n, w int, f func(r, rows int)) {
	step := max(4, maxElems/max(1, w)&^3)
	for r := 0; r < n; r += step {
		f(r, min(step, n-r))
	}
}

func (k *rowKernels) affineRows(f Act, y, x, m, a, b []float32) {
	n, w := checkAffine(f, y, x, m, a, b), len(a)
	fns, fused := k.affine, f == Identity
	if f == SiLU && b != nil {
		fns, fused = k.affineSilu, true
	}
	cut(n, w, func(o, rows int) {
		switch {
		case m != nil:
			fns.mb(at(y, o), at(x, o), at(a, 0), at(m, 0), at(b, 0), w, rows)
		case b != nil:
			fns.b(at(y, o), at(x, o), at(a, 0), at(b, 0), w, rows)
		default:
			fns.a(at(y, o), at(x, o), at(a, 0), w, rows)
		}
		if !fused {
			k.act32(f, y[o:o+rows*w], nil, y[o:o+rows*w])
		}
	})
}

// slopes holds a block's numbers for routines that have no kernel for an activation.
var slopes = sync.Pool{New: func() any { return new([]float32) }}

func (k *rowKernels) affineGradRows(f Act, dz, dy, x, m, a, b, s0, s1 []float32) {
	n, w := checkAffineGrad(f, dz, dy, x, m, a, b, s0, s1), len(a)
	cut(n, w, func(o, rows int) {
		if f == SiLU {
			k.affineGradSilu(at(dz, o), at(dy, o), at(x, o), at(s0, 0), at(s1, 0), at(m, 0), at(a, 0), at(b, 0), w, rows)
			return
		}
		from := dy[o:]
		if f != Identity {
			e := rows * w
			s := slopes.Get().(*[]float32)
			if len(*s) < e {
				*s = make([]float32, e)
			}
			z := (*s)[:e]
			k.affine.mb(at(z, 0), at(x, o), at(a, 0), at(m, 0), at(b, 0), w, rows)
			k.actGradRow(f, dz[o:o+e], dy[o:o+e], z)
			slopes.Put(s)
			from = dz[o:]
		}
		k.affineGrad(at(dz, o), at(from, 0), at(x, o), at(s0, 0), at(s1, 0), at(m, 0), w, rows)
	})
}

func (k *rowKernels) combineRows(y, u, x, a, m, b, c []float32) {
	n, w := checkCombine(y, u, x, a, m, b, c), len(a)
	cut(n, w, func(o, rows int) {
		k.combine(at(y, o), at(u, o), at(x, o), at(a, 0), at(m, 0), at(b, 0), at(c, 0), w, rows)
	})
}

func (k *rowKernels) gateRows(y, x, z, g []float32) {
	n, w := checkGate(y, x, z, g), len(g)
	cut(n, w, func(o, rows int) { k.gate(at(y, o), at(x, o), at(z, o), at(g, 0), w, rows) })
}

func (k *rowKernels) sums(s, x []float32) {
	cut(rowsOf("ColumnSums", len(x), len(s)), len(s), func(o, rows int) { k.columnSums(at(x, o), at(s, 0), len(s), rows) })
}

// moments64 takes channels in groups of four vectors, then of one; the last ones go through Go.
func (k *rowKernels) moments64(s1, s2 []float64, x, shift []float32) {
	n, w := checkMoments(s1, s2, x, shift), len(shift)
	cut(n, w, func(o, rows int) {
		c := 0
		for i := 1; i >= 0; i-- {
			group := k.lanes64
			if i == 1 {
				group *= 4
			}
			if g := (w - c) / group; g > 0 {
				k.moments[i](at(s1, c), at(s2, c), at(x, o+c), at(shift, c), w, rows, g)
				c += g * group
			}
		}
		if c < w {
			momentsColumns(s1, s2, x[o:o+rows*w], shift, c)
		}
	})
}

func (k *rowKernels) norm(y, x, a, b []float32, eps float32) {
	n, w := checkLayerNorm(y, x, a, b), len(a)
	cut(n, w, func(o, rows int) { k.layerNorm(at(y, o), at(x, o), at(a, 0), at(b, 0), w, rows, 1/float32(w), eps) })
}

func (k *rowKernels) normGrad(dx, dy, x, a, sa, sb []float32, eps float32) {
	n, w := checkLayerNormGrad(dx, dy, x, a, sa, sb), len(a)
	cut(n, w, func(o, rows int) {
		if sa == nil {
			k.layerNormGrad(at(dx, o), at(dy, o), at(x, o), at(a, 0), w, rows, 1/float32(w), eps)
		} else {
			k.layerNormGradSums(at(dx, o), at(dy, o), at(x, o), at(a, 0), at(sa, 0), at(sb, 0), w, rows, 1/float32(w), eps)
		}
	})
}

func (k *rowKernels) softmaxExp(y, x []float32, ld, n int, scale float32, sums []float32) {
	checkExp(y, x, ld, n, sums)
	if n == 0 {
		clear(sums)
		return
	}
	cutRows(len(sums), n, func(r, m int) { k.exp(at(y, r*ld), at(x, r*ld), 4*ld, n, m, scale, &sums[r]) })
}

func (k *rowKernels) softmaxRows(y, x []float32, ld, n, rows int, scale float32) {
	checkSoftmax(y, x, ld, n, rows)
	if n > 0 {
		cutRows(rows, n, func(r, m int) { k.softmax(at(y, r*ld), at(x, r*ld), 4*ld, n, m, scale) })
	}
}

func (k *rowKernels) softmaxBack(dx, p, dp []float32, ld, n, rows int, scale float32) {
	checkSoftmaxGrad(dx, p, dp, ld, n, rows)
	if n > 0 {
		cutRows(rows, n, func(r, m int) { k.softmaxGrad(at(dx, r*ld), at(p, r*ld), at(dp, r*ld), 4*ld, n, m, scale) })
	}
}

func flat3(name string, f func(y, a, b *float32, n int), y, a, b []float32) {
	check2(name, y, a, b)
	for i := 0; i < len(a); i += maxElems {
		f(at(y, i), at(a, i), at(b, i), min(maxElems, len(a)-i))
	}
}

func flat2(name string, f func(y, x *float32, n int, s float32), y, x []float32, s float32) {
	need(name, "y", len(y), len(x))
	for i := 0; i < len(x); i += maxElems {
		f(at(y, i), at(x, i), min(maxElems, len(x)-i), s)
	}
}

func (k *rowKernels) sumOf4(y, a, b, c, d []float32, s float32) {
	checkSum4(y, a, b, c, d)
	for i := 0; i < len(a); i += maxElems {
		k.sum4(at(y, i), at(a, i), at(b, i), at(c, i), at(d, i), min(maxElems, len(a)-i), s)
	}
}

// packTransposed transposes whole panels by eights of columns; the rest goes through Go.
func (k *rowKernels) packTransposed(dst, src []float32, ld, n, cols int) {
	if !checkPackT(dst, src, ld, n, cols) {
		return
	}
	full, whole := n/Panel32*Panel32, cols&^7
	for i := 0; i < full; i += Panel32 {
		if whole > 0 {
			k.packT(at(dst, i*cols), at(src, i*ld), 4*ld, whole/8)
		}
		packTRows(dst, src, ld, i, i+Panel32, whole, cols)
	}
	packTRows(dst, src, ld, full, n, 0, cols)
}

// packRows copies whole panels; the last columns go through Go.
func (k *rowKernels) packRows(dst, src []float32, ld, n, cols int) {
	if !checkPack(dst, src, ld, n, cols) {
		return
	}
	panels := cols / Panel32
	if panels > 0 {
		cut(n, panels*Panel32, func(o, rows int) {
			i := o / (panels * Panel32)
			k.pack(at(dst, i*Panel32), 4*n*Panel32, at(src, i*ld), 4*ld, rows, panels)
		})
	}
	packColumns(dst, src, ld, n, panels*Panel32, cols)
}

func (k *rowKernels) actGradRow(f Act, dx, dy, x []float32) {
	checkActGrad(f, dx, dy, x)
	for i := 0; i < len(x); i += maxElems {
		n := min(maxElems, len(x)-i)
		if fn := k.actGrad[f]; fn != nil {
			fn(at(dx, i), at(dy, i), at(x, i), n)
			continue
		}
		s := slopes.Get().(*[]float32)
		if len(*s) < 2*n {
			*s = make([]float32, 2*n)
		}
		k.act32(f, (*s)[:n], (*s)[n:2*n], x[i:i+n])
		k.mul(at(dx, i), at(dy, i), at(*s, n), n)
		slopes.Put(s)
	}
}

func prefetchRows(src []float32, ld, n, w int) {
	if checkPrefetch(src, ld, n, w) {
		avx2Prefetch(at(src, 0), 4*ld, n, (w+Panel32-1)/Panel32)
	}
}

func (k *rowKernels) scanRows(m Modes, z, u, l, s []float32) {
	w := m.check("Scan", l, [][]float32{s}, z, u)
	if w == 0 || m.Rows == 0 {
		return
	}
	m.cut(w, func(o, rows, ld int) { k.scan(at(z, o), at(u, o), at(l, 0), at(s, 0), w, rows, 4*m.Half, 4*ld) })
}

func (k *rowKernels) scanGradRows(m Modes, y, g, z, l, s, a []float32) {
	w := m.check("ScanGrad", l, [][]float32{s, a}, y, g, z)
	if w == 0 || m.Rows == 0 {
		return
	}
	m.cut(w, func(o, rows, ld int) {
		k.scanGrad(at(y, o), at(g, o), at(z, o), at(l, 0), at(s, 0), at(a, 0), w, rows, 4*m.Half, 4*ld)
	})
}
