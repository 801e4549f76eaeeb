package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The transforms of Winograd's F(2×2, 3×3): package simd, winograd.go, which defines them with the order of their
// additions. Channels come in panels of 64 bytes, a vector or two. Strides are in bytes.

func (t isa) winograd() {
	t.winogradInput()
	t.winogradOutput()
	t.winogradOutputGrad()
	t.winogradWeights()
	t.winogradWeightsGrad()
	t.transpose16()
}

// grid gives the addresses of 16 components at a stride, four bases a row of them.
type grid struct {
	base          [4]reg.GPVirtual
	stride, three reg.GPVirtual
}

func newGrid(param string) grid {
	q := grid{stride: GP64(), three: GP64()}
	for i := range q.base {
		q.base[i] = GP64()
	}
	Load(Param(param), q.stride)
	LEAQ(operand.Mem{Base: q.stride, Index: q.stride, Scale: 2}, q.three)
	return q
}

// set points component 0 to p.
func (q grid) set(p reg.Register) {
	MOVQ(p, q.base[0])
	for i := 1; i < 4; i++ {
		LEAQ(operand.Mem{Base: q.base[i-1], Index: q.stride, Scale: 4}, q.base[i])
	}
}

func (q grid) at(i, j, off int) operand.Mem {
	m := operand.Mem{Base: q.base[i], Disp: off}
	switch j {
	case 1, 2:
		m.Index, m.Scale = q.stride, uint8(j)
	case 3:
		m.Index, m.Scale = q.three, 1
	}
	return m
}

func (q grid) step(s operand.Op) {
	for _, b := range q.base {
		ADDQ(s, b)
	}
}

// zeros is what pixels outside of the image point to.
func zeros() operand.Mem {
	m, ok := pool["zeros"]
	if !ok {
		m = GLOBL("zeros", 8|16)
		for i := 0; i < 4096; i += 8 {
			DATA(i, operand.U64(0))
		}
		pool["zeros"] = m
	}
	return m
}

// pointers writes the addresses of n pixels to frame: x + pix·ld, or outside where pix is negative.
func pointers(frame operand.Mem, n int, pix, x, ld, outside, p, q reg.Register) {
	for i := range n {
		MOVLQSX(operand.Mem{Base: pix, Disp: 4 * i}, p)
		MOVQ(p, q)
		IMULQ(ld, q)
		ADDQ(x, q)
		TESTQ(p, p)
		CMOVQLT(outside, q)
		MOVQ(q, frame.Offset(8*i))
	}
	ADDQ(operand.U32(4*n), pix)
}

func (t isa) winogradInput() {
	text(t.name+"WinogradInput", "func(v *float32, vs, vt, vp int, x *float32, ld int, pix *int32, tiles, panels int)")
	e, frame := f32, AllocLocal(16*8)
	v, x, ld, pix := Load(Param("v"), GP64()), Load(Param("x"), GP64()), Load(Param("ld"), GP64()), Load(Param("pix"), GP64())
	p, off := GP64(), GP64()
	q := newGrid("vs")
	Label("tile")
	LEAQ(zeros(), off)
	pointers(frame, 16, pix, x, ld, off, p, q.base[0])
	q.set(v)
	XORQ(off, off)
	Label("panel")
	for h := 0; h < 64; h += t.vec {
		d1, d2, s, o := t.v[0:4], t.v[4:8], t.v[8:12], t.v[12:16]
		pixel := func(i, j int) operand.Mem {
			MOVQ(frame.Offset(8*(4*i+j)), p)
			return operand.Mem{Base: p, Index: off, Scale: 1, Disp: h}
		}
		for j := range 4 {
			e.mov(pixel(1, j), d1[j])
			e.mov(pixel(2, j), d2[j])
		}
		for i := range 4 {
			for j := range 4 {
				switch i {
				case 0:
					e.mov(pixel(0, j), s[j])
					e.sub(d2[j], s[j], s[j])
				case 1:
					e.add(d2[j], d1[j], s[j])
				case 2:
					e.sub(d1[j], d2[j], s[j])
				case 3:
					e.sub(pixel(3, j), d1[j], s[j])
				}
			}
			e.sub(s[2], s[0], o[0])
			e.add(s[2], s[1], o[1])
			e.sub(s[1], s[2], o[2])
			e.sub(s[3], s[1], o[3])
			for j := range 4 {
				e.mov(o[j], q.at(i, j, h))
			}
		}
	}
	Load(Param("vp"), p)
	q.step(p)
	ADDQ(operand.U32(64), off)
	MOVQ(off, p)
	SHRQ(operand.U8(6), p)
	CMPQ(p, operand.NewParamAddr("panels", 8*8))
	JLT(label("panel"))
	ADDQ(operand.NewParamAddr("vt", 2*8), v)
	DECQ(operand.NewParamAddr("tiles", 7*8))
	JNZ(label("tile"))
	VZEROUPPER()
	RET()
}

