package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// carried is an activation that a product applies to the block before: its constants, and its code for a vector at x, in place. The code has the operations of the
// activation's pass of its own on the same numbers. With grad, d gives the address of the derivative once y is stored.
type carried struct {
	act
	asks bool // it prefetches; not worth it in chains of layers, whose rows and weights are in near caches
	code func(k *bank, x operand.Mem, t []reg.VecPhysical, grad bool, d func() operand.Mem) code
}

var (
	siluCarried     = carried{silu32, false, (*bank).siluCarried}
	geluTanhCarried = carried{geluTanh32, true, (*bank).geluTanhCarried}
)

// carry: mb blocks without activation; while the sums of a block run, an activation (with grad its derivative too, at dd bytes
// from c) is applied to the block finished before, pr rows at prev, one vector every body steps. Its dependency chains
// and its division then hide behind the multiply-adds. k must be at least 2·body·R and 2·body·pr: a row of a block is
// two vectors. An activation that asks for it prefetches the lines of c and of the derivative into which the block and the next one store, and with the steps that carry nothing the lines at next, as product does.
func (t isa) carry(f carried, R, NP, body int, grad bool) {
	e := f32
	name := fmt.Sprintf("%s%s32Carry_%dx%d", t.name, f.name, R, NP)
	if grad {
		name = fmt.Sprintf("%s%s32GradCarry_%dx%d", t.name, f.name, R, NP)
	}
	text(name, fmt.Sprintf("func("+blockParams+", prev %[1]s, pr, dd int, next uintptr, stride, second int)", e.ptr()))
	pr := operand.NewParamAddr("pr", 14*8)
	s := t.newBlock(e, R, NP, 1)
	if f.asks {
		s.lines = 16
	}
	k := &bank{isa: t, e: e, inReg: map[string]reg.VecPhysical{}, free: t.v[s.firstFree+f.temps:]}
	k.keep(f.consts(k)...)
	pv := Load(Param("prev"), GP64())
	q := GP64()
	var gap operand.Mem // from prev to c
	ahead := f.asks && grad
	if ahead {
		gap = AllocLocal(8)
	}

	Label("block")
	if f.asks {
		MOVQ(s.c, s.p)
		s.prefetch(s.p)
	}
	if ahead {
		MOVQ(s.c, s.p)
		SUBQ(pv, s.p)
		MOVQ(s.p, gap)
	}
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
		ops = append(ops, f.code(k, x, t.v[s.firstFree:s.firstFree+f.temps], grad, func() operand.Mem {
			Load(Param("dd"), q)
			ADDQ(pv, q)
			return s.col(q, s.u, v)
		})...)
	}
	if ahead {
		ops = append(ops, func() {
			ADDQ(gap, q)
			PREFETCHT0(operand.Mem{Base: q})
			if NP > 1 {
				PREFETCHT0(operand.Mem{Base: q, Index: s.u, Scale: 1})
			}
		})
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
	s.addToC()
	MOVQ(s.c, pv)
	MOVQ(operand.U32(R), pr)
	s.store()
	DECQ(operand.NewParamAddr("mb", 12*8))
	JNZ(label("block"))
	VZEROUPPER()
	RET()
}

// siluCarried is silu32 with three temporaries.
func (k *bank) siluCarried(x operand.Mem, t []reg.VecPhysical, grad bool, d func() operand.Mem) code {
	a, b, c := t[0], t[1], t[2]
	lo, hi, one := k.val(-87), k.val(87), k.val(1)
	ops := code{
		func() { k.e.mov(k.op(lo), a) },
		func() { k.e.max(x, a, a) },
		func() { k.e.mov(k.op(hi), b) },
		func() { k.e.min(a, b, a) },
	}
	ops = append(ops, k.exp32(-math.Log2E, a, b, c)...)
	if !grad {
		return append(ops,
			func() { k.e.add(k.op(one), c, c) },
			func() { k.e.mov(k.op(lo), a) },
			func() { k.e.max(x, a, a) },
			func() { k.e.div(c, a, a) },
			func() { k.e.mov(a, x) })
	}
	return append(ops,
		func() { k.e.add(k.op(one), c, a) },
		func() { k.e.mov(k.op(one), b) },
		func() { k.e.div(a, b, b) },
		func() { k.e.mul(b, c, c) },
		func() { k.e.mov(k.op(lo), a) },
		func() { k.e.max(x, a, a) },
		func() { k.e.mul(b, a, a) },
		func() { k.e.mov(a, x) },
		func() { k.e.mov(k.op(hi), a) },
		func() { k.e.min(x, a, a) },
		func() { k.e.fma231(c, a, b) },
		func() { k.e.mov(b, d()) })
}

// geluTanhCarried is geluTanh32 with four temporaries.
func (k *bank) geluTanhCarried(x operand.Mem, t []reg.VecPhysical, grad bool, d func() operand.Mem) code {
	a, b, c, u := t[0], t[1], t[2], t[3]
	lo, hi, one := k.val(-geluTanhMax), k.val(geluTanhMax), k.val(1)
	ops := code{
		func() { k.e.mov(k.op(lo), a) },
		func() { k.e.max(x, a, a) },
		func() { k.e.mov(k.op(hi), b) },
		func() { k.e.min(a, b, a) }, // x limited
		func() { k.e.mul(a, a, b) },
		func() { k.e.mov(k.op(k.val(geluTanh1)), c) },
		func() { k.e.fma231(k.op(k.val(geluTanh3)), b, c) },
		func() { k.e.mul(c, a, a) },
	}
	ops = append(ops, k.exp32(-math.Log2E, a, b, c)...)
	if !grad {
		return append(ops,
			func() { k.e.add(k.op(one), c, c) },
			func() { k.e.mov(k.op(lo), a) },
			func() { k.e.max(x, a, a) },
			func() { k.e.div(c, a, a) },
			func() { k.e.mov(a, x) })
	}
	return append(ops,
		func() { k.e.add(k.op(one), c, a) },
		func() { k.e.mov(k.op(one), b) },
		func() { k.e.div(a, b, b) }, // s
		func() { k.e.mov(k.op(lo), u) },
		func() { k.e.max(x, u, u) },
		func() { k.e.mov(k.op(hi), a) },
		func() { k.e.min(u, a, a) }, // x limited
		func() { k.e.mul(b, u, u) },
		func() { k.e.mov(u, x) },
		func() { k.e.mul(b, c, c) }, // 1-s
		func() { k.e.mul(a, c, c) },
		func() { k.e.mul(a, a, a) },
		func() { k.e.mov(k.op(k.val(geluTanh1)), u) },
		func() { k.e.fma231(k.op(k.val(3*geluTanh3)), a, u) }, // u'
		func() { k.e.mul(u, c, c) },
		func() { k.e.mov(b, a) },
		func() { k.e.fma231(c, b, a) },
		func() { k.e.mov(a, d()) })
}
