package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// bank hands out constants: from registers while there are any, else as memory operands.
type bank struct {
	isa
	e     elem
	inReg map[string]reg.VecPhysical
	free  []reg.VecPhysical
}

// keep loads the constants into the free registers, in order of preference.
func (k *bank) keep(xs ...operand.Mem) {
	for _, m := range xs {
		if _, ok := k.inReg[m.Symbol.Name]; ok || len(k.free) == 0 {
			continue
		}
		k.e.mov(m, k.free[0])
		k.inReg[m.Symbol.Name] = k.free[0]
		k.free = k.free[1:]
	}
}

// op is a constant as an operand that may be in memory.
func (k *bank) op(m operand.Mem) operand.Op {
	if r, ok := k.inReg[m.Symbol.Name]; ok {
		return r
	}
	return m
}

// in is a constant in a register: tmp, unless it has a register already.
func (k *bank) in(m operand.Mem, tmp reg.VecPhysical) reg.VecPhysical {
	if r, ok := k.inReg[m.Symbol.Name]; ok {
		return r
	}
	k.e.mov(m, tmp)
	return tmp
}

func (k *bank) val(x float64) operand.Mem { return k.isa.val(k.e, x) }

// code is a list of instructions, to be emitted at once or between others.
type code []func()

func (c code) emit() {
	for _, f := range c {
		f()
	}
}

// exp2c: 2^r on [-1/2, 1/2], minimax in relative error (9.1e-8) under p(0) = 1.
var exp2c = []float64{1, 0.6931469775973307, 0.240222420826775, 0.05550733744824671, 0.00967151281249316, 0.00132647272137075}

const magic32 = 3 << 22 // adding it rounds to an integer, which is then in the low bits

// exp32: c = 2^(scale·a), with scale·a in [-126, 126]; clobbers a, b.
func (k *bank) exp32(scale float64, a, b, c reg.VecPhysical) code {
	s, mg := k.val(scale), k.val(magic32)
	ops := code{
		func() { k.e.mov(k.op(mg), b) },
		func() { k.e.fma231(k.op(s), a, b) },
		func() { k.subConst(mg, b, c) },      // n
		func() { k.e.fms132(k.op(s), c, a) }, // r = scale·a - n, exact but for scale itself
		func() { k.e.mov(k.op(k.val(exp2c[5])), c) },
		func() { VPSLLD(operand.U8(23), b, b) }, // n into the exponent field
	}
	for i := 4; i >= 0; i-- {
		ops = append(ops, func() { k.e.fma213(k.op(k.val(exp2c[i])), a, c) })
	}
	return append(ops, func() { VPADDD(b, c, c) })
}

// subConst: dst = a - m.
func (k *bank) subConst(m operand.Mem, a, dst reg.VecPhysical) { k.e.sub(k.op(m), a, dst) }

// exp32consts are the constants of exp32 worth a register.
func (k *bank) exp32consts(scale float64) []operand.Mem {
	m := []operand.Mem{k.val(magic32), k.val(scale)}
	for i := 5; i >= 0; i-- {
		m = append(m, k.val(exp2c[i]))
	}
	return m
}

// exp64c: e^r = 1 + r + r² q(r) on [-ln 2/2, ln 2/2], minimax in relative error (3.6e-18).
var exp64c = []float64{0.50000000000000106266, 0.16666666666666412491, 0.041666666666530162949, 0.0083333333334944860817,
	0.0013888888943629076667, 0.00019841269506519687414, 0.000024801493099877014036, 2.7557586430346136601e-6,
	2.7630248066541836354e-7, 2.5000042896524454172e-8}

const (
	magic64 = 3 << 51
	ln2hi   = 6.93147180369123816490e-01 // 33 bits
	ln2lo   = 1.90821492927058770002e-10
)

