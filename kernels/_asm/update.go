package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/reg"
)

// update is one row of a step table on n elements: x' = c0 x + c1 s + c2 m + c3 z, m' = c4 x + c5 s + c6 z + c7 m.
// m and z may be nil.
func (t isa) update() {
	text(t.name+"Update", "func(x, s, m, z *float32, n int, c *[8]float32)")
	x, s, m, z := Load(Param("x"), GP64()), Load(Param("s"), GP64()), Load(Param("m"), GP64()), Load(Param("z"), GP64())
	n, c := Load(Param("n"), GP64()), Load(Param("c"), GP64())
	e := f32
	X, S, M, A, B, mask := t.v[0], t.v[1], t.v[2], t.v[3], t.v[4], t.v[5]
	C := t.v[8:16]
	for i := range 8 {
		e.bcast(mem(c, 4*i), C[i])
	}
	n0 := 0
	t.elements(n, mask, func(ld func(reg.Register, reg.VecPhysical), st func(reg.VecPhysical, reg.Register)) {
		n0++
		id := string(rune('0' + n0))
		ld(x, X)
		ld(s, S)
		e.mul(C[0], X, A)
		e.fma231(C[1], S, A)
		e.mul(C[4], X, B)
		e.fma231(C[5], S, B)
		TESTQ(m, m)
		JEQ(label("noise" + id))
		ld(m, M)
		e.fma231(C[2], M, A)
		Label("noise" + id)
		TESTQ(z, z)
		JEQ(label("store" + id))
		ld(z, S)
		e.fma231(C[3], S, A)
		e.fma231(C[6], S, B)
		Label("store" + id)
		st(A, x)
		TESTQ(m, m)
		JEQ(label("next" + id))
		e.fma231(C[7], M, B)
		st(B, m)
		Label("next" + id)
	})
	VZEROUPPER()
	RET()
}
