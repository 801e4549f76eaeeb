package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// recurrence is what the two kernels of complex modes share: rows of ld bytes, from one pointer for each array, with imaginary
// parts half bytes after the real ones, and vectors of w real and then w imaginary parts.
type recurrence struct {
	*rowScan
	half, ld, rows operand.Mem
	h, step, count reg.Register
	bodies         int
}

func (t isa) newRecurrence(pointers int) *recurrence {
	param := func(name string, i int) operand.Mem { return operand.NewParamAddr(name, 8*(pointers+i)) }
	r := &recurrence{rowScan: t.newRowScan(param("w", 0)), rows: param("rows", 1), half: param("half", 2), ld: param("ld", 3)}
	r.h, r.step, r.count = GP64(), GP64(), GP64()
	MOVQ(r.half, r.h)
	MOVQ(r.ld, r.step)
	return r
}

// imaginary is the pointer to the second half of a vector.
func (r *recurrence) imaginary(p reg.Register) reg.Register {
	q := GP64()
	MOVQ(r.w, q)
	LEAQ(operand.Mem{Base: p, Index: q, Scale: 4}, q)
	return q
}

// each runs body for all rows, with pointers to the elements of the current one.
func (r *recurrence) each(from []reg.Register, body func(p []reg.Register)) {
	r.bodies++
	loop := fmt.Sprint("row", r.bodies)
	p := make([]reg.Register, len(from))
	for i := range p {
		p[i] = GP64()
		LEAQ(operand.Mem{Base: from[i], Index: r.off, Scale: 1}, p[i])
	}
	MOVQ(r.rows, r.count)
	Label(loop)
	body(p)
	for _, q := range p {
		ADDQ(r.step, q)
	}
	DECQ(r.count)
	JNZ(label(loop))
}

func (r *recurrence) re(p reg.Register, vector int) operand.Mem {
	return operand.Mem{Base: p, Disp: r.vec * vector}
}

func (r *recurrence) im(p reg.Register, vector int) operand.Mem {
	return operand.Mem{Base: p, Index: r.h, Scale: 1, Disp: r.vec * vector}
}

// advance sets (a, b) to λ (sr, si) + (a, b).
func advance(lr, li, sr, si, a, b reg.VecPhysical) {
	f32.fnma231(li, si, a)
	f32.fma231(li, sr, b)
	f32.fma231(lr, sr, a)
	f32.fma231(lr, si, b)
}

// scan: s = λ s + u and z = s, row after row.
func (t isa) scan() {
	text(t.name+"Scan", "func(z, u, l, s *float32, w, rows, half, ld int)")
	z, u := Load(Param("z"), GP64()), Load(Param("u"), GP64())
	l, s := Load(Param("l"), GP64()), Load(Param("s"), GP64())
	r := t.newRecurrence(4)
	A, B := t.v[12], t.v[13]
	r.passGroups(3, func(n int, tail bool) {
		q := r.imaginary(l)
		for i := range n {
			r.load(r.at(l, i), t.v[4*i], tail)
			r.load(r.at(q, i), t.v[4*i+1], tail)
		}
		q = r.imaginary(s)
		for i := range n {
			r.load(r.at(s, i), t.v[4*i+2], tail)
			r.load(r.at(q, i), t.v[4*i+3], tail)
		}
		r.each([]reg.Register{z, u}, func(p []reg.Register) {
			for i := range n {
				lr, li, sr, si := t.v[4*i], t.v[4*i+1], t.v[4*i+2], t.v[4*i+3]
				r.load(r.re(p[1], i), A, tail)
				r.load(r.im(p[1], i), B, tail)
				advance(lr, li, sr, si, A, B)
				f32.mov(A, sr)
				f32.mov(B, si)
				r.store(A, r.re(p[0], i), tail)
				r.store(B, r.im(p[0], i), tail)
			}
		})
		q = r.imaginary(s)
		for i := range n {
			r.store(t.v[4*i+2], r.at(s, i), tail)
			r.store(t.v[4*i+3], r.at(q, i), tail)
		}
	})
	VZEROUPPER()
	RET()
}

// scanGrad: s = λ s + g, y = s and a += z̄ s, row after row.
func (t isa) scanGrad() {
	text(t.name+"ScanGrad", "func(y, d, z, l, s, a *float32, w, rows, half, ld int)")
	y, g, z := Load(Param("y"), GP64()), Load(Param("d"), GP64()), Load(Param("z"), GP64())
	l, s, a := Load(Param("l"), GP64()), Load(Param("s"), GP64()), Load(Param("a"), GP64())
	r := t.newRecurrence(6)
	LR, LI, SR, SI, AR, AI, A, B, ZR, ZI := t.v[0], t.v[1], t.v[2], t.v[3], t.v[4], t.v[5], t.v[6], t.v[7], t.v[8], t.v[9]
	vectors := []struct {
		p      reg.Register
		re, im reg.VecPhysical
	}{{l, LR, LI}, {s, SR, SI}, {a, AR, AI}}
	r.passGroups(1, func(_ int, tail bool) {
		for _, v := range vectors {
			r.load(r.at(v.p, 0), v.re, tail)
			r.load(r.at(r.imaginary(v.p), 0), v.im, tail)
		}
		r.each([]reg.Register{y, g, z}, func(p []reg.Register) {
			r.load(r.re(p[1], 0), A, tail)
			r.load(r.im(p[1], 0), B, tail)
			r.load(r.re(p[2], 0), ZR, tail)
			r.load(r.im(p[2], 0), ZI, tail)
			advance(LR, LI, SR, SI, A, B)
			f32.mov(A, SR)
			f32.mov(B, SI)
			r.store(A, r.re(p[0], 0), tail)
			r.store(B, r.im(p[0], 0), tail)
			f32.fma231(ZR, A, AR)
			f32.fma231(ZR, B, AI)
			f32.fma231(ZI, B, AR)
			f32.fnma231(ZI, A, AI)
		})
		for _, v := range vectors[1:] {
			r.store(v.re, r.at(v.p, 0), tail)
			r.store(v.im, r.at(r.imaginary(v.p), 0), tail)
		}
	})
	VZEROUPPER()
	RET()
}