// expNeg64: c = e^-a for |a| ≤ 708; clobbers a, b, u.
func (k *bank) expNeg64(a, b, c, u reg.VecPhysical) code {
	mg := k.val(magic64)
	ops := code{
		func() { k.e.mov(k.op(mg), b) },
		func() { k.e.fma231(k.op(k.val(-math.Log2E)), a, b) },
		func() { k.subConst(mg, b, u) }, // n
		func() { k.e.fma231(k.op(k.val(ln2hi)), u, a) },
		func() { k.e.fma231(k.op(k.val(ln2lo)), u, a) }, // a + n ln 2: minus the remainder
		func() { VPSLLQ(operand.U8(52), b, b) },
		func() { k.e.mul(a, a, u) },
		func() { k.e.mov(k.op(k.val(-exp64c[9])), c) },
	}
	for i := 8; i >= 0; i-- {
		v := exp64c[i]
		if i%2 == 1 {
			v = -v
		}
		ops = append(ops, func() { k.e.fma213(k.op(k.val(v)), a, c) })
	}
	return append(ops,
		func() { k.e.fms132(u, a, c) }, // r² q(r) + r, with r = -a
		func() { k.e.add(k.op(k.val(1)), c, c) },
		func() { VPADDQ(b, c, c) })
}

// act is an activation: its constants and its code. The code reads x (memory or a register), sets y = f(x) and, if grad,
// d = f'(x), and uses the temporaries t. NaN goes through: of two sources, min and max return Go's first operand if
// one is NaN, so x is that and the limit the other.
type act struct {
	name   string
	temps  int
	consts func(k *bank) []operand.Mem
	code   func(k *bank, x operand.Op, y, d reg.VecPhysical, t []reg.VecPhysical, grad bool) code
}

// silu32: y = x/(1+e^-x) and y' = s + y(1-s) with s = 1/(1+e^-x). The lower limit is put on x itself, so -Inf gives
// -1e-36, not NaN; the upper one on y in the derivative, so that large x give 1 and not Inf-Inf.
var silu32 = act{"Silu", 3,
	func(k *bank) []operand.Mem {
		return append(k.exp32consts(-math.Log2E), k.val(-87), k.val(87))
	},
	func(k *bank, x operand.Op, y, d reg.VecPhysical, t []reg.VecPhysical, grad bool) code {
		a, b, c := t[0], t[1], t[2]
		lo, hi, one := k.val(-87), k.val(87), k.val(1)
		ops := code{
			func() { k.e.max(x, k.in(lo, y), y) },
			func() { k.e.min(y, k.in(hi, a), a) },
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
			func() { k.e.mul(b, c, c) }, // 1-s = s e^-x
			func() { k.e.min(y, k.in(hi, a), a) },
			func() { k.e.mov(b, d) },
			func() { k.e.fma231(c, a, d) })
	}}

// silu64: as silu32; 708 keeps e^-x and its inverse normal.
var silu64 = act{"Silu", 4,
	func(k *bank) []operand.Mem {
		m := []operand.Mem{k.val(magic64), k.val(-708), k.val(708), k.val(-math.Log2E), k.val(ln2hi), k.val(ln2lo), k.val(1)}
		for i, v := range exp64c {
			if i%2 == 1 {
				v = -v
			}
			m = append(m, k.val(v))
		}
		return m
	},
	func(k *bank, x operand.Op, y, d reg.VecPhysical, t []reg.VecPhysical, grad bool) code {
		a, b, c, u := t[0], t[1], t[2], t[3]
		lo, hi, one := k.val(-708), k.val(708), k.val(1)
		ops := code{
			func() { k.e.max(x, k.in(lo, y), y) },
			func() { k.e.min(y, k.in(hi, a), a) },
		}
		ops = append(ops, k.expNeg64(a, b, c, u)...)
		ops = append(ops,
			func() { k.e.add(k.op(one), c, a) },
			func() { k.e.div(a, k.in(one, b), b) }, // s
			func() { k.e.mul(b, y, y) },
		)
		if !grad {
			return ops
		}
		return append(ops,
			func() { k.e.mul(b, c, c) }, // 1-s
			func() { k.e.min(y, k.in(hi, a), a) },
			func() { k.e.mov(b, d) },
			func() { k.e.fma231(c, a, d) })
	}}

