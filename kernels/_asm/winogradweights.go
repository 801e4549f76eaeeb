package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// winogradWeights: a negative ws walks through the weights of a channel from the last to the first.
func (t isa) winogradWeights() {
	text(t.name+"WinogradWeights", "func(u *float32, us, ur int, w *float32, ws, wr, rows int)")
	e := f32
	u, w, ws := Load(Param("u"), GP64()), Load(Param("w"), GP64()), Load(Param("ws"), GP64())
	p := [3]reg.GPVirtual{GP64(), GP64(), GP64()}
	q := newGrid("us")
	half := t.v[15]
	e.mov(t.val(e, 0.5), half)
	// three applies G; a and c are results as they are. It takes s as a temporary and b's register for the fourth.
	three := func(a, b, c, s reg.VecPhysical) (r [4]reg.VecPhysical) {
		e.add(c, a, s)
		e.mul(half, s, s)
		e.mul(half, b, b)
		e.sub(b, s, t.v[14])
		e.add(b, s, s)
		e.mov(t.v[14], b)
		return [4]reg.VecPhysical{a, s, b, c}
	}
	Label("row")
	q.set(u)
	MOVQ(w, p[0])
	LEAQ(operand.Mem{Base: ws, Index: ws, Scale: 2}, p[2])
	LEAQ(operand.Mem{Base: p[0], Index: p[2], Scale: 1}, p[1])
	ADDQ(p[1], p[2])
	for h := 0; h < 64; h += t.vec {
		var cols [3][4]reg.VecPhysical
		for c := range 3 {
			r := t.v[4*c:]
			for k := range 3 {
				m := operand.Mem{Base: p[k], Disp: h}
				if c > 0 {
					m.Index, m.Scale = ws, uint8(c)
				}
				e.mov(m, r[k])
			}
			cols[c] = three(r[0], r[1], r[2], r[3])
		}
		for i := range 4 {
			for j, r := range three(cols[0][i], cols[1][i], cols[2][i], t.v[13]) {
				e.mov(r, q.at(i, j, h))
			}
		}
	}
	ADDQ(operand.NewParamAddr("ur", 2*8), u)
	ADDQ(operand.NewParamAddr("wr", 5*8), w)
	DECQ(operand.NewParamAddr("rows", 6*8))
	JNZ(label("row"))
	VZEROUPPER()
	RET()
}

func (t isa) winogradWeightsGrad() {
	text(t.name+"WinogradWeightsGrad", "func(dw *float32, ds int, s *float32, ss, panels, add int)")
	e := f32
	dw, ds, s := Load(Param("dw"), GP64()), Load(Param("ds"), GP64()), Load(Param("s"), GP64())
	add := Load(Param("add"), GP64())
	p := GP64()
	q := newGrid("ss")
	half := t.v[15]
	e.mov(t.val(e, 0.5), half)
	// four applies Gᵀ to a..d and leaves the results in a, b and c.
	four := func(a, b, c, d reg.VecPhysical) {
		e.add(c, b, t.v[14])
		e.sub(c, b, b)
		e.mul(half, t.v[14], t.v[14])
		e.mul(half, b, b)
		e.add(t.v[14], a, a)
		e.sub(d, t.v[14], c)
	}
	q.set(s)
	Label("panel")
	for h := 0; h < 64; h += t.vec {
		cols := t.v[0:12] // by column, then by row
		for j := range 4 {
			c := cols[3*j:]
			for i := range 3 {
				e.mov(q.at(i, j, h), c[i])
			}
			e.mov(q.at(3, j, h), t.v[13])
			four(c[0], c[1], c[2], t.v[13])
		}
		MOVQ(dw, p)
		for i := range 3 {
			a, b, c := cols[i], cols[3+i], cols[6+i]
			four(a, b, c, cols[9+i])
			for k, r := range [3]reg.VecPhysical{a, b, c} {
				next := "next" + string(rune('0'+3*i+k)) + string(rune('0'+h/32))
				TESTQ(add, add)
				JZ(label(next))
				e.add(mem(p, h), r, r)
				Label(next)
				e.mov(r, mem(p, h))
				ADDQ(ds, p)
			}
		}
	}
	q.step(operand.U32(64))
	ADDQ(operand.U32(64), dw)
	DECQ(operand.NewParamAddr("panels", 4*8))
	JNZ(label("panel"))
	VZEROUPPER()
	RET()
}

// transpose16 works on 8×8 blocks with vectors of 32 bytes.
func (t isa) transpose16() {
	text(t.name+"Transpose16", "func(dst *float32, db, dj int, src *float32, sb, si, n int)")
	dst, dj, src, si := Load(Param("dst"), GP64()), Load(Param("dj"), GP64()), Load(Param("src"), GP64()), Load(Param("si"), GP64())
	three, to := newRows(8, si), newRows(8, dj)
	u, p := GP64(), GP64()
	v := avx2.v
	Label("block")
	for i := 0; i < 2; i++ {
		for j := 0; j < 2; j++ {
			LEAQ(operand.Mem{Base: si, Index: si, Scale: 2}, u)
			MOVQ(src, p)
			if i == 1 {
				LEAQ(operand.Mem{Base: p, Index: si, Scale: 8}, p)
			}
			three.set(p, u)
			LEAQ(operand.Mem{Base: dj, Index: dj, Scale: 2}, u)
			MOVQ(dst, p)
			if j == 1 {
				LEAQ(operand.Mem{Base: p, Index: dj, Scale: 8}, p)
			}
			to.set(p, u)
			for r := range 8 {
				VMOVUPS(three.at(r, 32*j), v[r])
			}
			for r := 0; r < 8; r += 2 {
				VUNPCKLPS(v[r+1], v[r], v[8+r])
				VUNPCKHPS(v[r+1], v[r], v[9+r])
			}
			for r := 0; r < 8; r += 4 {
				VUNPCKLPD(v[10+r], v[8+r], v[r])
				VUNPCKHPD(v[10+r], v[8+r], v[r+1])
				VUNPCKLPD(v[11+r], v[9+r], v[r+2])
				VUNPCKHPD(v[11+r], v[9+r], v[r+3])
			}
			for r := range 4 {
				VPERM2F128(operand.U8(0x20), v[4+r], v[r], v[8+r])
				VPERM2F128(operand.U8(0x31), v[4+r], v[r], v[12+r])
			}
			for r := range 8 {
				VMOVUPS(v[8+r], to.at(r, 32*i))
			}
		}
	}
	ADDQ(operand.NewParamAddr("db", 8), dst)
	ADDQ(operand.NewParamAddr("sb", 4*8), src)
	DECQ(operand.NewParamAddr("n", 6*8))
	JNZ(label("block"))
	VZEROUPPER()
	RET()
}
