package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/reg"
)

// adam is one step on n elements; ema may be nil. s points to the nine numbers of an AdamStep.
func (t isa) adam() {
	text(t.name+"Adam", "func(p, m, v, grad, ema *float32, n int, s *float32)")
	p, m, v, g := Load(Param("p"), GP64()), Load(Param("m"), GP64()), Load(Param("v"), GP64()), Load(Param("grad"), GP64())
	ema, n, s := Load(Param("ema"), GP64()), Load(Param("n"), GP64()), Load(Param("s"), GP64())
	e := f32
	G, M, V, P, S, mask := t.v[0], t.v[1], t.v[2], t.v[3], t.v[4], t.v[15]
	k := map[string]reg.VecPhysical{}
	for i, name := range []string{"LR", "Beta1", "Beta2", "Eps", "Decay", "C1", "C2", "Scale", "EMA"} {
		k[name] = t.v[5+i]
		e.bcast(mem(s, 4*i), t.v[5+i])
	}
	k["1-Beta2"] = t.v[14]
	e.mov(t.val(e, 1), G)
	e.sub(k["Beta2"], G, k["1-Beta2"])
	e.sub(k["Beta1"], G, k["Beta1"])
	e.sub(k["EMA"], G, k["EMA"])
	n0 := 0
	t.elements(n, mask, func(ld func(reg.Register, reg.VecPhysical), st func(reg.VecPhysical, reg.Register)) {
		n0++
		next := "next" + string(rune('0'+n0))
		ld(g, G)
		e.mul(k["Scale"], G, G)
		ld(m, M)
		e.sub(M, G, S)
		e.fma231(k["Beta1"], S, M) // m += (1-β1)(g-m)
		st(M, m)
		e.mul(G, G, G)
		e.mul(k["1-Beta2"], G, G)
		ld(v, V)
		e.fma213(G, k["Beta2"], V) // v = β2 v + (1-β2) g²
		st(V, v)
		e.mul(k["C2"], V, V)
		e.sqrt(V, V)
		e.add(k["Eps"], V, V)
		e.mul(k["C1"], M, M)
		e.div(V, M, M)
		ld(p, P)
		e.fma231(k["Decay"], P, M)
		e.fnma231(k["LR"], M, P) // p -= LR (step + decay p)
		st(P, p)
		TESTQ(ema, ema)
		JEQ(label(next))
		ld(ema, S)
		e.sub(S, P, P)
		e.fma231(k["EMA"], P, S)
		st(S, ema)
		Label(next)
	})
	VZEROUPPER()
	RET()
}
