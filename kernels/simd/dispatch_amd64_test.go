//go:build !noasm

package simd

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// TestChoose switches features off one by one.
func TestChoose(t *testing.T) {
	defer detect() // restores what choose sets
	for _, v := range []struct {
		avx2, fma, avx512 bool
		want              []string
	}{
		{true, true, true, []string{"avx2", "avx512"}},
		{true, true, false, []string{"avx2"}},
		{true, false, true, nil},
		{false, true, true, nil},
		{false, false, false, nil},
	} {
		var got []string
		for _, im := range choose(v.avx2, v.fma, v.avx512) {
			got = append(got, im.Name)
		}
		if !slices.Equal(got, v.want) {
			t.Errorf("AVX2 %t, FMA %t, AVX-512 %t: %v, want %v", v.avx2, v.fma, v.avx512, got, v.want)
		}
	}
}

// TestCarry: activations carried by the next block have the same bits as in a pass of their own, with and without the
// derivative, and the suite holds for both.
func TestCarry(t *testing.T) {
	defer detect()
	for _, k := range []struct {
		name string
		r    *productKernels[float32]
	}{{"avx2", avx2.f32}, {"avx512", avx512.f32}} {
		if !slices.ContainsFunc(All(), func(im *Impl) bool { return im.Name == k.name }) {
			continue
		}
		r := rand.New(rand.NewPCG(17, 18))
		for i := range 80 {
			for _, ep := range []Epilogue{Activate, ActivateGrad} {
				act := [2]Act{SiLU, GELUTanh}[i%2]
				chunk := [3]int{0, 64, 128}[r.IntN(3)]
				s := shape{m: 1 + r.IntN(120), k: 40 + r.IntN(200), np: 1 + r.IntN(5), ep: ep, act: act, chunk: chunk, bias: r.IntN(3) > 0,
					acc: r.IntN(4) == 0, transposed: r.IntN(2) == 0, panels: r.IntN(2) == 0, pad: 5 * r.IntN(2), off: r.IntN(16)}
				k.r.carry.off = false
				verify(t, k.r.product, s, r)
				o := build[float32](s, r)
				q := o.q
				k.r.product(&q)
				c, d := slices.Clone(o.c.s), slices.Clone(o.d.s)
				copy(o.c.s, o.c.want)
				copy(o.d.s, o.d.want)
				k.r.carry.off = true
				k.r.product(&q)
				for i := range c {
					if !sameBits(c[i], o.c.s[i]) || !sameBits(d[i], o.d.s[i]) {
						t.Fatalf("%s %s: element %d is %v, %v carried and %v, %v apart", k.name, s, i, c[i], d[i], o.c.s[i], o.d.s[i])
					}
				}
				k.r.carry.off = false
			}
		}
	}
}

// TestRegion follows the addresses that a kernel prefetches through its blocks: where there is time for it, they come to every cache line of a region's rows.
func TestRegion(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	tried := 0
	for range 3000 {
		kn, blocks, each := 1<<(4+r.IntN(5)), 1+r.IntN(50), 2<<r.IntN(2)
		g := Region[float32]{Ld: 16 * (1 + r.IntN(40)), Rows: 1 + r.IntN(200)}
		g.Cols = 1 + r.IntN(g.Ld)
		g.S = make([]float32, (g.Rows-1)*g.Ld+g.Cols)
		base := uintptr(unsafe.Pointer(&g.S[0]))
		seen := map[int]bool{} // lines, by their distance from the region's
		left, complete := g.Rows, true
		for left > 0 {
			done := g.Rows - left
			a := g.ahead(kn/each, blocks, each, &left)
			rows, lines := g.Rows-left-done, (4*g.Cols+63)/64
			// The kernel counts the steps of two parts of a block.
			at := int(a.at - base)
			for range blocks {
				began := at
				for _, k := range []int{kn / 2, kn / 2} {
					for k -= each; k >= 0; k -= each {
						seen[at/64], seen[(at+a.second)/64] = true, true
						at += a.stride
						if k&a.mask == 0 {
							at += a.jump
						}
					}
				}
				at = began + a.block // as the caller says after some blocks
			}
			complete = complete && a.stride < 64 // less: the row has time
			for row := done; complete && row < done+rows; row++ {
				tried++
				for l := range lines {
					if !seen[row*4*g.Ld/64+l] {
						t.Fatalf("%d steps, %d blocks, %d rows of %d, %d apart: line %d of row %d is left out", kn, blocks, g.Rows, g.Cols, g.Ld, l, row)
					}
				}
			}
		}
	}
	if tried < 10_000 {
		t.Errorf("%d rows with time for them", tried)
	}
}
