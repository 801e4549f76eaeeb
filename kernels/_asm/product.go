package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// product: for mb blocks of R rows and NP panels, with vectors of units in lanes,
//
//	c[r][·] = init + sum_k a[r][k] · b[k][·],  then times d[r][·] unless d is nil
//
// mode 0: init 0; 1: init bias; 2: init c. All strides are in bytes; k may be 0.
// All R·NP·(64/vec) sums stay in registers; every a is broadcast once for all panels.
func (t isa) product(e elem, R, NP int) {
	sig := fmt.Sprintf("func(c %[1]s, cm, cp int, a %[1]s, am, ak int, b %[1]s, bp, bk int, bias %[1]s, k, mode, mb int, d %[1]s)", e.ptr())
	text(t.productName(e, R, NP), sig)
	nv := 64 / t.vec * NP // vectors to a row
	acc := func(r, v int) reg.VecPhysical { return t.v[nv*r+v] }
	bv := t.v[nv*R : nv*R+nv]
	bc := t.v[nv*R+nv:]
	if len(bc) > 4 {
		bc = bc[:4]
	}

	a0 := Load(Param("a"), GP64())
	am := Load(Param("am"), GP64())
	ak := Load(Param("ak"), GP64())
	bk := Load(Param("bk"), GP64())
	c := Load(Param("c"), GP64())
	b, k, u, p := GP64(), GP64(), GP64(), GP64()
	bp := reg.GPVirtual(nil)
	if NP > 1 {
		bp = GP64()
		Load(Param("bp"), bp)
	}
	a := newRows(R, am)
	col := func(base, panel reg.Register, v int) operand.Mem {
		per := 64 / t.vec
		m := operand.Mem{Base: base, Disp: t.vec * (v % per)}
		if v/per > 0 {
			m.Index, m.Scale = panel, 1
		}
		return m
	}

	Label("block")
	LEAQ(operand.Mem{Base: am, Index: am, Scale: 2}, u)
	a.set(a0, u)
	Load(Param("mode"), u)
	CMPQ(u, operand.Imm(1))
	JEQ(label("bias"))
	JGT(label("accumulate"))
	for i := range nv * R {
		e.zero(t.v[i])
	}
	JMP(label("sum"))
	Label("bias")
	Load(Param("bias"), u)
	for r := range R {
		for v := range nv {
			if r > 0 {
				e.mov(acc(0, v), acc(r, v))
			} else {
				e.mov(mem(u, t.vec*v), acc(r, v))
			}
		}
	}
	JMP(label("sum"))
	Label("accumulate")
	Load(Param("cp"), u)
	MOVQ(c, p)
	for r := range R {
		for v := range nv {
			e.mov(col(p, u, v), acc(r, v))
		}
		if r < R-1 {
			ADDQ(operand.NewParamAddr("cm", 8), p)
		}
	}

	Label("sum")
	Load(Param("b"), b)
	Load(Param("k"), k)
	n := 0
	step := func() {
		for v := range nv {
			e.mov(col(b, bp, v), bv[v])
		}
		ADDQ(bk, b)
		for r := range R {
			x := bc[n%len(bc)]
			n++
			e.bcast(a.at(r, 0), x)
			for v := range nv {
				e.fma231(bv[v], x, acc(r, v))
			}
		}
		a.step(ak)
	}
	SUBQ(operand.Imm(2), k)
	JLT(label("odd"))
	Label("two")
	step()
	step()
	SUBQ(operand.Imm(2), k)
	JGE(label("two"))
	Label("odd")
	TESTQ(operand.U32(1), k)
	JEQ(label("done"))
	step()

	Label("done")
	Load(Param("cp"), u)
	Load(Param("d"), p)
	TESTQ(p, p)
	JEQ(label("store"))
	MOVQ(c, b) // b: the row of d that answers to c
	SUBQ(operand.NewParamAddr("c", 0), b)
	ADDQ(p, b)
	for r := range R {
		for v := range nv {
			e.mul(col(b, u, v), acc(r, v), acc(r, v))
		}
		ADDQ(operand.NewParamAddr("cm", 8), b)
	}
	Label("store")
	for r := range R {
		for v := range nv {
			e.mov(acc(r, v), col(c, u, v))
		}
		ADDQ(operand.NewParamAddr("cm", 8), c)
		ADDQ(am, a0)
	}
	DECQ(operand.NewParamAddr("mb", 12*8))
	JNZ(label("block"))
	VZEROUPPER()
	RET()
}

func (t isa) productName(e elem, R, NP int) string {
	return fmt.Sprintf("%sProduct%d_%dx%d", t.name, e.bits(), R, NP)
}
