package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// flat: elementwise kernels on n elements.
func (t isa) flat() {
	e := f32
	each := func(name, params string, scalar string, body func(in []reg.VecPhysical, s reg.VecPhysical), in ...string) {
		sig := fmt.Sprintf("func(%s *float32, n int)", params)
		if scalar != "" {
			sig = fmt.Sprintf("func(%s *float32, n int, %s float32)", params, scalar)
		}
		text(t.name+name, sig)
		var ps []reg.Register
		for _, p := range in {
			ps = append(ps, Load(Param(p), GP64()))
		}
		y := Load(Param("y"), GP64())
		n := Load(Param("n"), GP64())
		s := t.v[8]
		if scalar != "" {
			a, err := Param(scalar).Resolve()
			if err != nil {
				panic(err)
			}
			e.bcast(a.Addr, s)
		}
		t.elements(n, t.v[15], func(ld func(reg.Register, reg.VecPhysical), st func(reg.VecPhysical, reg.Register)) {
			for i, p := range ps {
				ld(p, t.v[i])
			}
			body(t.v[:len(ps)], s)
			st(t.v[0], y)
		})
		VZEROUPPER()
		RET()
	}
	each("Add", "y, a, b", "", func(v []reg.VecPhysical, _ reg.VecPhysical) { e.add(v[1], v[0], v[0]) }, "a", "b")
	each("Mul", "y, a, b", "", func(v []reg.VecPhysical, _ reg.VecPhysical) { e.mul(v[1], v[0], v[0]) }, "a", "b")
	each("Scale", "y, x", "s", func(v []reg.VecPhysical, s reg.VecPhysical) { e.mul(s, v[0], v[0]) }, "x")
	each("Sum4", "y, a, b, c, d", "s", func(v []reg.VecPhysical, s reg.VecPhysical) {
		e.add(v[1], v[0], v[0])
		e.add(v[3], v[2], v[2])
		e.add(v[2], v[0], v[0])
		e.mul(s, v[0], v[0])
	}, "a", "b", "c", "d")
}

// actGrad: dx = dy·f'(x) for n elements.
func (t isa) actGrad(f act) {
	text(t.name+"ActGrad"+f.name, "func(dx, dy, x *float32, n int)")
	dx, dy, x := Load(Param("dx"), GP64()), Load(Param("dy"), GP64()), Load(Param("x"), GP64())
	s := t.newRowScan(operand.NewParamAddr("n", 24))
	k := t.rowBank(3 + f.temps)
	k.keep(f.consts(k)...)
	s.pass(1, func(_ int, tail bool) {
		v, y, d := t.v[0], t.v[1], t.v[2]
		t.load(s.at(x, 0), v, tail)
		f.code(k, v, y, d, t.v[3:3+f.temps], true).emit()
		t.load(s.at(dy, 0), y, tail)
		f32.mul(y, d, d)
		t.store(d, s.at(dx, 0), tail)
	})
	VZEROUPPER()
	RET()
}
