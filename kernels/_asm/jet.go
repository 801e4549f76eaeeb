package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// indices lists multi-indices as simd.JetIndex does.
func indices(dim, order int) [][]int {
	var out [][]int
	alpha := make([]int, dim)
	var fill func(i, left int)
	fill = func(i, left int) {
		if i == dim-1 {
			alpha[i] = left
			out = append(out, append([]int(nil), alpha...))
			return
		}
		for p := left; p >= 0; p-- {
			alpha[i] = p
			fill(i+1, left-p)
		}
	}
	for deg := range order + 1 {
		fill(0, deg)
	}
	return out
}

func degree(alpha []int) (d int) {
	for _, a := range alpha {
		d += a
	}
	return d
}

// value is a vector in a register or on the stack.
type value struct{ operand.Op }

func (v value) reg() (reg.VecPhysical, bool) {
	r, ok := v.Op.(reg.VecPhysical)
	return r, ok
}

// jet composes SiLU (act 0) or tanh (act 1) with Taylor expansions, in place: n vectors along the rows of x, which hold
// the coefficients, at a stride of ld bytes.
//
// For SiLU, first the coefficients c_k of SiLU about the value x₀: with s the logistic function and q = 1-s,
// (k+1) s_{k+1} = s_k (q-s) - Σ_{0<i<k} s_i s_{k-i}, s_1 = s q, and c_k = x₀ s_k + s_{k-1}. Then Horner's scheme
// r ← c_k + δ r in truncated products, δ being the jet without x₀. After step s only the coefficients of r of degree
// up to s matter. A coefficient of δ r depends on r's of lower degree, so r is updated in place from the highest degree
// down; and so is x in the last step.
func (t isa) jet(e elem, dim, order int) {
	idx := indices(dim, order)
	TEXT(fmt.Sprintf("%sJet%d_%d_%d", t.name, e.bits(), dim, order), 0, fmt.Sprintf("func(x %s, ld, n, act int)", e.ptr()))
	Pragma("noescape")
	x0, ld, n := Load(Param("x"), GP64()), Load(Param("ld"), GP64()), Load(Param("n"), GP64())
	x := newRows(len(idx), ld)
	u := GP64()
	LEAQ(operand.Mem{Base: ld, Index: ld, Scale: 2}, u)
	x.set(x0, u)

	// r of degree below order; the registers after the two temporaries first, then the stack.
	inner := 0
	for inner < len(idx) && degree(idx[inner]) < order {
		inner++
	}
	free := t.v[2:]
	r := make([]value, inner)
	for i := range r {
		if i < len(free) {
			r[i] = value{free[i]}
		} else {
			r[i] = value{AllocLocal(t.vec)}
		}
	}
	c := make([]operand.Mem, order+1)
	for i := range c {
		c[i] = AllocLocal(t.vec)
	}
	k := &bank{isa: t, e: e, inReg: map[string]reg.VecPhysical{}}

	Label("loop")
	Load(Param("act"), u)
	CMPQ(u, operand.Imm(1))
	JEQ(label("tanh"))
	t.taylor(k, x.at(0, 0), c, false)
	JMP(label("compose"))
	Label("tanh")
	t.taylor(k, x.at(0, 0), c, true)
	Label("compose")
	t.horner(e, idx, x, r, c)
	x.step(operand.U32(t.vec))
	DECQ(n)
	JNZ(label("loop"))
	VZEROUPPER()
	RET()
}

// horner composes the jet with coefficients idx in the rows x, in place, with the series c, by Horner's scheme; r holds the coefficients
// of the partial results. The first two registers are temporaries.
func (t isa) horner(e elem, idx [][]int, x rows, r []value, c []operand.Mem) {
	acc, tmp := t.v[0], t.v[1]
	dim, order := len(idx[0]), len(c)-1
	pos := map[string]int{}
	for i, a := range idx {
		pos[fmt.Sprint(a)] = i
	}
	// coefficient sets acc to coefficient i of δ r.
	coefficient := func(i int) {
		first := true
		for j, d := range idx {
			if degree(d) == 0 || degree(d) > degree(idx[i]) {
				continue
			}
			rest := make([]int, dim)
			ok := true
			for a := range dim {
				rest[a] = idx[i][a] - d[a]
				ok = ok && rest[a] >= 0
			}
			if !ok {
				continue
			}
			from := r[pos[fmt.Sprint(rest)]]
			e.mov(x.at(j, 0), tmp)
			if first {
				e.mul(from.Op, tmp, acc)
				first = false
			} else {
				e.fma231(from.Op, tmp, acc)
			}
		}
	}
	set := func(v value, from operand.Op) {
		if dst, ok := v.reg(); ok {
			e.mov(from, dst)
			return
		}
		if _, ok := from.(operand.Mem); ok {
			e.mov(from, tmp)
			from = tmp
		}
		e.mov(from, v.Op)
	}
	set(r[0], c[order])
	for s := 1; s <= order; s++ {
		last := s == order
		for i := len(idx) - 1; i > 0; i-- {
			if degree(idx[i]) > s {
				continue
			}
			coefficient(i)
			if last {
				e.mov(acc, x.at(i, 0))
			} else {
				set(r[i], acc)
			}
		}
		if last {
			e.mov(c[0], tmp)
			e.mov(tmp, x.at(0, 0))
		} else {
			set(r[0], c[order-s])
		}
	}
}

// taylor stores the Taylor coefficients of SiLU about x to c; of tanh x = 2σ(2x)-1 if tanh.
func (t isa) taylor(k *bank, x operand.Mem, c []operand.Mem, tanh bool) {
	e := k.e
	order := len(c) - 1
	xc, a, b, E, u := t.v[0], t.v[1], t.v[2], t.v[3], t.v[4]
	lim := 87.0
	if e == f64 {
		lim = 708
	}
	lo, hi, one := k.val(-lim), k.val(lim), k.val(1)
	if tanh {
		e.mov(x, a)
		e.add(a, a, a)
		e.max(a, k.in(lo, xc), xc)
		e.min(xc, k.in(hi, a), xc)
		e.mov(xc, a)
	} else {
		e.max(x, k.in(lo, xc), xc)
		e.min(xc, k.in(hi, a), a)
	}
	if e == f32 {
		k.exp32(-math.Log2E, a, b, E).emit()
	} else {
		k.expNeg64(a, b, E, u).emit()
	}
	if tanh {
		e.fma231(k.op(k.val(0)), xc, E) // NaN may have lost its exponent to n
	}
	s := t.v[8 : 9+order] // s_k
	q := t.v[5]
	e.add(k.op(one), E, a)
	e.div(a, k.in(one, b), s[0])
	e.mul(s[0], E, q)
	if tanh {
		e.sub(q, s[0], a)
	} else {
		e.mul(s[0], xc, a)
		e.min(xc, k.in(hi, b), xc)
	}
	e.mov(a, c[0])
	e.mul(s[0], q, s[1])
	e.sub(s[0], q, q) // q - s
	for i := 1; i < order; i++ {
		e.mul(q, s[i], u)
		for j := 1; j < i; j++ {
			e.fnma231(s[j], s[i-j], u)
		}
		e.mul(k.op(k.val(1/float64(i+1))), u, s[i+1])
	}
	for i := 1; i <= order; i++ {
		if tanh {
			e.mul(k.op(k.val(math.Ldexp(1, i+1))), s[i], a)
		} else {
			e.mov(s[i], a)
			e.fma213(s[i-1], xc, a)
		}
		e.mov(a, c[i])
	}
}
