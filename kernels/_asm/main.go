// Command _asm generates the assembly of package simd for one instruction set:
//
//	go run . -isa avx2 -out ../simd/avx2_amd64.s -stubs ../simd/avx2_amd64.go -pkg simd
//
// All kernels but those of jets are NOSPLIT. They take explicit pointers and byte strides, and keep their sums in registers. They load and store
// with the unaligned forms. A parameter cannot be called g (a register's name in Go assembly).
package main

import (
	"flag"
	"log"

	. "github.com/mmcloughlin/avo/build"
)

func main() {
	name := flag.String("isa", "avx2", "instruction set: avx2 or avx512")
	set := flag.String("set", "chains", "kernels to generate: chains (products, activations, updates), rows (simd.Rows) or winograd (simd.Winograd)")
	flag.Parse()
	ConstraintExpr("!noasm")
	t, ok := map[string]isa{"avx2": avx2, "avx512": avx512}[*name]
	if !ok {
		log.Fatalf("_asm: instruction set %q unknown; have avx2, avx512", *name)
	}
	switch *set {
	case "chains":
		t.all()
	case "rows":
		t.allRows()
	case "winograd":
		t.winograd()
	default:
		log.Fatalf("_asm: set %q unknown; have chains, rows, winograd", *set)
	}
	Generate()
}

func (t isa) all() {
	wide := t.vec == 64
	for _, e := range []elem{f32, f64} {
		t.peak(e)
	}
	for R := 1; R <= 6 && !wide; R++ {
		t.product(f32, R, 1)
		t.product(f64, R, 1)
	}
	// Two panels at once, and a last one alone. Plain sums have the same bits with short vectors, so a last panel of
	// float64, which only odd multiples of 8 units have, is left to AVX2.
	for R := 1; R <= 12 && wide; R++ {
		t.product(f32, R, 2)
		t.product(f32, R, 1)
		t.product(f64, R, 2)
	}
	for _, grad := range []bool{false, true} {
		for R := 4; R <= 5 && !wide; R++ {
			t.carry(siluCarried, R, 1, 6, grad)
		}
		for R := 8; R <= 12 && wide; R++ {
			t.carry(siluCarried, R, 2, 2, grad)
			t.carry(geluTanhCarried, R, 2, 4, grad)
		}
	}
	for _, f := range []act{silu32, tanh32, gelu32} {
		t.actRows(f32, f, false)
		t.actRows(f32, f, true)
	}
	t.actRows(f64, silu64, false)
	t.actRows(f64, silu64, true)
	for dim := 1; dim <= 3; dim++ {
		for order := 1; order <= 5 && (dim < 3 || order < 5); order++ {
			t.jet(f32, dim, order)
			t.jet(f64, dim, order)
		}
	}
	for _, s := range [][2]int{{1, 1}, {1, 2}, {4, 1}, {4, 2}} {
		t.head(s[0], s[1])
	}
	t.adam()
	t.update()
	t.normals4()
}