// tanhc: tanh(x) = x + x³ p(x²) for |x| < 0.625 (Cephes, tanhf).
var tanhc = []float64{-3.33332819422e-1, 1.33314422036e-1, -5.37397155531e-2, 2.06390887954e-2, -5.70498872745e-3}

// tanh32: with e = exp(-2|x|) and s = 1/(1+e), tanh |x| = (1-e) s and tanh' = 4 e s².
var tanh32 = act{"Tanh", 5,
	func(k *bank) []operand.Mem {
		return append(k.exp32consts(-2*math.Log2E), k.val(-0.0), k.val(43), k.val(0.625))
	},
	func(k *bank, x operand.Op, y, d reg.VecPhysical, t []reg.VecPhysical, grad bool) code {
		a, b, c, u, v := t[0], t[1], t[2], t[3], t[4]
		sign, abs, one := k.bits32(1<<31), k.bits32(1<<31-1), k.val(1)
		ops := code{
			func() { k.e.mov(x, v) },
			func() { k.e.and(k.op(abs), v, y) },
			func() { k.e.and(k.op(sign), v, v) },
			func() { k.e.min(y, k.in(k.val(43), u), u) }, // |x| limited
			func() { k.e.mov(u, a) },
		}
		ops = append(ops, k.exp32(-2*math.Log2E, a, b, c)...)
		ops = append(ops,
			func() { k.e.fma231(k.op(k.val(0)), u, c) }, // NaN may have lost its exponent to n
			func() { k.e.add(k.op(one), c, a) },
			func() { k.e.div(a, k.in(one, b), b) }, // s
			func() { k.e.sub(c, k.in(one, a), a) }, // 1 - e
			func() { k.e.mul(b, a, y) },
		)
		if grad {
			ops = append(ops,
				func() { k.e.mul(b, b, b) },
				func() { k.e.mul(k.op(k.val(4)), c, d) },
				func() { k.e.mul(b, d, d) },
			)
		}
		ops = append(ops,
			func() { k.e.mul(u, u, a) }, // x²
			func() { k.e.mov(k.op(k.val(tanhc[4])), c) },
		)
		for i := 3; i >= 0; i-- {
			ops = append(ops, func() { k.e.fma213(k.op(k.val(tanhc[i])), a, c) })
		}
		return append(ops,
			func() { k.e.mul(a, c, c) },
			func() { k.e.fma213(u, u, c) },
			func() { k.blendLess(u, k.val(0.625), c, y, y, b) },
			func() { k.e.or(v, y, y) })
	}}

// geluc: Q(a) e^{a²/2} = t Σ c_i t^i with t = 1/(1+geluP a), for the upper tail Q(a) = erfc(a/√2)/2 of the normal
// distribution, 0 ≤ a ≤ 14; minimax in relative error (3.2e-8).
const geluP = 0.35

var geluc = []float64{0.1396214042, 0.1398618719, 0.1198328477, 0.105508099, -0.02311010082, 0.1591746095, -0.2557147048, 0.143971944, -0.02914598668}

// geluMax: beyond it the tail is below 1e-37.
const geluMax = 12.8

