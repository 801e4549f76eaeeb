// Command _asm generates the assembly of package simd for one instruction set:
//
//	go run . -isa avx2 -out ../simd/avx2_amd64.s -stubs ../simd/avx2_amd64.go -pkg simd
//
// All kernels are NOSPLIT, take explicit pointers and byte strides, and keep their sums in registers. They load and store
// with the unaligned forms. A parameter cannot be called g (a register's name in Go assembly).
package main

import (
	"flag"
	"log"

	. "github.com/mmcloughlin/avo/build"
)

func main() {
	name := flag.String("isa", "avx2", "instruction set: avx2 or avx512")
	flag.Parse()
	ConstraintExpr("!noasm")
	switch *name {
	case "avx2":
		avx2.all()
	case "avx512":
		avx512.all()
	default:
		log.Fatalf("_asm: instruction set %q unknown; have avx2, avx512", *name)
	}
	Generate()
}

func (t isa) all() {
	for _, e := range []elem{f32, f64} {
		t.peak(e)
		// AVX2: 6 rows by one panel of two vectors. AVX-512: 12 rows by two panels of one, and a last panel alone.
		most, panels := 6, 1
		if t.vec == 64 {
			most, panels = 12, 2
		}
		for NP := 1; NP <= panels; NP++ {
			for R := 1; R <= most; R++ {
				t.product(e, R, NP)
			}
		}
	}
	if t.vec == 32 {
		for R := 4; R <= 5; R++ {
			t.carry(R, 1, 6, false)
			t.carry(R, 1, 6, true)
		}
		for _, s := range [][2]int{{1, 1}, {1, 2}, {4, 1}, {4, 2}} {
			t.head(s[0], s[1])
		}
	} else {
		for R := 8; R <= 12; R++ {
			t.carry(R, 2, 2, false)
			t.carry(R, 2, 2, true)
		}
	}
	for _, f := range []act{silu32, tanh32, gelu32} {
		t.actRows(f32, f, false)
		t.actRows(f32, f, true)
		t.tangentRows(f32, f)
	}
	t.actRows(f64, silu64, false)
	t.actRows(f64, silu64, true)
	t.tangentRows(f64, silu64)
	for dim := 1; dim <= 3; dim++ {
		for order := 1; order <= 5 && (dim < 3 || order < 5); order++ {
			t.jet(f32, dim, order)
			t.jet(f64, dim, order)
		}
	}
	t.adam()
	t.update()
	t.normals4()
}
