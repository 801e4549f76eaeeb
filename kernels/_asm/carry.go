package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// carry: mb blocks without activation; while the sums of a block run, SiLU (with grad its derivative too, at dd bytes
// from c) is applied to the block finished before, pr rows at prev, one vector every body steps. Its dependency chains
// and its division then hide behind the multiply-adds. k must be at least 2·body·R and 2·body·pr: a row of a block is
// two vectors.
func (t isa) carry(R, NP, body int, grad bool) {
	e := f32
	name := fmt.Sprintf("%sSilu32Carry_%dx%d", t.name, R, NP)
	if grad {
		name = fmt.Sprintf("%sSilu32GradCarry_%dx%d", t.name, R, NP)
	}
	text(name, fmt.Sprintf("func("+blockParams+", prev %[1]s, pr, dd int)", e.ptr()))
	pr := operand.NewParamAddr("pr", 14*8)
	s := t.newBlock(e, R, NP, 1)
	k := &bank{isa: t, e: e, inReg: map[string]reg.VecPhysical{}, free: t.v[s.firstFree+3:]}
	k.keep(silu32.consts(k)...)
	pv := Load(Param("prev"), GP64())
	q := GP64()

	Label("block")
	s.start()
	MOVQ(pr, s.p)
	Label("row")
	var ops code
	for v := range s.nv {
		x := s.col(pv, s.u, v)
		ops = append(ops, func() {
			if x.Index != nil {
				Load(Param("cp"), s.u)
			}
		})
		ops = append(ops, k.siluCarried(x, t.v[s.firstFree:s.firstFree+3], grad, func() operand.Mem {
			Load(Param("dd"), q)
			ADDQ(pv, q)
			return s.col(q, s.u, v)
		})...)
	}
	done, steps := 0, body*s.nv
	for i := range steps {
		s.step()
		for ; done < len(ops)*(i+1)/steps; done++ {
			ops[done]()
		}
	}
	ADDQ(operand.NewParamAddr("cm", 8), pv)
	SUBQ(operand.U32(steps), s.k)
	DECQ(s.p)
	JNZ(label("row"))
	s.rest()
	Load(Param("cp"), s.u)
	MOVQ(s.c, pv)
	MOVQ(operand.U32(R), pr)
	s.store()
	DECQ(operand.NewParamAddr("mb", 12*8))
	JNZ(label("block"))
	VZEROUPPER()
	RET()
}
