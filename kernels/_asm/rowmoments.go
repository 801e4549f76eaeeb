package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
)

// moments64: s1 += x - k and s2 += (x - k)² in float64, for n groups of B vectors of channels. The rows of a group are
// 4w bytes apart.
func (t isa) moments64(B int) {
	text(fmt.Sprintf("%sMoments_%d", t.name, B), "func(s1, s2 *float64, x, k *float32, w, rows, n int)")
	s1, s2 := Load(Param("s1"), GP64()), Load(Param("s2"), GP64())
	x, k := Load(Param("x"), GP64()), Load(Param("k"), GP64())
	stride := Load(Param("w"), GP64())
	SHLQ(operand.U8(2), stride)
	n := Load(Param("n"), GP64())
	p, rows := GP64(), GP64()
	half := t.vec / 2
	S1, S2, K, D := t.v[:B], t.v[B:2*B], t.v[2*B:3*B], t.v[3*B:]
	Label("group")
	for b := range B {
		VCVTPS2PD(mem(k, half*b), K[b])
		VMOVUPD(mem(s1, t.vec*b), S1[b])
		VMOVUPD(mem(s2, t.vec*b), S2[b])
	}
	MOVQ(x, p)
	Load(Param("rows"), rows)
	Label("row")
	for b := range B {
		d := D[b%len(D)]
		VCVTPS2PD(mem(p, half*b), d)
		VSUBPD(K[b], d, d)
		VADDPD(d, S1[b], S1[b])
		VFMADD231PD(d, d, S2[b])
	}
	ADDQ(stride, p)
	DECQ(rows)
	JNZ(label("row"))
	for b := range B {
		VMOVUPD(S1[b], mem(s1, t.vec*b))
		VMOVUPD(S2[b], mem(s2, t.vec*b))
	}
	ADDQ(operand.U32(t.vec*B), s1)
	ADDQ(operand.U32(t.vec*B), s2)
	ADDQ(operand.U32(half*B), x)
	ADDQ(operand.U32(half*B), k)
	DECQ(n)
	JNZ(label("group"))
	VZEROUPPER()
	RET()
}
