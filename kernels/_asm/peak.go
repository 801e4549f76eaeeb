package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
)

// peak runs 12 independent multiply-adds n times.
func (t isa) peak(e elem) {
	text(fmt.Sprintf("%sPeak%d", t.name, e.bits()), "func(n int)")
	n := Load(Param("n"), GP64())
	for i := range 14 {
		e.zero(t.v[i])
	}
	Label("loop")
	for i := range 12 {
		e.fma231(t.v[12], t.v[13], t.v[i])
	}
	DECQ(n)
	JNZ(label("loop"))
	VZEROUPPER()
	RET()
}
