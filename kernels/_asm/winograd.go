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
