package cpu

import (
	"math"
	"math/rand/v2"
	"testing"

	"hbar/kernels/simd"
)

// eachTeam runs f with every implementation of the inner loops, and with one and with three workers.
func eachTeam(t *testing.T, f func(t *testing.T, team *Team)) {
	for _, im := range simd.All() {
		for _, workers := range []int{1, 3} {
			t.Run(im.Name+"/"+string(rune('0'+workers)), func(t *testing.T) {
				team := NewTeam(workers)
				defer team.Close()
				team.Impl = im
				f(t, team)
			})
		}
	}
}

// guarded is a matrix with NaN before, behind and between its rows.
type guarded struct {
	all             []float32
	s               []float32
	rows, width, ld int
	old             []float32
}

const guard = 24

// matrix is a random one; its rows are pad elements apart.
func matrix(r *rand.Rand, rows, width, pad int) *guarded {
	g := &guarded{rows: rows, width: width, ld: width + pad}
	n := 0
	if rows > 0 {
		n = (rows-1)*g.ld + width
	}
	g.all = make([]float32, n+2*guard)
	for i := range g.all {
		g.all[i] = float32(math.NaN())
	}
	g.s = g.all[guard : guard+n : guard+n]
	for i := range rows {
		for j := range width {
			g.s[i*g.ld+j] = float32(r.NormFloat64())
		}
	}
	g.old = append([]float32(nil), g.all...)
	return g
}

func (g *guarded) row(i int) []float32 { return g.s[i*g.ld:][:g.width] }

// inside reports whether element i of all is one of the matrix.
func (g *guarded) inside(i int) bool {
	i -= guard
	return i >= 0 && i < len(g.s) && i%g.ld < g.width
}

// intact fails if anything outside of the matrix, or with input anything at all, has changed.
func (g *guarded) intact(t *testing.T, name string, input bool) {
	t.Helper()
	for i, v := range g.all {
		if (input || !g.inside(i)) && math.Float32bits(v) != math.Float32bits(g.old[i]) {
			t.Fatalf("%s: element %d (slice %d..%d) changed from %v to %v", name, i, guard, guard+len(g.s), g.old[i], v)
		}
	}
}

// before is the matrix as it was made.
func (g *guarded) before(i, j int) float64 { return float64(g.old[guard+i*g.ld+j]) }

// near compares with a reference in float64: the largest difference must not exceed tol times the largest size, which is
// the sum of the sizes of the terms that make up an element.
func (g *guarded) near(t *testing.T, name string, want, size []float64, tol float64) {
	t.Helper()
	g.intact(t, name, false)
	for i := range g.rows {
		for j, v := range g.row(i) {
			k := i*g.width + j
			if d := math.Abs(float64(v) - want[k]); !(d <= tol*size[k]+1e-30) {
				t.Fatalf("%s: element [%d, %d] is %v, want %v: difference %.3g of %.3g, allowed %.3g of it", name, i, j, v, want[k], d, size[k], tol)
			}
		}
	}
}

func (g *guarded) same(t *testing.T, name string, b *guarded) {
	t.Helper()
	for i := range g.rows {
		for j, v := range g.row(i) {
			if w := b.row(i)[j]; math.Float32bits(v) != math.Float32bits(w) {
				t.Fatalf("%s: element [%d, %d] is %v and %v", name, i, j, v, w)
			}
		}
	}
}
