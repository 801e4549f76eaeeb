package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// head: R rows of h (stride hs bytes) times O rows of w (stride ws bytes), nv vectors each, for groups of R rows:
//
//	out[r][o] = h[r]·w[o] + bias[o]
//
// out has a stride of om bytes. A sum runs in the lanes, of which first the upper half is added to the lower, and so on:
// the same for all R and O.
func (t isa) head(R, O int) {
	text(fmt.Sprintf("%sHead_%dx%d", t.name, R, O), "func(out *float32, om int, h *float32, hs int, w *float32, ws, nv int, bias *float32, groups int)")
	out, om := Load(Param("out"), GP64()), Load(Param("om"), GP64())
	h, hs := Load(Param("h"), GP64()), Load(Param("hs"), GP64())
	w, ws := Load(Param("w"), GP64()), Load(Param("ws"), GP64())
	groups := Load(Param("groups"), GP64())
	w0, n, u := GP64(), GP64(), GP64()
	e := f32
	x := newRows(R, hs)
	acc := func(r, o int) int { return r*O + o }
	Label("group")
	LEAQ(operand.Mem{Base: hs, Index: hs, Scale: 2}, u)
	x.set(h, u)
	MOVQ(w, w0)
	for i := range R * O {
		e.zero(t.v[i])
	}
	Load(Param("nv"), n)
	Label("dot")
	wv := t.v[R*O : R*O+O]
	for o := range O {
		m := mem(w0, 0)
		if o > 0 {
			m.Index, m.Scale = ws, uint8(o)
		}
		e.mov(m, wv[o])
	}
	for r := range R {
		hv := t.v[R*O+O+r%2]
		e.mov(x.at(r, 0), hv)
		for o := range O {
			e.fma231(wv[o], hv, t.v[acc(r, o)])
		}
	}
	x.step(operand.U32(t.vec))
	ADDQ(operand.U32(t.vec), w0)
	DECQ(n)
	JNZ(label("dot"))
	Load(Param("bias"), u)
	for r := range R {
		for o := range O {
			v := acc(r, o)
			hi := reg.X15
			if t.vec == 64 {
				VEXTRACTF64X4(operand.U8(1), t.v[v], reg.Y15)
				VADDPS(reg.Y15, ymm[v], ymm[v])
			}
			VEXTRACTF128(operand.U8(1), ymm[v], hi)
			lo := xmm[v]
			VADDPS(hi, lo, lo)
			VMOVHLPS(lo, lo, hi)
			VADDPS(hi, lo, lo)
			VMOVSHDUP(lo, hi)
			VADDSS(hi, lo, lo)
			VADDSS(mem(u, 4*o), lo, lo)
			VMOVSS(lo, mem(out, 4*o))
		}
		ADDQ(om, out)
		ADDQ(hs, h)
	}
	DECQ(groups)
	JNZ(label("group"))
	VZEROUPPER()
	RET()
}

var ymm = avx2.v

var xmm = []reg.VecPhysical{
	reg.X0, reg.X1, reg.X2, reg.X3, reg.X4, reg.X5, reg.X6, reg.X7,
	reg.X8, reg.X9, reg.X10, reg.X11, reg.X12, reg.X13, reg.X14, reg.X15,
}
