package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// normRows is how many rows of a norm take turns. What is summed over a row is needed for all of its elements, so that one row alone would wait for its sums three times. With a few rows, whose
// elements stay in the first-level cache, the sums of one are added up while the next one's elements are read.
const normRows = 4

// normScan makes passes over the rows of a block of up to normRows rows, and keeps what is known of each row.
type normScan struct {
	*rowScan
	stride    reg.Register
	i, l      reg.Register // rows left in a pass; what is known of the row
	rows      operand.Mem  // rows left, with those of the block
	n, known  operand.Mem  // rows of the block; what is known of the first one
	back      reg.Register // from the first row to the one behind the last one
	inv, eps  operand.Mem
	numbering int
}

// What is known of a row, a number each: a value m near the mean, 1/√(σ² + eps), and that times what the mean exceeds m by; of gradients ⟨g⟩ and ⟨g x̂⟩ divided by √(σ² + eps).
const (
	nearMean = iota
	invSigma
	excess
	meanG
	meanGX
	knownOfRow
)

func (t isa) newNormScan(w, rows, inv, eps operand.Mem) *normScan {
	s := &normScan{rowScan: t.newRowScan(w), stride: GP64(), i: GP64(), l: GP64(), back: GP64(), rows: rows, inv: inv, eps: eps}
	s.n, s.known = AllocLocal(8), AllocLocal(4*normRows*knownOfRow)
	MOVQ(w, s.stride)
	SHLQ(operand.U8(2), s.stride)
	return s
}

// at1 is a number of the row of a pass.
func (s *normScan) at1(what int) operand.Mem { return mem(s.l, 4*normRows*what) }

// blocks runs code for each block.
func (s *normScan) blocks(code func()) {
	Label("block")
	MOVQ(s.rows, s.i)
	MOVQ(operand.U32(normRows), s.back)
	CMPQ(s.i, s.back)
	CMOVQGT(s.back, s.i)
	MOVQ(s.i, s.n)
	MOVQ(s.i, s.back)
	IMULQ(s.stride, s.back)
	code()
	MOVQ(s.n, s.i)
	SUBQ(s.i, s.rows)
	JNZ(label("block"))
	VZEROUPPER()
	RET()
}

// each runs code for each row of the block, to which the pointers point. They go to the next block with the last pass.
func (s *normScan) each(last bool, code func(), pointers ...reg.Register) {
	s.numbering++
	row := fmt.Sprint("row", s.numbering)
	MOVQ(s.n, s.i)
	LEAQ(s.known, s.l)
	Label(row)
	code()
	for _, p := range pointers {
		ADDQ(s.stride, p)
	}
	ADDQ(operand.Imm(4), s.l)
	DECQ(s.i)
	JNZ(label(row))
	if last {
		return
	}
	for _, p := range pointers {
		SUBQ(s.back, p)
	}
}

// moments finds the mean and the deviation of the rows at x. Registers 0 to 13 are clobbered. The sums about m are corrected by their own mean, so that m's
// rounding does not matter.
func (s *normScan) moments(x reg.Register) {
	t := s.isa
	m := t.v[0]
	s.each(false, func() {
		for i := range 4 {
			f32.zero(t.v[3+i])
		}
		s.pass(4, func(i int, tail bool) {
			t.load(s.at(x, i), t.v[8+i], tail)
			f32.add(t.v[8+i], t.v[3+i], t.v[3+i])
		})
		t.total(3, 7)
		VMULSS(s.inv, xmm[3], xmm[0])
		VMOVSS(xmm[0], s.at1(nearMean))
	}, x)
	s.each(false, func() {
		f32.bcast(s.at1(nearMean), m)
		for i := range 4 {
			f32.zero(t.v[3+i])
			f32.zero(t.v[7+i])
		}
		s.pass(4, func(i int, tail bool) {
			d := t.v[11+i%3]
			t.load(s.at(x, i), d, tail)
			f32.sub(m, d, d)
			if tail {
				t.clearTail(d)
			}
			f32.add(d, t.v[3+i], t.v[3+i])
			f32.fma231(d, d, t.v[7+i])
		})
		t.total(3, 11)
		t.total(7, 11)
		f32.bcast(s.inv, t.v[11])
		f32.mul(t.v[11], t.v[3], t.v[3]) // δ
		f32.mul(t.v[11], t.v[7], t.v[7])
		f32.fnma231(t.v[3], t.v[3], t.v[7]) // σ²
		f32.zero(t.v[11])
		f32.max(t.v[7], t.v[11], t.v[7]) // NaN is in the first operand
		f32.bcast(s.eps, t.v[11])
		f32.add(t.v[11], t.v[7], t.v[7])
		VSQRTSS(xmm[7], xmm[7], xmm[7])
		VMOVSS(t.val(f32, 1), xmm[1])
		VDIVSS(xmm[7], xmm[1], xmm[1])
		VMULSS(xmm[3], xmm[1], xmm[2])
		VMOVSS(xmm[1], s.at1(invSigma))
		VMOVSS(xmm[2], s.at1(excess))
	}, x)
}

