package main

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

var (
	geluTanh1 = 2 * math.Sqrt(2/math.Pi)
	geluTanh3 = geluTanh1 * 0.044715
)

// geluTanhMax keeps u's exponential a normal number.
const geluTanhMax = 10

// geluTanh32: with u = x (geluTanh1 + geluTanh3 x²), e = e^-u and s = 1/(1+e): y = x/(1+e) and
// y' = s + x s² e u', where 1-s is s e. The limits are those of silu32.
var geluTanh32 = act{"GeluTanh", 4,
	func(k *bank) []operand.Mem {
		return append(k.exp32consts(-math.Log2E), k.val(geluTanh1), k.val(geluTanh3), k.val(-geluTanhMax), k.val(geluTanhMax))
	},
	func(k *bank, x operand.Op, y, d reg.VecPhysical, t []reg.VecPhysical, grad bool) code {
		a, b, c, u := t[0], t[1], t[2], t[3]
		lo, hi, one := k.val(-geluTanhMax), k.val(geluTanhMax), k.val(1)
		ops := code{
			func() { k.e.max(x, k.in(lo, y), y) },
			func() { k.e.min(y, k.in(hi, u), u) }, // x limited
			func() { k.e.mul(u, u, a) },
			func() { k.e.mov(k.op(k.val(geluTanh1)), b) },
			func() { k.e.fma231(k.op(k.val(geluTanh3)), a, b) },
			func() { k.e.mul(b, u, a) },
		}
		ops = append(ops, k.exp32(-math.Log2E, a, b, c)...)
		if !grad {
			return append(ops,
				func() { k.e.add(k.op(one), c, c) },
				func() { k.e.div(c, y, y) })
		}
		return append(ops,
			func() { k.e.add(k.op(one), c, a) },
			func() { k.e.div(a, k.in(one, b), b) }, // s
			func() { k.e.mul(b, y, y) },
			func() { k.e.mul(b, c, c) }, // 1-s
			func() { k.e.mul(u, c, c) },
			func() { k.e.mul(u, u, u) },
			func() { k.e.mov(k.op(k.val(geluTanh1)), a) },
			func() { k.e.fma231(k.op(k.val(3*geluTanh3)), u, a) }, // u'
			func() { k.e.mul(a, c, c) },
			func() { k.e.mov(b, d) },
			func() { k.e.fma231(c, b, d) })
	}}
