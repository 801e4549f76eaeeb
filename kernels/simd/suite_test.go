package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// each runs a test once for every implementation of this machine.
func each(t *testing.T, f func(t *testing.T, im *Impl)) {
	for _, im := range All() {
		t.Run(im.Name, func(t *testing.T) { f(t, im) })
	}
}

const (
	eps32 = 1.0 / (1 << 24) // half an ulp of 1
	eps64 = 1.0 / (1 << 53)
)

func epsOf[F Float]() float64 {
	if panel[F]() == Panel32 {
		return eps32
	}
	return eps64
}

// guarded is a slice between guard bands, starting off elements past a 64-byte boundary.
type guarded[F Float] struct {
	s    []F // the slice under test
	all  []F
	lo   int
	want []F // what it held when frozen
}

const guard = 24

func newGuarded[F Float](n, off int) *guarded[F] {
	g := &guarded[F]{all: make([]F, n+2*guard+64)}
	sz := size[F]()
	g.lo = guard
	for (addr(&g.all[g.lo])-uintptr(off*sz))%64 != 0 {
		g.lo++
	}
	for i := range g.all {
		g.all[i] = F(math.NaN())
	}
	g.s = g.all[g.lo : g.lo+n : g.lo+n]
	return g
}

func (g *guarded[F]) fill(r *rand.Rand) *guarded[F] {
	for i := range g.s {
		g.s[i] = F(r.Float64()*2 - 1)
	}
	g.freeze()
	return g
}

func (g *guarded[F]) freeze() { g.want = append(g.want[:0], g.s...) }

// intact fails if a guard band, or with inputs the slice itself, has changed.
func (g *guarded[F]) intact(t *testing.T, name string, input bool) {
	t.Helper()
	for i, v := range g.all {
		if (i < g.lo || i >= g.lo+len(g.s)) && v == v {
			t.Fatalf("%s: guard element %d (slice %d..%d) overwritten with %v", name, i, g.lo, g.lo+len(g.s), v)
		}
	}
	if input {
		for i, v := range g.s {
			if v != g.want[i] {
				t.Fatalf("%s: input element %d changed from %v to %v", name, i, g.want[i], v)
			}
		}
	}
}

// close64 fails unless |got-want| ≤ tol; NaN fails.
func close64(t *testing.T, got, want, tol float64, format string, args ...any) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Fatalf("%s: got %v, want %v, difference %.3g, allowed %.3g", fmt.Sprintf(format, args...), got, want, got-want, tol)
	}
}

func sameBits[F Float](a, b F) bool {
	return math.Float64bits(float64(a)) == math.Float64bits(float64(b)) || a != a && b != b
}
