package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
)

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
