//go:build !noasm

package simd

import (
	"math/rand/v2"
	"slices"
	"testing"
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
		for range 40 {
			for _, ep := range []Epilogue{Activate, ActivateGrad} {
				s := shape{m: 1 + r.IntN(120), k: 40 + r.IntN(100), np: 1 + r.IntN(5), ep: ep, act: SiLU, bias: r.IntN(3) > 0,
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