func (t isa) winogradOutput() {
	text(t.name+"WinogradOutput", "func(y *float32, ld int, pix *int32, m *float32, ms, mt, mp int, bias, r *float32, ldr, tiles, panels int)")
	e, frame := f32, AllocLocal(8*8) // four pixels of y, four of r
	pix, m := Load(Param("pix"), GP64()), Load(Param("m"), GP64())
	p, off, u, w := GP64(), GP64(), GP64(), GP64()
	q := newGrid("ms")
	Label("tile")
	XORQ(off, off)
	Load(Param("y"), u)
	Load(Param("ld"), w)
	pointers(frame, 4, pix, u, w, off, p, q.base[0])
	SUBQ(operand.U32(16), pix)
	Load(Param("r"), u)
	Load(Param("ldr"), w)
	pointers(frame.Offset(4*8), 4, pix, u, w, off, p, q.base[0])
	q.set(m)
	Load(Param("bias"), w)
	Label("panel")
	for h := 0; h < 64; h += t.vec {
		s := t.v[0:8]
		for j := range 4 {
			a, b, c := t.v[8+3*(j%2)], t.v[9+3*(j%2)], t.v[10+3*(j%2)]
			e.mov(q.at(1, j, h), a)
			e.mov(q.at(2, j, h), b)
			e.mov(q.at(0, j, h), c)
			e.add(a, c, c)
			e.add(b, c, s[j])
			e.sub(b, a, a)
			e.sub(q.at(3, j, h), a, s[4+j])
		}
		bias := t.v[8]
		e.mov(operand.Mem{Base: w, Index: off, Scale: 1, Disp: h}, bias)
		for i := range 2 {
			s := s[4*i:]
			a, b := t.v[9+2*i], t.v[10+2*i]
			e.add(s[1], s[0], a)
			e.add(s[2], a, a)
			e.sub(s[2], s[1], b)
			e.sub(s[3], b, b)
			e.add(bias, a, a)
			e.add(bias, b, b)
		}
		for i := range 4 {
			next := "next" + string(rune('0'+i)) + string(rune('0'+h/32))
			store := "store" + string(rune('0'+i)) + string(rune('0'+h/32))
			o := t.v[9+i]
			MOVQ(frame.Offset(8*i), p)
			TESTQ(p, p)
			JZ(label(next))
			Load(Param("r"), u)
			TESTQ(u, u)
			JZ(label(store))
			MOVQ(frame.Offset(8*(4+i)), u)
			e.add(operand.Mem{Base: u, Index: off, Scale: 1, Disp: h}, o, o)
			Label(store)
			e.mov(o, operand.Mem{Base: p, Index: off, Scale: 1, Disp: h})
			Label(next)
		}
	}
	Load(Param("mp"), p)
	q.step(p)
	ADDQ(operand.U32(64), off)
	MOVQ(off, p)
	SHRQ(operand.U8(6), p)
	CMPQ(p, operand.NewParamAddr("panels", 11*8))
	JLT(label("panel"))
	ADDQ(operand.NewParamAddr("mt", 5*8), m)
	DECQ(operand.NewParamAddr("tiles", 10*8))
	JNZ(label("tile"))
	VZEROUPPER()
	RET()
}

func (t isa) winogradOutputGrad() {
	text(t.name+"WinogradOutputGrad", "func(z *float32, zs, zt, zp int, dy *float32, ld int, pix *int32, tiles, panels int)")
	e := f32
	frame := AllocLocal(4 * 8)
	z, dy, ld, pix := Load(Param("z"), GP64()), Load(Param("dy"), GP64()), Load(Param("ld"), GP64()), Load(Param("pix"), GP64())
	p, off := GP64(), GP64()
	q := newGrid("zs")
	Label("tile")
	LEAQ(zeros(), off)
	pointers(frame, 4, pix, dy, ld, off, p, q.base[0])
	q.set(z)
	XORQ(off, off)
	Label("panel")
	for h := 0; h < 64; h += t.vec {
		d, s, o := t.v[0:4], t.v[4:8], t.v[8:16]
		for i := range 4 {
			MOVQ(frame.Offset(8*i), p)
			e.mov(operand.Mem{Base: p, Index: off, Scale: 1, Disp: h}, d[i])
		}
		e.add(d[2], d[0], s[0])
		e.add(d[3], d[1], s[1])
		e.sub(d[2], d[0], s[2])
		e.sub(d[3], d[1], s[3])
		for i, r := range [4][2]reg.VecPhysical{{d[0], d[1]}, {s[0], s[1]}, {s[2], s[3]}, {d[2], d[3]}} {
			e.add(r[1], r[0], o[2*i])
			e.sub(r[1], r[0], o[2*i+1])
			e.mov(r[0], q.at(i, 0, h))
			e.mov(o[2*i], q.at(i, 1, h))
			e.mov(o[2*i+1], q.at(i, 2, h))
			e.mov(r[1], q.at(i, 3, h))
		}
	}
	Load(Param("zp"), p)
	q.step(p)
	ADDQ(operand.U32(64), off)
	MOVQ(off, p)
	SHRQ(operand.U8(6), p)
	CMPQ(p, operand.NewParamAddr("panels", 8*8))
	JLT(label("panel"))
	ADDQ(operand.NewParamAddr("zt", 2*8), z)
	DECQ(operand.NewParamAddr("tiles", 7*8))
	JNZ(label("tile"))
	VZEROUPPER()
	RET()
}

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
