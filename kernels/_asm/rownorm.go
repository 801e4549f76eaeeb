package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// moments leaves in registers 0, 1 and 2, for the row at x: a value m near the mean, 1/√(σ² + eps), and that times what
// the mean exceeds m by. Registers 3 to 13 are clobbered. The sums about m are corrected by their own mean, so that m's
// rounding does not matter.
func (s *rowScan) moments(x reg.Register, inv, eps operand.Mem) {
	t := s.isa
	m, r, dr := t.v[0], t.v[1], t.v[2]
	for i := range 4 {
		f32.zero(t.v[3+i])
	}
	s.pass(4, func(i int, tail bool) {
		t.load(s.at(x, i), t.v[8+i], tail)
		f32.add(t.v[8+i], t.v[3+i], t.v[3+i])
	})
	t.total(3, 7)
	f32.bcast(inv, t.v[8])
	f32.mul(t.v[8], t.v[3], m)
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
	f32.bcast(inv, t.v[11])
	f32.mul(t.v[11], t.v[3], t.v[3]) // δ
	f32.mul(t.v[11], t.v[7], t.v[7])
	f32.fnma231(t.v[3], t.v[3], t.v[7]) // σ²
	f32.zero(t.v[11])
	f32.max(t.v[7], t.v[11], t.v[7]) // NaN is in the first operand
	f32.bcast(eps, t.v[11])
	f32.add(t.v[11], t.v[7], t.v[7])
	f32.sqrt(t.v[7], t.v[7])
	f32.mov(t.val(f32, 1), r)
	f32.div(t.v[7], r, r)
	f32.mul(t.v[3], r, dr)
}

// layerNorm: rows of w elements, y = x̂·a + b; inv is 1/w.
func (t isa) layerNorm() {
	text(t.name+"LayerNorm", "func(y, x, a, b *float32, w, rows int, inv, eps float32)")
	y, x := Load(Param("y"), GP64()), Load(Param("x"), GP64())
	a, b := Load(Param("a"), GP64()), Load(Param("b"), GP64())
	w, rows := operand.NewParamAddr("w", 32), operand.NewParamAddr("rows", 40)
	s := t.newRowScan(w)
	stride := GP64()
	MOVQ(w, stride)
	SHLQ(operand.U8(2), stride)
	Label("row")
	s.moments(x, operand.NewParamAddr("inv", 48), operand.NewParamAddr("eps", 52))
	s.pass(4, func(i int, tail bool) {
		h, v := t.v[3+2*i], t.v[4+2*i]
		t.load(s.at(x, i), h, tail)
		t.normalised(h)
		t.load(s.at(a, i), v, tail)
		if tail {
			t.load(s.at(b, i), t.v[12], tail)
			f32.fma213(t.v[12], v, h)
		} else {
			f32.fma213(s.at(b, i), v, h)
		}
		t.store(h, s.at(y, i), tail)
	})
	ADDQ(stride, x)
	ADDQ(stride, y)
	DECQ(rows)
	JNZ(label("row"))
	VZEROUPPER()
	RET()
}

// normalised turns x into x̂ with what moments left.
func (t isa) normalised(h reg.VecPhysical) {
	f32.sub(t.v[0], h, h)
	VFMSUB213PS(t.v[2], t.v[1], h)
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
	w, rows := operand.NewParamAddr("w", at), operand.NewParamAddr("rows", at+8)
	inv := operand.NewParamAddr("inv", at+16)
	s := t.newRowScan(w)
	stride := GP64()
	MOVQ(w, stride)
	SHLQ(operand.U8(2), stride)
	Label("row")
	s.moments(x, inv, operand.NewParamAddr("eps", at+20))
	for i := range 4 {
		f32.zero(t.v[3+i])
	}
	G0, G1 := 3, 5 // two sums each
	h, g, v := t.v[7], t.v[8], t.v[9]
	s.pass(2, func(i int, tail bool) {
		t.load(s.at(x, i), h, tail)
		t.normalised(h)
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
	for _, v := range []int{G0, G1} {
		f32.add(t.v[v+1], t.v[v], t.v[v])
		t.fold(v, 9, f32.add)
		f32.bcast(inv, t.v[9])
		f32.mul(t.v[9], t.v[v], t.v[v])
		f32.mul(t.v[1], t.v[v], t.v[v])
	}
	s.pass(2, func(i int, tail bool) {
		h, g, v := t.v[7+3*i], t.v[8+3*i], t.v[9+3*i]
		t.load(s.at(x, i), h, tail)
		t.normalised(h)
		t.load(s.at(dy, i), g, tail)
		t.load(s.at(a, i), v, tail)
		f32.mul(v, g, g)
		VFMSUB213PS(t.v[G0], t.v[1], g) // g·r - ⟨g⟩ r
		f32.fnma231(t.v[G1], h, g)
		t.store(g, s.at(dx, i), tail)
	})
	for _, p := range []reg.Register{x, dx, dy} {
		ADDQ(stride, p)
	}
	DECQ(rows)
	JNZ(label("row"))
	VZEROUPPER()
	RET()
}
