package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// allRows generates the kernels of simd.Rows and the tanh form of GELU.
func (t isa) allRows() {
	t.actRows(f32, geluTanh32, false)
	t.actRows(f32, geluTanh32, true)
	for _, silu := range []bool{false, true} {
		t.affine(silu, true, true)
		t.affine(silu, false, true)
		t.affineGrad(silu)
	}
	t.affine(false, false, false)
	t.combine()
	t.gate()
	t.columnSums()
	t.moments64(4)
	t.moments64(1)
	t.layerNorm()
	t.layerNormGrad(false)
	t.layerNormGrad(true)
	t.softmaxExp(false)
	t.softmaxExp(true)
	t.softmaxGrad()
	t.flat()
	for _, f := range []act{silu32, gelu32, geluTanh32} {
		t.actGrad(f)
	}
	t.scan()
	t.scanGrad()
	t.pack()
	if t.vec == 32 {
		t.prefetch()
		t.packT()
	}
}

// maskReg is the register of AVX2 that holds the mask of a row's tail.
func (t isa) maskReg() reg.VecPhysical { return t.v[15] }

// tailMask prepares the mask of the last w mod lanes elements of a row: in K2, or as a vector for VMASKMOVPS.
func (t isa) tailMask(w reg.Register) {
	n := GP64()
	MOVQ(w, n)
	ANDQ(operand.U32(t.vec/4-1), n)
	if t.vec == 64 {
		one := GP64()
		MOVQ(operand.U32(1), one)
		SHLXQ(n, one, one)
		DECQ(one)
		KMOVW(one.As32(), reg.K2)
		return
	}
	q := GP64()
	LEAQ(t.maskTable().Offset(32), q)
	SHLQ(operand.U8(2), n)
	SUBQ(n, q)
	VMOVUPS(mem(q, 0), t.maskReg())
}

// maskTable is 8 set words, then 8 clear ones.
func (t isa) maskTable() operand.Mem {
	m, ok := pool["masks"]
	if !ok {
		m = GLOBL("masks", 8|16)
		for i := range 16 {
			w := uint32(1<<32 - 1)
			if i >= 8 {
				w = 0
			}
			DATA(4*i, operand.U32(w))
		}
		pool["masks"] = m
	}
	return m
}

func (t isa) load(m operand.Mem, v reg.VecPhysical, tail bool) {
	switch {
	case !tail:
		VMOVUPS(m, v)
	case t.vec == 64:
		VMOVUPS_Z(m, reg.K2, v)
	default:
		VMASKMOVPS(m, t.maskReg(), v)
	}
}

func (t isa) store(v reg.VecPhysical, m operand.Mem, tail bool) {
	switch {
	case !tail:
		VMOVUPS(v, m)
	case t.vec == 64:
		VMOVUPS(v, reg.K2, m)
	default:
		VMASKMOVPS(v, t.maskReg(), m)
	}
}

// rowLoop runs code over matrices of contiguous rows, the streams, with vectors of channels: four rows at a time, and in
// them a vector of elements after the other, so that a vector of channels is loaded once for four rows. The rows that are
// left come one by one. A sum over rows is in a vector of channels; its rows are added in their order.
type rowLoop struct {
	isa
	streams, vectors []reg.Register
	off, stride, up3 reg.Register
	tail             bool
}

// row is element vector r rows below the current one of stream s.
func (l *rowLoop) row(s, r int) operand.Mem {
	m := operand.Mem{Base: l.streams[s]}
	switch r {
	case 1, 2:
		m.Index, m.Scale = l.stride, uint8(r)
	case 3:
		m.Index, m.Scale = l.up3, 1
	}
	return m
}

func (l *rowLoop) ld(s, r int, v reg.VecPhysical) { l.load(l.row(s, r), v, l.tail) }
func (l *rowLoop) st(v reg.VecPhysical, s, r int) { l.store(v, l.row(s, r), l.tail) }

