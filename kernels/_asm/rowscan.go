package main

import (
	"fmt"

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
