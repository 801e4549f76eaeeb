package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// softmaxExp: y = exp(scale·(x - max x)) for rows of n elements, ld bytes apart, and the sum of each; or y divided by the sum.
func (t isa) softmaxExp(divided bool) {
	if divided {
		text(t.name+"Softmax", "func(y, x *float32, ld, n, rows int, scale float32)")
	} else {
		text(t.name+"Exp", "func(y, x *float32, ld, n, rows int, scale float32, sums *float32)")
	}
	y, x := Load(Param("y"), GP64()), Load(Param("x"), GP64())
	ld := Load(Param("ld"), GP64())
	var sums reg.Register
	if !divided {
		sums = Load(Param("sums"), GP64())
	}
	s := t.newRowScan(operand.NewParamAddr("n", 24))
	side := 4 // vectors side by side
	if t.vec == 32 {
		side = 2
	}
	k := t.rowBank(6 + 4*side)
	k.keep(k.exp32consts(math.Log2E)...)
	k.keep(k.val(-87))
	Label("row")
	for i := range 4 {
		f32.bcast(mem(x, 0), t.v[i])
	}
	s.pass(4, func(i int, tail bool) {
		switch {
		case !tail:
			f32.max(s.at(x, i), t.v[i], t.v[i])
		case t.vec == 64:
			VMAXPS(s.at(x, i), t.v[i], reg.K2, t.v[i])
		default:
			t.load(s.at(x, i), t.v[4], true)
			f32.max(t.v[4], t.v[i], t.v[4])
			VBLENDVPS(t.maskReg(), t.v[4], t.v[i], t.v[i])
		}
	})
	f32.max(t.v[1], t.v[0], t.v[0])
	f32.max(t.v[3], t.v[2], t.v[2])
	f32.max(t.v[2], t.v[0], t.v[0])
	t.fold(0, 1, f32.max)
	top, sc := t.v[0], t.v[1]
	f32.bcast(operand.NewParamAddr("scale", 40), sc)
	for i := range 4 {
		f32.zero(t.v[2+i])
	}
	s.passGroups(4, func(n int, tail bool) {
		for lo := 0; lo < n; lo += side {
			var codes []code
			for i := lo; i < min(n, lo+side); i++ {
				r := t.v[6+4*(i-lo):]
				a, b, c, u := r[0], r[1], r[2], r[3]
				ops := code{
					func() { t.load(s.at(x, i), u, tail) },
					func() { f32.sub(top, u, u) },
					func() { f32.mul(sc, u, u) },
					func() { f32.max(u, k.in(k.val(-87), a), u) },
					func() { f32.mov(u, a) },
				}
				ops = append(ops, k.exp32(math.Log2E, a, b, c)...)
				codes = append(codes, append(ops,
					func() { f32.fma231(k.op(k.val(0)), u, c) }, // NaN may have lost its exponent
					func() { t.store(c, s.at(y, i), tail) },
					func() {
						if tail {
							t.clearTail(c)
						}
						f32.add(c, t.v[2+i], t.v[2+i])
					}))
			}
			interleaved(codes).emit()
		}
	})
	t.total(2, 6)
	if divided {
		VMOVSS(t.val(f32, 1), xmm[3])
		VDIVSS(xmm[2], xmm[3], xmm[3])
		VBROADCASTSS(xmm[3], t.v[3])
		s.pass(4, func(i int, tail bool) {
			v := t.v[6+i]
			t.load(s.at(y, i), v, tail)
			f32.mul(t.v[3], v, v)
			t.store(v, s.at(y, i), tail)
		})
	} else {
		VMOVSS(xmm[2], mem(sums, 0))
		ADDQ(operand.Imm(4), sums)
	}
	ADDQ(ld, y)
	ADDQ(ld, x)
	DECQ(operand.NewParamAddr("rows", 32))
	JNZ(label("row"))
	VZEROUPPER()
	RET()
}

// softmaxGrad: dx = scale·p·(dp - Σ p·dp) for rows of n elements, ld bytes apart.
func (t isa) softmaxGrad() {
	text(t.name+"SoftmaxGrad", "func(dx, p, dp *float32, ld, n, rows int, scale float32)")
	dx, p, dp := Load(Param("dx"), GP64()), Load(Param("p"), GP64()), Load(Param("dp"), GP64())
	ld := Load(Param("ld"), GP64())
	s := t.newRowScan(operand.NewParamAddr("n", 32))
	Label("row")
	for i := range 4 {
		f32.zero(t.v[i])
	}
	s.pass(4, func(i int, tail bool) {
		t.load(s.at(p, i), t.v[4+2*i], tail)
		t.load(s.at(dp, i), t.v[5+2*i], tail)
		f32.fma231(t.v[4+2*i], t.v[5+2*i], t.v[i])
	})
	t.total(0, 4)
	dot, sc := t.v[0], t.v[1]
	f32.bcast(operand.NewParamAddr("scale", 48), sc)
	s.pass(4, func(i int, tail bool) {
		a, b := t.v[4+2*i], t.v[5+2*i]
		t.load(s.at(dp, i), a, tail)
		f32.sub(dot, a, a)
		t.load(s.at(p, i), b, tail)
		f32.mul(sc, b, b)
		f32.mul(b, a, a)
		t.store(a, s.at(dx, i), tail)
	})
	ADDQ(ld, dx)
	ADDQ(ld, p)
	ADDQ(ld, dp)
	DECQ(operand.NewParamAddr("rows", 40))
	JNZ(label("row"))
	VZEROUPPER()
	RET()
}
