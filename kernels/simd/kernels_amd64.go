//go:build !noasm

package simd

import "sync"

type (
	// headFn computes groups of one or four rows of one or two outputs (kernels/_asm, head). Strides in bytes; w holds
	// nv vectors a row.
	headFn func(out *float32, om int, h *float32, hs int, w *float32, ws, nv int, bias *float32, groups int)

	updateFn  func(x, s, m, z *float32, n int, c *[8]float32)
	normalsFn func(z *float32, zs int, seedLo, seedHi, block, stream, lo, hi uint32, n int)
	adamFn    func(p, m, v, grad, ema *float32, n int, s *float32)
)

// kernels is one instruction set's kernels.
type kernels struct {
	lanes          int // float32 of a vector
	f32            *productKernels[float32]
	f64            *productKernels[float64]
	head           [2][2]headFn // one or four rows, one or two outputs
	update         updateFn
	normals        normalsFn
	adam           adamFn
	peak32, peak64 func(n int)
	rows           rowKernels
	winograd       winogradKernels
}

func (k *kernels) impl(name string) *Impl {
	return &Impl{
		Name:      name,
		Product32: k.f32.product,
		Product64: k.f64.product,
		Act32:     k.act32,
		Head32:    k.head32,
		Update:    k.updateRow,
		Normals4:  k.normals4,
		Adam:      k.adamStep,
		Jet32:     k.f32.jets,
		Jet64:     k.f64.jets,
		Peak32:    func(n int) int { return peak(k.peak32, n, k.lanes) },
		Peak64:    func(n int) int { return peak(k.peak64, n, k.lanes/2) },
		Rows:      k.rows.withAct(k.act32).rows(),
		Winograd:  k.winograd.impl(),
	}
}

// maxNormals are the samples of one call for normals: about ten microseconds.
const maxNormals = 1 << 10

// rowTails holds a padded row for Act32's last elements and one for their derivatives.
var rowTails = sync.Pool{New: func() any { return new([2][Panel32]float32) }}

// act32 puts the elements left after whole rows of a panel through a padded one.
func (k *kernels) act32(f Act, y, d, x []float32) {
	checkAct(f, y, d, x)
	if f == Identity || k.f32.act[f] == nil {
		actGeneric(f, y, d, x)
		return
	}
	rows := func(y, d, x *float32, n int) {
		if d == nil {
			k.f32.act[f](y, 64, x, 64, n)
		} else {
			k.f32.grad[f](y, 64, d, 64, x, 64, n)
		}
	}
	full := len(x) &^ (Panel32 - 1)
	for i := 0; i < full; i += maxElems {
		rows(at(y, i), at(d, i), at(x, i), min(maxElems, full-i)/Panel32)
	}
	if full == len(x) {
		return
	}
	t := rowTails.Get().(*[2][Panel32]float32)
	copy(t[0][:], x[full:])
	if d == nil {
		rows(&t[0][0], nil, &t[0][0], 1)
	} else {
		rows(&t[0][0], &t[1][0], &t[0][0], 1)
		copy(d[full:len(x)], t[1][:])
	}
	copy(y[full:len(x)], t[0][:])
	rowTails.Put(t)
}

// head32 cuts the rows in fours and the outputs in pairs; a sum does not depend on the cut.
func (k *kernels) head32(out, h []float32, ld int, wt, bias []float32, m, w, outs int) {
	checkHead(out, h, ld, wt, bias, m, w, outs)
	if w == 0 {
		headGeneric(out, h, ld, wt, bias, m, w, outs)
		return
	}
	step := max(4, maxSteps/(w/8)&^3)
	for i := 0; i < m; i += step {
		n := min(step, m-i)
		for o := 0; o < outs; o += 2 {
			two := min(1, outs-o-1)
			for _, g := range [2]struct{ four, row, n int }{{1, i, n / 4}, {0, i + n&^3, n % 4}} {
				if g.n > 0 {
					k.head[g.four][two](at(out, g.row*outs+o), 4*outs, at(h, g.row*ld), 4*ld, at(wt, o*w), 4*w, w/k.lanes, at(bias, o), g.n)
				}
			}
		}
	}
}

func (k *kernels) updateRow(x, s, m, z []float32, c *[8]float32) {
	checkUpdate(x, s, m, z)
	for i := 0; i < len(x); i += maxElems {
		k.update(at(x, i), at(s, i), at(m, i), at(z, i), min(maxElems, len(x)-i), c)
	}
}

func (k *kernels) normals4(z []float32, stride int, seed uint64, stream, block uint32, sample uint64, n int) {
	checkNormals(z, stride, n)
	for i := 0; i < n; {
		id := sample + uint64(i)
		c := int(min(uint64(n-i), 1<<32-id&(1<<32-1), maxNormals)) // up to where the low word of the id overflows
		k.normals(at(z, i*stride), 4*stride, uint32(seed), uint32(seed>>32), block, stream, uint32(id), uint32(id>>32), c)
		i += c
	}
}

func (k *kernels) adamStep(p, m, v, g, ema []float32, s *AdamStep) {
	checkAdam(p, m, v, g, ema)
	for i := 0; i < len(p); i += maxElems {
		k.adam(at(p, i), at(m, i), at(v, i), at(g, i), at(ema, i), min(maxElems, len(p)-i), &s.LR)
	}
}

// peak runs n rounds in calls of a few microseconds and returns their floating-point operations.
func peak(f func(n int), n, lanes int) int {
	for left := n; left > 0; left -= 1 << 10 {
		f(min(left, 1<<10))
	}
	return 12 * 2 * lanes * n
}