// gelu32: y = x Φ(x), y' = Φ(x) + x φ(x), with Φ = 1-Q(|x|) or, for negative x, Q(|x|).
var gelu32 = act{"Gelu", 6,
	func(k *bank) []operand.Mem {
		return append(k.exp32consts(-math.Log2E/2), k.bits32(1<<31-1), k.val(geluMax), k.val(geluP))
	},
	func(k *bank, x operand.Op, y, d reg.VecPhysical, t []reg.VecPhysical, grad bool) code {
		a, b, c, u, v, w := t[0], t[1], t[2], t[3], t[4], t[5]
		abs, one := k.bits32(1<<31-1), k.val(1)
		ops := code{
			func() { k.e.mov(x, v) },
			func() { k.e.and(k.op(abs), v, u) },
			func() { k.e.min(u, k.in(k.val(geluMax), a), u) },
			func() { k.e.mul(u, u, a) },
		}
		ops = append(ops, k.exp32(-math.Log2E/2, a, b, c)...)
		ops = append(ops,
			func() { k.e.mov(k.op(one), a) },
			func() { k.e.fma231(k.op(k.val(geluP)), u, a) },
			func() { k.e.div(a, k.in(one, b), a) }, // t
			func() { k.e.mov(k.op(k.val(geluc[8])), b) },
		)
		for i := 7; i >= 0; i-- {
			ops = append(ops, func() { k.e.fma213(k.op(k.val(geluc[i])), a, b) })
		}
		ops = append(ops,
			func() { k.e.mul(a, b, b) },
			func() { k.e.mul(c, b, b) }, // Q
			func() { k.e.sub(b, k.in(one, a), a) },
			func() { k.blendSign(v, b, a, a) }, // Φ
			func() { k.e.max(v, k.in(k.val(-geluMax), y), y) },
		)
		if grad {
			ops = append(ops,
				func() { k.e.min(y, k.in(k.val(geluMax), w), w) },
				func() { k.e.mul(c, w, w) },
				func() { k.e.mov(a, d) },
				func() { k.e.fma231(k.op(k.val(1/math.Sqrt(2*math.Pi))), w, d) },
			)
		}
		return append(ops, func() { k.e.mul(a, y, y) })
	}}

// blendLess: dst = yes where a < lim, else no; tmp is clobbered.
func (k *bank) blendLess(a reg.VecPhysical, lim operand.Mem, yes, no, dst, tmp reg.VecPhysical) {
	if k.vec == 64 {
		VCMPPS(operand.U8(1), k.op(lim), a, reg.K1)
		VBLENDMPS(yes, no, reg.K1, dst)
		return
	}
	VCMPPS(operand.U8(1), k.op(lim), a, tmp)
	VBLENDVPS(tmp, yes, no, dst)
}

// blendSign: dst = neg where the sign bit of s is set, else pos.
func (k *bank) blendSign(s, neg, pos, dst reg.VecPhysical) {
	if k.vec == 64 {
		VPMOVD2M(s, reg.K1)
		VBLENDMPS(neg, pos, reg.K1, dst)
		return
	}
	VBLENDVPS(s, neg, pos, dst)
}

// newBank leaves the first n registers to the code and fills the others with the activation's constants.
func (t isa) newBank(e elem, f act, n int) *bank {
	k := &bank{isa: t, e: e, inReg: map[string]reg.VecPhysical{}, free: t.v[n:]}
	k.keep(f.consts(k)...)
	return k
}

// actRows: y = f(x) and, if grad, d = f'(x), on rows of 64 bytes at byte strides.
func (t isa) actRows(e elem, f act, grad bool) {
	name := fmt.Sprintf("%s%s%d", t.name, f.name, e.bits())
	sig := fmt.Sprintf("func(y %[1]s, ym int, x %[1]s, xm int, rows int)", e.ptr())
	if grad {
		name += "Grad"
		sig = fmt.Sprintf("func(y %[1]s, ym int, d %[1]s, dm int, x %[1]s, xm int, rows int)", e.ptr())
	}
	text(name, sig)
	y, ym := Load(Param("y"), GP64()), Load(Param("ym"), GP64())
	x, xm := Load(Param("x"), GP64()), Load(Param("xm"), GP64())
	n := Load(Param("rows"), GP64())
	var d, dm reg.Register
	if grad {
		d, dm = Load(Param("d"), GP64()), Load(Param("dm"), GP64())
	}
	k := t.newBank(e, f, 2+f.temps)
	Label("row")
	for v := 0; v < 64; v += t.vec {
		f.code(k, mem(x, v), t.v[0], t.v[1], t.v[2:2+f.temps], grad).emit()
		e.mov(t.v[0], mem(y, v))
		if grad {
			e.mov(t.v[1], mem(d, v))
		}
	}
	ADDQ(ym, y)
	ADDQ(xm, x)
	if grad {
		ADDQ(dm, d)
	}
	DECQ(n)
	JNZ(label("row"))
	VZEROUPPER()
	RET()
}
