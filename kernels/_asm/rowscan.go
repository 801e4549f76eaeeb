package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rowScan makes passes over the elements of one row, off bytes from the pointers.
type rowScan struct {
	isa
	off, cnt reg.Register
	w        operand.Mem // elements of a row
	passes   int
}

func (t isa) newRowScan(w operand.Mem) *rowScan {
	s := &rowScan{isa: t, off: GP64(), cnt: GP64(), w: w}
	MOVQ(w, s.cnt)
	t.tailMask(s.cnt)
	return s
}

func (s *rowScan) at(p reg.Register, vector int) operand.Mem {
	return operand.Mem{Base: p, Index: s.off, Scale: 1, Disp: s.vec * vector}
}

// pass calls body for each vector: first U at once, i counting them, then one by one, then the tail.
func (s *rowScan) pass(U int, body func(i int, tail bool)) {
	s.passGroups(U, func(n int, tail bool) {
		for i := range n {
			body(i, tail)
		}
	})
}

// passGroups is pass with a body for n vectors at once.
func (s *rowScan) passGroups(U int, body func(n int, tail bool)) {
	s.passes++
	id := fmt.Sprint(s.passes)
	lanes := s.vec / 4
	XORQ(s.off, s.off)
	MOVQ(s.w, s.cnt)
	if U > 1 {
		SUBQ(operand.U32(lanes*U), s.cnt)
		JLT(label("few" + id))
		Label("many" + id)
		body(U, false)
		ADDQ(operand.U32(s.vec*U), s.off)
		SUBQ(operand.U32(lanes*U), s.cnt)
		JGE(label("many" + id))
		Label("few" + id)
		ADDQ(operand.U32(lanes*U), s.cnt)
	}
	SUBQ(operand.U32(lanes), s.cnt)
	JLT(label("part" + id))
	Label("single" + id)
	body(1, false)
	ADDQ(operand.U32(s.vec), s.off)
	SUBQ(operand.U32(lanes), s.cnt)
	JGE(label("single" + id))
	Label("part" + id)
	ADDQ(operand.U32(lanes), s.cnt)
	JEQ(label("over" + id))
	body(1, true)
	Label("over" + id)
}

// interleaved takes an instruction of each code in turn, so that chains of dependent instructions run side by side.
func interleaved(codes []code) (all code) {
	for i := 0; ; i++ {
		n := len(all)
		for _, c := range codes {
			if i < len(c) {
				all = append(all, c[i])
			}
		}
		if len(all) == n {
			return all
		}
	}
}

// fold reduces the lanes of register v by f, which works on registers of any width, and copies the result to all lanes.
// The registers v and tmp are among the first 16.
func (t isa) fold(v, tmp int, f func(ops ...operand.Op)) {
	if t.vec == 64 {
		VEXTRACTF64X4(operand.U8(1), t.v[v], ymm[tmp])
		f(ymm[tmp], ymm[v], ymm[v])
	}
	VEXTRACTF128(operand.U8(1), ymm[v], xmm[tmp])
	f(xmm[tmp], xmm[v], xmm[v])
	VMOVHLPS(xmm[v], xmm[v], xmm[tmp])
	f(xmm[tmp], xmm[v], xmm[v])
	VMOVSHDUP(xmm[v], xmm[tmp])
	f(xmm[tmp], xmm[v], xmm[v])
	VBROADCASTSS(xmm[v], t.v[v])
}

// total adds the four sums from register v on into v's lanes.
func (t isa) total(v, tmp int) {
	f32.add(t.v[v+1], t.v[v], t.v[v])
	f32.add(t.v[v+3], t.v[v+2], t.v[v+2])
	f32.add(t.v[v+2], t.v[v], t.v[v])
	t.fold(v, tmp, f32.add)
}

// clearTail sets the lanes beyond the row's end to zero.
func (t isa) clearTail(v reg.VecPhysical) {
	if t.vec == 64 {
		VMOVAPS_Z(v, reg.K2, v)
		return
	}
	VANDPS(t.maskReg(), v, v)
}

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

