package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// adam is one step of Adam on n vectors; ema may be nil. k holds the constants
// 1-Beta1, Beta2, 1-Beta2, C1, C2, Eps, Decay, -LR, 1-EMA, Scale.
func (t isa) adam() {
	text(t.name+"Adam", "func(p, m, v, grad, ema *float32, n int, k *[10]float32)")
	p, m, v, g := Load(Param("p"), GP64()), Load(Param("m"), GP64()), Load(Param("v"), GP64()), Load(Param("grad"), GP64())
	ema, n, k := Load(Param("ema"), GP64()), Load(Param("n"), GP64()), Load(Param("k"), GP64())
	e := f32
	G, M, V, P, S := t.v[0], t.v[1], t.v[2], t.v[3], t.v[4]
	K := t.v[6:16]
	for i := range 10 {
		e.bcast(mem(k, 4*i), K[i])
	}
	Label("loop")
	e.mul(mem(g, 0), K[9], G)
	e.mov(mem(m, 0), M)
	e.sub(M, G, S)
	e.fma231(K[0], S, M) // m += (1-β1)(g-m)
	e.mov(M, mem(m, 0))
	e.mul(G, G, G)
	e.mul(K[2], G, G)
	e.mov(mem(v, 0), V)
	e.fma213(G, K[1], V) // v = β2 v + (1-β2) g²
	e.mov(V, mem(v, 0))
	e.mul(K[4], V, V)
	e.sqrt(V, V)
	e.add(K[5], V, V)
	e.mul(K[3], M, M)
	e.div(V, M, M)
	e.mov(mem(p, 0), P)
	e.fma231(K[6], P, M)
	e.fma231(K[7], M, P) // p -= LR (step + decay p)
	e.mov(P, mem(p, 0))
	TESTQ(ema, ema)
	JEQ(label("next"))
	e.mov(mem(ema, 0), S)
	e.sub(S, P, P)
	e.fma231(K[8], P, S)
	e.mov(S, mem(ema, 0))
	ADDQ(operand.U32(t.vec), ema)
	Label("next")
	for _, r := range []reg.Register{p, m, v, g} {
		ADDQ(operand.U32(t.vec), r)
	}
	DECQ(n)
	JNZ(label("loop"))
	VZEROUPPER()
	RET()
}

// update is one row of a step table on n vectors: x' = c0 x + c1 s + c2 m + c3 z, m' = c4 x + c5 s + c6 z + c7 m.
// m and z may be nil.
func (t isa) update() {
	text(t.name+"Update", "func(x, s, m, z *float32, n int, c *[8]float32)")
	x, s, m, z := Load(Param("x"), GP64()), Load(Param("s"), GP64()), Load(Param("m"), GP64()), Load(Param("z"), GP64())
	n, c := Load(Param("n"), GP64()), Load(Param("c"), GP64())
	off := GP64()
	e := f32
	X, S, M, A, B := t.v[0], t.v[1], t.v[2], t.v[3], t.v[4]
	C := t.v[8:16]
	for i := range 8 {
		e.bcast(mem(c, 4*i), C[i])
	}
	XORQ(off, off)
	at := func(p reg.Register) operand.Mem { return operand.Mem{Base: p, Index: off, Scale: 1} }
	Label("loop")
	e.mov(at(x), X)
	e.mov(at(s), S)
	e.mul(C[0], X, A)
	e.fma231(C[1], S, A)
	e.mul(C[4], X, B)
	e.fma231(C[5], S, B)
	TESTQ(m, m)
	JEQ(label("noise"))
	e.mov(at(m), M)
	e.fma231(C[2], M, A)
	Label("noise")
	TESTQ(z, z)
	JEQ(label("store"))
	e.mov(at(z), S)
	e.fma231(C[3], S, A)
	e.fma231(C[6], S, B)
	Label("store")
	e.mov(A, at(x))
	TESTQ(m, m)
	JEQ(label("next"))
	e.fma231(C[7], M, B)
	e.mov(B, at(m))
	Label("next")
	ADDQ(operand.U32(t.vec), off)
	DECQ(n)
	JNZ(label("loop"))
	VZEROUPPER()
	RET()
}