// normalised turns x into x̂ with what ready left.
func (s *normScan) normalised(h reg.VecPhysical) {
	f32.sub(s.v[0], h, h)
	VFMSUB213PS(s.v[2], s.v[1], h)
}

// ready puts the row's moments into registers 0 to 2.
func (s *normScan) ready() {
	for i, what := range []int{nearMean, invSigma, excess} {
		f32.bcast(s.at1(what), s.v[i])
	}
}

// layerNorm: rows of w elements, y = x̂·a + b; inv is 1/w.
func (t isa) layerNorm() {
	text(t.name+"LayerNorm", "func(y, x, a, b *float32, w, rows int, inv, eps float32)")
	y, x := Load(Param("y"), GP64()), Load(Param("x"), GP64())
	a, b := Load(Param("a"), GP64()), Load(Param("b"), GP64())
	s := t.newNormScan(operand.NewParamAddr("w", 32), operand.NewParamAddr("rows", 40), operand.NewParamAddr("inv", 48), operand.NewParamAddr("eps", 52))
	s.blocks(func() {
		s.moments(x)
		s.each(true, func() {
			s.ready()
			s.pass(4, func(i int, tail bool) {
				h, v := t.v[3+2*i], t.v[4+2*i]
				t.load(s.at(x, i), h, tail)
				s.normalised(h)
				t.load(s.at(a, i), v, tail)
				if tail {
					t.load(s.at(b, i), t.v[12], tail)
					f32.fma213(t.v[12], v, h)
				} else {
					f32.fma213(s.at(b, i), v, h)
				}
				t.store(h, s.at(y, i), tail)
			})
		}, x, y)
	})
}

// layerNormGrad: dx = (g - ⟨g⟩ - x̂⟨g x̂⟩)/√(σ² + eps) with g = dy·a; with sums also sa += dy·x̂ and sb += dy.
func (t isa) layerNormGrad(sums bool) {
	name, sig, at := "LayerNormGrad", "func(dx, dy, x, a *float32, w, rows int, inv, eps float32)", 32
	if sums {
		name, sig, at = "LayerNormGradSums", "func(dx, dy, x, a, sa, sb *float32, w, rows int, inv, eps float32)", 48
	}
	text(t.name+name, sig)
	dx, dy := Load(Param("dx"), GP64()), Load(Param("dy"), GP64())
	x, a := Load(Param("x"), GP64()), Load(Param("a"), GP64())
	var sa, sb reg.Register
	if sums {
		sa, sb = Load(Param("sa"), GP64()), Load(Param("sb"), GP64())
	}
	s := t.newNormScan(operand.NewParamAddr("w", at), operand.NewParamAddr("rows", at+8), operand.NewParamAddr("inv", at+16), operand.NewParamAddr("eps", at+20))
	G0, G1 := 3, 5 // two sums each
	s.blocks(func() {
		s.moments(x)
		s.each(false, func() {
			s.ready()
			for i := range 4 {
				f32.zero(t.v[3+i])
			}
			h, g, v := t.v[7], t.v[8], t.v[9]
			s.pass(2, func(i int, tail bool) {
				t.load(s.at(x, i), h, tail)
				s.normalised(h)
				t.load(s.at(dy, i), g, tail)
				if sums {
					t.load(s.at(sa, i), v, tail)
					f32.fma231(g, h, v)
					t.store(v, s.at(sa, i), tail)
					t.load(s.at(sb, i), v, tail)
					f32.add(g, v, v)
					t.store(v, s.at(sb, i), tail)
				}
				t.load(s.at(a, i), v, tail)
				f32.mul(v, g, g)
				f32.add(g, t.v[G0+i], t.v[G0+i])
				f32.fma231(g, h, t.v[G1+i])
			})
			for i, v := range []int{G0, G1} {
				f32.add(t.v[v+1], t.v[v], t.v[v])
				t.fold(v, 9, f32.add)
				VMULSS(s.inv, xmm[v], xmm[v])
				VMULSS(xmm[1], xmm[v], xmm[v])
				VMOVSS(xmm[v], s.at1(meanG+i))
			}
		}, x, dy)
		s.each(true, func() {
			s.ready()
			f32.bcast(s.at1(meanG), t.v[G0])
			f32.bcast(s.at1(meanGX), t.v[G1])
			s.pass(2, func(i int, tail bool) {
				h, g, v := t.v[7+3*i], t.v[8+3*i], t.v[9+3*i]
				t.load(s.at(x, i), h, tail)
				s.normalised(h)
				t.load(s.at(dy, i), g, tail)
				t.load(s.at(a, i), v, tail)
				f32.mul(v, g, g)
				VFMSUB213PS(t.v[G0], t.v[1], g) // g·r - ⟨g⟩ r
				f32.fnma231(t.v[G1], h, g)
				t.store(g, s.at(dx, i), tail)
			})
		}, x, dx, dy)
	})
}
