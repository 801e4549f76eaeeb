package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// elements runs body over n elements (in off: n·4 bytes, counted from 0): whole vectors, then the rest under a mask.
// ld and st are the moves to use; p is a pointer to element 0.
func (t isa) elements(n reg.Register, mask reg.VecPhysical, body func(ld func(p reg.Register, v reg.VecPhysical), st func(v reg.VecPhysical, p reg.Register))) {
	off := GP64()
	lanes := t.vec / 4
	at := func(p reg.Register) operand.Mem { return operand.Mem{Base: p, Index: off, Scale: 1} }
	XORQ(off, off)
	SUBQ(operand.U32(lanes), n)
	JLT(label("tail"))
	Label("loop")
	body(func(p reg.Register, v reg.VecPhysical) { VMOVUPS(at(p), v) },
		func(v reg.VecPhysical, p reg.Register) { VMOVUPS(v, at(p)) })
	ADDQ(operand.U32(t.vec), off)
	SUBQ(operand.U32(lanes), n)
	JGE(label("loop"))
	Label("tail")
	ADDQ(operand.U32(lanes), n)
	JEQ(label("end"))
	if t.vec == 64 {
		one := GP64()
		MOVQ(operand.U32(1), one)
		SHLXQ(n, one, one)
		DECQ(one)
		KMOVW(one.As32(), reg.K1)
		body(func(p reg.Register, v reg.VecPhysical) { VMOVUPS_Z(at(p), reg.K1, v) },
			func(v reg.VecPhysical, p reg.Register) { VMOVUPS(v, reg.K1, at(p)) })
	} else {
		q := GP64()
		LEAQ(t.maskTable().Offset(32), q)
		SHLQ(operand.U8(2), n)
		SUBQ(n, q)
		VMOVUPS(mem(q, 0), mask)
		body(func(p reg.Register, v reg.VecPhysical) { VMASKMOVPS(at(p), mask, v) },
			func(v reg.VecPhysical, p reg.Register) { VMASKMOVPS(v, mask, at(p)) })
	}
	Label("end")
}