func (l *rowLoop) channel(i int) operand.Mem {
	return operand.Mem{Base: l.vectors[i], Index: l.off, Scale: 1}
}
func (l *rowLoop) ldv(i int, v reg.VecPhysical) { l.load(l.channel(i), v, l.tail) }
func (l *rowLoop) stv(v reg.VecPhysical, i int) { l.store(v, l.channel(i), l.tail) }

// rowMap emits a kernel func(streams…, vectors… *float32, w, rows int). body works on the elements of R rows.
func (t isa) rowMap(name string, streams, vectors []string, prepare func(), body func(l *rowLoop, R int)) {
	sig := "func("
	for i, s := range append(append([]string(nil), streams...), vectors...) {
		if i > 0 {
			sig += ", "
		}
		sig += s
	}
	n := len(streams) + len(vectors)
	text(t.name+name, sig+" *float32, w, rows int)")
	l := &rowLoop{isa: t}
	for _, s := range streams {
		l.streams = append(l.streams, Load(Param(s), GP64()))
	}
	for _, s := range vectors {
		l.vectors = append(l.vectors, Load(Param(s), GP64()))
	}
	wp, rows := operand.NewParamAddr("w", 8*n), operand.NewParamAddr("rows", 8*(n+1))
	l.off, l.stride, l.up3 = GP64(), GP64(), GP64()
	cnt := GP64()
	MOVQ(wp, cnt)
	t.tailMask(cnt)
	MOVQ(cnt, l.stride)
	SHLQ(operand.U8(2), l.stride)
	LEAQ(operand.Mem{Base: l.stride, Index: l.stride, Scale: 2}, l.up3)
	if prepare != nil {
		prepare()
	}
	lanes := t.vec / 4
	pass := func(R int) {
		id := fmt.Sprint(R)
		XORQ(l.off, l.off)
		MOVQ(wp, cnt)
		SUBQ(operand.U32(lanes), cnt)
		JLT(label("tail" + id))
		Label("loop" + id)
		l.tail = false
		body(l, R)
		ADDQ(operand.U32(t.vec), l.off)
		for _, s := range l.streams {
			ADDQ(operand.U32(t.vec), s)
		}
		SUBQ(operand.U32(lanes), cnt)
		JGE(label("loop" + id))
		Label("tail" + id)
		ADDQ(operand.U32(lanes), cnt)
		JEQ(label("end" + id))
		l.tail = true
		body(l, R)
		Label("end" + id)
		for _, s := range l.streams {
			SUBQ(l.off, s)
			if R == 4 {
				LEAQ(operand.Mem{Base: s, Index: l.stride, Scale: 4}, s)
			} else {
				ADDQ(l.stride, s)
			}
		}
	}
	Label("four")
	CMPQ(rows, operand.U8(4))
	JLT(label("one"))
	pass(4)
	SUBQ(operand.Imm(4), rows)
	JMP(label("four"))
	Label("one")
	CMPQ(rows, operand.U8(0))
	JLE(label("done"))
	pass(1)
	DECQ(rows)
	JMP(label("one"))
	Label("done")
	VZEROUPPER()
	RET()
}

// rowBank leaves the first n registers, and the tail's mask, to the code of a loop over rows.
func (t isa) rowBank(n int) *bank {
	free := t.v[n:]
	if t.vec == 32 {
		free = t.v[n:15]
	}
	k := &bank{isa: t, e: f32, inReg: map[string]reg.VecPhysical{}, free: free}
	return k
}

