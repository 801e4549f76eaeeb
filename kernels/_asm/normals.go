package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// logc: log(1+f) = f - f²/2 + f³ p(f) on [√½-1, √2-1] (Cephes, logf).
var logc = []float64{7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
	-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1}

// sinc, cosc: sin a = a + a³ p(a²), cos a = 1 - a²/2 + a⁴ p(a²) on [-π/4, π/4] (Cephes, sinf and cosf).
var (
	sinc = []float64{-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1}
	cosc = []float64{2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2, -0.5, 1}
)

// normals4: n > 0 samples, whose low words of the id start at lo and do not pass 2³²; four normals a sample, rows of z at
// a stride of zs bytes. It works on a vector of samples at a time and stops within one.
//
// The first four registers are the Philox counter and then its words; the last holds the ids.
func (t isa) normals4() {
	text(t.name+"Normals4", "func(z *float32, zs int, seedLo, seedHi, block, stream, lo, hi uint32, n int)")
	z, zs, n := Load(Param("z"), GP64()), Load(Param("zs"), GP64()), Load(Param("n"), GP64())
	lanes := t.vec / 4
	iota := GLOBL("iota", 8|16)
	for i := range lanes {
		DATA(4*i, operand.U32(i))
	}
	v := t.v
	ids := v[15]
	bcast := func(name string, y reg.VecPhysical, x reg.VecPhysical) { // through a GP register: go vet does not know VPBROADCASTD
		r := GP32()
		Load(Param(name), r)
		VMOVD(r, x)
		VPBROADCASTD(x, y)
	}
	if t.vec == 64 {
		r := GP32()
		MOVL(operand.U32(0xAAAA), r)
		KMOVW(r, reg.K2)
	}
	bcast("lo", ids, xmm[15])
	VPADDD(iota, ids, ids)

	Label("group")
	bcast("block", v[0], xmm[0])
	bcast("stream", v[1], xmm[1])
	f32.mov(ids, v[2])
	bcast("hi", v[3], xmm[3])
	bcast("seedLo", v[6], xmm[6])
	bcast("seedHi", v[7], xmm[7])
	f32.mov(t.bits32(0xD2511F53), v[4])
	f32.mov(t.bits32(0xCD9E8D57), v[5])
	t.philox()
	t.boxMuller(v[0], v[1], v[4:12])
	t.boxMuller(v[2], v[3], v[4:12])

	t.storeNormals(z, zs, n, label("end"))
	VPADDD(t.bits32(uint32(lanes)), ids, ids)
	JMP(label("group"))
	Label("end")
	VZEROUPPER()
	RET()
}

// philox applies the ten rounds of Philox4x32-10 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3) to the counters in the first
// four registers, a counter a lane. Registers 4 and 5 have the multipliers, 6 and 7 the keys, 8 to 13 are temporaries; K2 selects the odd
// lanes with AVX-512.
func (t isa) philox() {
	v := t.v
	// blendOdd: dst = odd lanes of a, even lanes of b.
	blendOdd := func(a, b, dst reg.VecPhysical) {
		if t.vec == 64 {
			VPBLENDMD(a, b, reg.K2, dst)
		} else {
			VPBLENDD(operand.U8(0xAA), a, b, dst)
		}
	}
	pxor := func(a, b, dst operand.Op) {
		if t.vec == 64 {
			VPXORD(a, b, dst)
		} else {
			VPXOR(a, b, dst)
		}
	}
	mulhilo := func(c, m, lo, hi, even, odd reg.VecPhysical) {
		VPMULUDQ(m, c, even)
		VPSRLQ(operand.U8(32), c, odd)
		VPMULUDQ(m, odd, odd)
		VPSLLQ(operand.U8(32), odd, lo)
		blendOdd(lo, even, lo)
		VPSRLQ(operand.U8(32), even, hi)
		blendOdd(odd, hi, hi)
	}
	for r := range 10 {
		if r > 0 {
			VPADDD(t.bits32(0x9E3779B9), v[6], v[6])
			VPADDD(t.bits32(0xBB67AE85), v[7], v[7])
		}
		mulhilo(v[0], v[4], v[8], v[9], v[12], v[13])
		mulhilo(v[2], v[5], v[10], v[11], v[12], v[13])
		pxor(v[11], v[1], v[0])
		pxor(v[6], v[0], v[0]) // c0 = hi(c2) ^ c1 ^ k0
		f32.mov(v[10], v[1])   // c1 = lo(c2)
		pxor(v[9], v[3], v[2])
		pxor(v[7], v[2], v[2]) // c2 = hi(c0) ^ c3 ^ k1
		f32.mov(v[8], v[3])    // c3 = lo(c0)
	}
}

