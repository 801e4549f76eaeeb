package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// isa is an instruction set to generate for: its vector registers and their size.
type isa struct {
	name string
	vec  int // bytes of a vector
	v    []reg.VecPhysical
}

var avx2 = isa{"avx2", 32, []reg.VecPhysical{
	reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7,
	reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
}}

var avx512 = isa{"avx512", 64, []reg.VecPhysical{
	reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7,
	reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
	reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23,
	reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
}}

// elem is the element type of a vector.
type elem struct {
	name string // as in Go
	size int    // bytes
}

var (
	f32 = elem{"float32", 4}
	f64 = elem{"float64", 8}
)

// bits is the width of an element in the names of kernels.
func (e elem) bits() int { return 8 * e.size }

type op func(ops ...operand.Op)

func (e elem) pick(s, d op) op {
	if e == f32 {
		return s
	}
	return d
}

// Vector instructions by element type. Operands are in Go's order: the destination last; 213 and 231 count from there.
func (e elem) fma231(ops ...operand.Op)  { e.pick(VFMADD231PS, VFMADD231PD)(ops...) }
func (e elem) fnma231(ops ...operand.Op) { e.pick(VFNMADD231PS, VFNMADD231PD)(ops...) }
func (e elem) fma213(ops ...operand.Op)  { e.pick(VFMADD213PS, VFMADD213PD)(ops...) }
func (e elem) fms132(ops ...operand.Op)  { e.pick(VFMSUB132PS, VFMSUB132PD)(ops...) }
func (e elem) add(ops ...operand.Op)     { e.pick(VADDPS, VADDPD)(ops...) }
func (e elem) sub(ops ...operand.Op)     { e.pick(VSUBPS, VSUBPD)(ops...) }
func (e elem) mul(ops ...operand.Op)     { e.pick(VMULPS, VMULPD)(ops...) }
func (e elem) div(ops ...operand.Op)     { e.pick(VDIVPS, VDIVPD)(ops...) }
func (e elem) sqrt(ops ...operand.Op)    { e.pick(VSQRTPS, VSQRTPD)(ops...) }
func (e elem) max(ops ...operand.Op)     { e.pick(VMAXPS, VMAXPD)(ops...) }
func (e elem) min(ops ...operand.Op)     { e.pick(VMINPS, VMINPD)(ops...) }
func (e elem) mov(ops ...operand.Op)     { e.pick(VMOVUPS, VMOVUPD)(ops...) }
func (e elem) bcast(ops ...operand.Op)   { e.pick(VBROADCASTSS, VBROADCASTSD)(ops...) }
func (e elem) and(ops ...operand.Op)     { e.pick(VANDPS, VANDPD)(ops...) }
func (e elem) or(ops ...operand.Op)      { e.pick(VORPS, VORPD)(ops...) }
func (e elem) xor(ops ...operand.Op)     { e.pick(VXORPS, VXORPD)(ops...) }
func (e elem) zero(r reg.VecPhysical)    { e.xor(r, r, r) }

// param is a pointer parameter's type.
func (e elem) ptr() string { return "*" + e.name }

// Constants are stored as full vectors, so that they can be memory operands.
var pool = map[string]operand.Mem{}

func (t isa) bits32(u uint32) operand.Mem {
	name := fmt.Sprintf("c%08x", u)
	if m, ok := pool[name]; ok {
		return m
	}
	m := GLOBL(name, 8|16) // RODATA|NOPTR
	for i := 0; i < t.vec; i += 4 {
		DATA(i, operand.U32(u))
	}
	pool[name] = m
	return m
}

func (t isa) bits64(u uint64) operand.Mem {
	name := fmt.Sprintf("d%016x", u)
	if m, ok := pool[name]; ok {
		return m
	}
	m := GLOBL(name, 8|16)
	for i := 0; i < t.vec; i += 8 {
		DATA(i, operand.U64(u))
	}
	pool[name] = m
	return m
}

// val is a floating-point constant.
func (t isa) val(e elem, x float64) operand.Mem {
	if e == f32 {
		return t.bits32(math.Float32bits(float32(x)))
	}
	return t.bits64(math.Float64bits(x))
}

// text starts a kernel; its pointers do not escape.
func text(name, signature string) {
	TEXT(name, 4, signature) // NOSPLIT
	Pragma("noescape")
}

func mem(r reg.Register, off int) operand.Mem { return operand.Mem{Base: r, Disp: off} }

func label(s string) operand.Op { return operand.LabelRef(s) }

// rows gives the addresses of rows 0, 1, … at a stride: three to a base register (index scales 0, 1, 2).
type rows struct {
	base   []reg.GPVirtual
	stride reg.Register
}

// newRows allocates base registers for n rows.
func newRows(n int, stride reg.Register) rows {
	r := rows{stride: stride}
	for i := 0; i < n; i += 3 {
		r.base = append(r.base, GP64())
	}
	return r
}

// set points row 0 to p; three is 3·stride.
func (r rows) set(p, three reg.Register) {
	MOVQ(p, r.base[0])
	for i := 1; i < len(r.base); i++ {
		LEAQ(operand.Mem{Base: r.base[i-1], Index: three, Scale: 1}, r.base[i])
	}
}

func (r rows) at(i, off int) operand.Mem {
	m := operand.Mem{Base: r.base[i/3], Disp: off}
	if i%3 > 0 {
		m.Index, m.Scale = r.stride, uint8(i%3)
	}
	return m
}

// step advances all rows by s bytes.
func (r rows) step(s operand.Op) {
	for _, b := range r.base {
		ADDQ(s, b)
	}
}