// affine: y = f((x - m)·a + b).
func (t isa) affine(silu, m, b bool) {
	name, vectors := "Affine", []string{"a"}
	if m {
		name += "M"
		vectors = append(vectors, "m")
	}
	if b {
		name += "B"
		vectors = append(vectors, "b")
	}
	k := t.rowBank(9)
	prepare := func() {}
	if silu {
		name += "Silu"
		prepare = func() { k.keep(silu32.consts(k)...) }
	}
	A, M, B, X, Y := t.v[0], t.v[1], t.v[2], t.v[3], t.v[4]
	t.rowMap(name, []string{"y", "x"}, vectors, prepare, func(l *rowLoop, R int) {
		l.ldv(0, A)
		if m {
			l.ldv(1, M)
		}
		if b {
			l.ldv(len(vectors)-1, B)
		}
		for r := range R {
			x := X
			if !silu {
				x = t.v[3+r] // no chains between rows
			}
			l.ld(1, r, x)
			if m {
				f32.sub(M, x, x)
			}
			if b {
				f32.fma213(B, A, x)
			} else {
				f32.mul(A, x, x)
			}
			if silu {
				silu32.code(k, x, Y, t.v[5], t.v[6:9], false).emit()
				l.st(Y, 0, r)
			} else {
				l.st(x, 0, r)
			}
		}
	})
}

// affineGrad: dz = dy·f'((x - m)·a + b), s0 += dz, s1 += dz·(x - m).
func (t isa) affineGrad(silu bool) {
	name, vectors := "AffineGrad", []string{"s0", "s1", "m"}
	k := t.rowBank(12)
	prepare := func() {}
	if silu {
		name += "Silu"
		vectors = append(vectors, "a", "b")
		prepare = func() { k.keep(silu32.consts(k)...) }
	}
	S0, S1, M, A, B, U, Z, Y, D := t.v[0], t.v[1], t.v[2], t.v[3], t.v[4], t.v[5], t.v[6], t.v[7], t.v[8]
	t.rowMap(name, []string{"dz", "dy", "x"}, vectors, prepare, func(l *rowLoop, R int) {
		l.ldv(0, S0)
		l.ldv(1, S1)
		l.ldv(2, M)
		if silu {
			l.ldv(3, A)
			l.ldv(4, B)
		}
		for r := range R {
			l.ld(2, r, U)
			f32.sub(M, U, U)
			if silu {
				f32.mov(U, Z)
				f32.fma213(B, A, Z)
				silu32.code(k, Z, Y, D, t.v[9:12], true).emit()
				l.ld(1, r, Y)
				f32.mul(Y, D, D)
			} else {
				l.ld(1, r, D)
			}
			l.st(D, 0, r)
			f32.add(D, S0, S0)
			f32.fma231(U, D, S1)
		}
		l.stv(S0, 0)
		l.stv(S1, 1)
	})
}

// combine: y = u·a + (x - m)·b + c.
func (t isa) combine() {
	A, M, B, C := t.v[0], t.v[1], t.v[2], t.v[3]
	t.rowMap("Combine", []string{"y", "u", "x"}, []string{"a", "m", "b", "c"}, nil, func(l *rowLoop, R int) {
		l.ldv(0, A)
		l.ldv(1, M)
		l.ldv(2, B)
		l.ldv(3, C)
		for r := range R {
			x, u := t.v[4+2*r], t.v[5+2*r]
			l.ld(2, r, x)
			f32.sub(M, x, x)
			f32.fma213(C, B, x)
			l.ld(1, r, u)
			f32.fma231(u, A, x)
			l.st(x, 0, r)
		}
	})
}

// gate: y = x + g·z.
func (t isa) gate() {
	G := t.v[0]
	t.rowMap("Gate", []string{"y", "x", "z"}, []string{"gate"}, nil, func(l *rowLoop, R int) {
		l.ldv(0, G)
		for r := range R {
			x, z := t.v[1+2*r], t.v[2+2*r]
			l.ld(1, r, x)
			l.ld(2, r, z)
			f32.fma231(z, G, x)
			l.st(x, 0, r)
		}
	})
}

// columnSums: s += x.
func (t isa) columnSums() {
	S := t.v[0]
	t.rowMap("ColumnSums", []string{"x"}, []string{"s"}, nil, func(l *rowLoop, R int) {
		l.ldv(0, S)
		for r := range R {
			x := t.v[1+r]
			l.ld(0, r, x)
			f32.add(x, S, S)
		}
		l.stv(S, 0)
	})
}