// softmaxExp: y = exp(scale·(x - max x)) for a row of n elements, and the sum of y.
func (t isa) softmaxExp() {
	text(t.name+"Exp", "func(y, x *float32, n int, scale float32) float32")
	y, x := Load(Param("y"), GP64()), Load(Param("x"), GP64())
	s := t.newRowScan(operand.NewParamAddr("n", 16))
	for i := range 4 {
		f32.bcast(mem(x, 0), t.v[i])
	}
	s.pass(4, func(i int, tail bool) {
		switch {
		case !tail:
			f32.max(s.at(x, i), t.v[i], t.v[i])
		case t.vec == 64:
			VMAXPS(s.at(x, i), t.v[i], reg.K2, t.v[i])
		default:
			t.load(s.at(x, i), t.v[4], true)
			f32.max(t.v[4], t.v[i], t.v[4])
			VBLENDVPS(t.maskReg(), t.v[4], t.v[i], t.v[i])
		}
	})
	f32.max(t.v[1], t.v[0], t.v[0])
	f32.max(t.v[3], t.v[2], t.v[2])
	f32.max(t.v[2], t.v[0], t.v[0])
	t.fold(0, 1, f32.max)
	top, sc := t.v[0], t.v[1]
	f32.bcast(operand.NewParamAddr("scale", 24), sc)
	for i := range 4 {
		f32.zero(t.v[2+i])
	}
	side := 4 // vectors side by side
	if t.vec == 32 {
		side = 2
	}
	k := t.rowBank(6 + 4*side)
	k.keep(k.exp32consts(math.Log2E)...)
	k.keep(k.val(-87))
	s.passGroups(4, func(n int, tail bool) {
		for lo := 0; lo < n; lo += side {
			var codes []code
			for i := lo; i < min(n, lo+side); i++ {
				r := t.v[6+4*(i-lo):]
				a, b, c, u := r[0], r[1], r[2], r[3]
				ops := code{
					func() { t.load(s.at(x, i), u, tail) },
					func() { f32.sub(top, u, u) },
					func() { f32.mul(sc, u, u) },
					func() { f32.max(u, k.in(k.val(-87), a), u) },
					func() { f32.mov(u, a) },
				}
				ops = append(ops, k.exp32(math.Log2E, a, b, c)...)
				codes = append(codes, append(ops,
					func() { f32.fma231(k.op(k.val(0)), u, c) }, // NaN may have lost its exponent
					func() { t.store(c, s.at(y, i), tail) },
					func() {
						if tail {
							t.clearTail(c)
						}
						f32.add(c, t.v[2+i], t.v[2+i])
					}))
			}
			interleaved(codes).emit()
		}
	})
	t.total(2, 6)
	Store(xmm[2], ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// softmaxGrad: dx = scale·p·(dp - Σ p·dp) for a row of n elements.
func (t isa) softmaxGrad() {
	text(t.name+"SoftmaxGrad", "func(dx, p, dp *float32, n int, scale float32)")
	dx, p, dp := Load(Param("dx"), GP64()), Load(Param("p"), GP64()), Load(Param("dp"), GP64())
	s := t.newRowScan(operand.NewParamAddr("n", 24))
	for i := range 4 {
		f32.zero(t.v[i])
	}
	s.pass(4, func(i int, tail bool) {
		t.load(s.at(p, i), t.v[4+2*i], tail)
		t.load(s.at(dp, i), t.v[5+2*i], tail)
		f32.fma231(t.v[4+2*i], t.v[5+2*i], t.v[i])
	})
	t.total(0, 4)
	dot, sc := t.v[0], t.v[1]
	f32.bcast(operand.NewParamAddr("scale", 32), sc)
	s.pass(4, func(i int, tail bool) {
		a, b := t.v[4+2*i], t.v[5+2*i]
		t.load(s.at(dp, i), a, tail)
		f32.sub(dot, a, a)
		t.load(s.at(p, i), b, tail)
		f32.mul(sc, b, b)
		f32.mul(b, a, a)
		t.store(a, s.at(dx, i), tail)
	})
	VZEROUPPER()
	RET()
}

// flat: elementwise kernels on n elements.
func (t isa) flat() {
	e := f32
	each := func(name, params string, scalar string, body func(in []reg.VecPhysical, s reg.VecPhysical), in ...string) {
		sig := fmt.Sprintf("func(%s *float32, n int)", params)
		if scalar != "" {
			sig = fmt.Sprintf("func(%s *float32, n int, %s float32)", params, scalar)
		}
		text(t.name+name, sig)
		var ps []reg.Register
		for _, p := range in {
			ps = append(ps, Load(Param(p), GP64()))
		}
		y := Load(Param("y"), GP64())
		n := Load(Param("n"), GP64())
		s := t.v[8]
		if scalar != "" {
			a, err := Param(scalar).Resolve()
			if err != nil {
				panic(err)
			}
			e.bcast(a.Addr, s)
		}
		t.elements(n, t.v[15], func(ld func(reg.Register, reg.VecPhysical), st func(reg.VecPhysical, reg.Register)) {
			for i, p := range ps {
				ld(p, t.v[i])
			}
			body(t.v[:len(ps)], s)
			st(t.v[0], y)
		})
		VZEROUPPER()
		RET()
	}
	each("Add", "y, a, b", "", func(v []reg.VecPhysical, _ reg.VecPhysical) { e.add(v[1], v[0], v[0]) }, "a", "b")
	each("Mul", "y, a, b", "", func(v []reg.VecPhysical, _ reg.VecPhysical) { e.mul(v[1], v[0], v[0]) }, "a", "b")
	each("MulAdd", "y, a, b", "", func(v []reg.VecPhysical, _ reg.VecPhysical) { e.fma231(v[1], v[2], v[0]) }, "y", "a", "b")
	each("Scale", "y, x", "s", func(v []reg.VecPhysical, s reg.VecPhysical) { e.mul(s, v[0], v[0]) }, "x")
	each("Axpy", "y, x", "s", func(v []reg.VecPhysical, s reg.VecPhysical) { e.fma231(s, v[1], v[0]) }, "y", "x")
	each("Sum4", "y, a, b, c, d", "s", func(v []reg.VecPhysical, s reg.VecPhysical) {
		e.add(v[1], v[0], v[0])
		e.add(v[3], v[2], v[2])
		e.add(v[2], v[0], v[0])
		e.mul(s, v[0], v[0])
	}, "a", "b", "c", "d")
}

// packT transposes 16 rows, ld bytes apart, of n groups of 8 columns to a panel: dst[64·j + 4·i] = src[i·ld + 4·j].
func (t isa) packT() {
	text(t.name+"PackT", "func(dst, src *float32, ld, n int)")
	dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	ld := Load(Param("ld"), GP64())
	n := GP64()
	three := GP64()
	LEAQ(operand.Mem{Base: ld, Index: ld, Scale: 2}, three)
	r := newRows(16, ld)
	r.set(src, three)
	Load(Param("n"), n)
	Label("group")
	for half := range 2 {
		a, b := t.v[:8], t.v[8:16]
		for i := range 4 {
			// rows i and i+4, columns 0..3 and 4..7 in the lanes
			lo, hi := r.at(8*half+i, 0), r.at(8*half+i+4, 0)
			VMOVUPS(lo, xmm[i])
			VINSERTF128(operand.U8(1), hi, a[i], a[i])
			lo.Disp, hi.Disp = 16, 16
			VMOVUPS(lo, xmm[4+i])
			VINSERTF128(operand.U8(1), hi, a[4+i], a[4+i])
		}
		for q := range 2 { // columns 0..3, 4..7
			v, u := a[4*q:], b[4*q:]
			VUNPCKLPS(v[1], v[0], u[0])
			VUNPCKHPS(v[1], v[0], u[1])
			VUNPCKLPS(v[3], v[2], u[2])
			VUNPCKHPS(v[3], v[2], u[3])
			VUNPCKLPD(u[2], u[0], v[0])
			VUNPCKHPD(u[2], u[0], v[1])
			VUNPCKLPD(u[3], u[1], v[2])
			VUNPCKHPD(u[3], u[1], v[3])
			for j := range 4 {
				VMOVUPS(v[j], mem(dst, 64*(4*q+j)+32*half))
			}
		}
	}
	r.step(operand.U32(32))
	ADDQ(operand.U32(8*64), dst)
	DECQ(n)
	JNZ(label("group"))
	VZEROUPPER()
	RET()
}

// actGrad: dx = dy·f'(x) for n elements.
func (t isa) actGrad(f act) {
	text(t.name+"ActGrad"+f.name, "func(dx, dy, x *float32, n int)")
	dx, dy, x := Load(Param("dx"), GP64()), Load(Param("dy"), GP64()), Load(Param("x"), GP64())
	s := t.newRowScan(operand.NewParamAddr("n", 24))
	k := t.rowBank(3 + f.temps)
	k.keep(f.consts(k)...)
	s.pass(1, func(_ int, tail bool) {
		v, y, d := t.v[0], t.v[1], t.v[2]
		t.load(s.at(x, 0), v, tail)
		f.code(k, v, y, d, t.v[3:3+f.temps], true).emit()
		t.load(s.at(dy, 0), y, tail)
		f32.mul(y, d, d)
		t.store(d, s.at(dx, 0), tail)
	})
	VZEROUPPER()
	RET()
}

// pack: n rows, ld bytes apart, of p panels of 64 bytes; a panel's rows are contiguous and the panels dp bytes apart.
func (t isa) pack() {
	text(t.name+"Pack", "func(dst *float32, dp int, src *float32, ld, n, p int)")
	dst, dp := Load(Param("dst"), GP64()), Load(Param("dp"), GP64())
	src, ld, n := Load(Param("src"), GP64()), Load(Param("ld"), GP64()), Load(Param("n"), GP64())
	d, s, p := GP64(), GP64(), GP64()
	Label("row")
	MOVQ(dst, d)
	MOVQ(src, s)
	Load(Param("p"), p)
	Label("panel")
	for v := 0; v < 64; v += t.vec {
		VMOVUPS(mem(s, v), t.v[v/t.vec])
		VMOVUPS(t.v[v/t.vec], mem(d, v))
	}
	ADDQ(operand.U32(64), s)
	ADDQ(dp, d)
	DECQ(p)
	JNZ(label("panel"))
	ADDQ(operand.U32(64), dst)
	ADDQ(ld, src)
	DECQ(n)
	JNZ(label("row"))
	VZEROUPPER()
	RET()
}

// prefetch asks for n rows, ld bytes apart, of the given number of cache lines.
func (t isa) prefetch() {
	text(t.name+"Prefetch", "func(src *float32, ld, n, lines int)")
	src, ld, n := Load(Param("src"), GP64()), Load(Param("ld"), GP64()), Load(Param("n"), GP64())
	p, c := GP64(), GP64()
	Label("row")
	MOVQ(src, p)
	Load(Param("lines"), c)
	Label("line")
	PREFETCHT1(mem(p, 0))
	ADDQ(operand.U32(64), p)
	DECQ(c)
	JNZ(label("line"))
	ADDQ(ld, src)
	DECQ(n)
	JNZ(label("row"))
	RET()
}