// storeNormals writes the samples' normals, which are lanes of the first four registers, as rows of four at z, zs bytes from one to
// the next. It counts n down, and goes to end after the last sample.
func (t isa) storeNormals(z, zs, n reg.Register, end operand.Op) {
	v := t.v
	// v0..v3 hold the four normals of the samples in lanes: transpose, sample 4q+i to 128-bit lane q of v[8+i].
	VUNPCKLPS(v[1], v[0], v[4])
	VUNPCKHPS(v[1], v[0], v[5])
	VUNPCKLPS(v[3], v[2], v[6])
	VUNPCKHPS(v[3], v[2], v[7])
	VUNPCKLPD(v[6], v[4], v[8])
	VUNPCKHPD(v[6], v[4], v[9])
	VUNPCKLPD(v[7], v[5], v[10])
	VUNPCKHPD(v[7], v[5], v[11])
	for q := range t.vec / 16 {
		for i := range 4 {
			switch {
			case q == 0:
				VMOVUPS(xmm[8+i], mem(z, 0))
			case t.vec == 64:
				VEXTRACTF32X4(operand.U8(q), v[8+i], mem(z, 0))
			default:
				VEXTRACTF128(operand.U8(q), v[8+i], mem(z, 0))
			}
			DECQ(n)
			JEQ(end)
			ADDQ(zs, z)
		}
	}
}

// boxMuller turns the words a, b into r cos, r sin with r = √(-2 ln u(a)) and the angle 2π b/2³²; t holds 8 temporaries.
//
// u - 1 comes from the complement of the word where u ≥ √½, so that ln u keeps its relative accuracy as u → 1. The
// quadrant is taken off the angle in integers.
func (t isa) boxMuller(a, b reg.VecPhysical, tmp []reg.VecPhysical) {
	e := f32
	k := &bank{isa: t, e: e}
	u, f, x, y, z := tmp[0], tmp[1], tmp[2], tmp[3], tmp[4]
	VPSRLD(operand.U8(1), a, a)
	VCVTDQ2PS(a, u)
	e.mov(t.val(e, 1.0/(1<<32)), x)
	e.fma231(t.val(e, 1.0/(1<<31)), u, x) // u, rounded
	e.mov(t.bits32(1<<31-1), f)
	VPSUBD(a, f, f)
	VCVTDQ2PS(f, f)
	e.mov(t.val(e, -1.0/(1<<32)), y)
	e.fma231(t.val(e, -1.0/(1<<31)), f, y) // u - 1
	VPSUBD(t.bits32(0x3f3504f3), x, z)
	VPSRAD(operand.U8(23), z, z) // e: 0 where u ≥ √½, else negative
	VPSLLD(operand.U8(23), z, f)
	VPSUBD(f, x, f) // u/2^e
	e.sub(t.val(e, 1), f, f)
	k.blendSign(z, f, y, f)
	VCVTDQ2PS(z, z)
	e.mul(f, f, x)
	e.mov(t.val(e, logc[0]), y)
	for _, c := range logc[1:] {
		e.fma213(t.val(e, c), f, y)
	}
	e.mul(f, y, y)
	e.mul(x, y, y)
	e.fma231(t.val(e, -2.12194440e-4), z, y) // ln 2 in two parts
	e.fma231(t.val(e, -0.5), x, y)
	e.add(f, y, y)
	e.fma231(t.val(e, 0.693359375), z, y)
	e.mul(t.val(e, -2), y, y)
	e.sqrt(y, y) // r

	q, ang, sq, sin, cos := tmp[0], tmp[1], tmp[2], tmp[4], tmp[5]
	VPADDD(t.bits32(1<<29), b, q) // the quadrant in bits 30 and 31
	VPSLLD(operand.U8(2), b, ang)
	VPSRAD(operand.U8(2), ang, ang)
	VCVTDQ2PS(ang, ang)
	e.mul(t.val(e, 2*3.14159265358979323846/(1<<32)), ang, ang)
	e.mul(ang, ang, sq)
	e.mov(t.val(e, sinc[0]), sin)
	for _, c := range sinc[1:] {
		e.fma213(t.val(e, c), sq, sin)
	}
	e.mul(sq, sin, sin)
	e.fma213(ang, ang, sin)
	e.mov(t.val(e, cosc[0]), cos)
	for _, c := range cosc[1:] {
		e.fma213(t.val(e, c), sq, cos)
	}
	odd := tmp[6]
	VPSLLD(operand.U8(1), q, odd)
	k.blendSign(odd, cos, sin, b)
	k.blendSign(odd, sin, cos, a)
	sign := t.bits32(1 << 31)
	VPADDD(t.bits32(1<<30), q, odd)
	e.and(sign, q, q)
	e.and(sign, odd, odd)
	e.xor(q, b, b)
	e.xor(odd, a, a)
	e.mul(y, a, a)
	e.mul(y, b, b)
}
