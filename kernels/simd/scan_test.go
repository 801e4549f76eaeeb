package simd

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestScan compares both recurrences with the generic code at odd widths, in both directions, in place too, and checks that nothing
// else is written. The operations and their order are the same, so all bits are.
func TestScan(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(41, 42))
		for _, w := range []int{1, 3, 7, 8, 9, 16, 24, 31, 48, 67} {
			for _, rows := range []int{1, 2, 5, 40} {
				for _, back := range []bool{false, true} {
					m := Modes{Rows: rows, Half: w + r.IntN(9), Back: back}
					m.Ld = m.Half + w + r.IntN(9)
					testScan(t, im, m, w, r)
				}
			}
		}
		testScan(t, im, Modes{Rows: maxElems / 8, Half: 17, Ld: 34, Back: true}, 17, r) // more than one call
	})
}

func testScan(t *testing.T, im *Impl, m Modes, w int, r *rand.Rand) {
	size := (m.Rows-1)*m.Ld + m.Half + w
	array := func(n int) *guarded[float32] { return newGuarded[float32](n, r.IntN(16)).fill(r) }
	name := fmt.Sprintf("w=%d, %+v", w, m)
	u, z, l, s, a, y := array(size), array(size), array(2*w), array(2*w), array(2*w), array(size)
	for i := range l.s {
		l.s[i] *= 0.7 // |λ| < 1
	}
	l.freeze()
	same := func(what string, got, want []float32) {
		t.Helper()
		for i := range got {
			if !sameBits(got[i], want[i]) {
				t.Fatalf("%s: %s: element %d is %v, the generic code gives %v", name, what, i, got[i], want[i])
			}
		}
	}
	copied := func(x *guarded[float32]) []float32 { return append([]float32(nil), x.s...) }
	wantY, wantS, wantA := copied(y), copied(s), copied(a)
	genericRows.ScanGrad(m, wantY, u.s, z.s, l.s, wantS, wantA)
	states := copied(s)
	im.ScanGrad(m, y.s, u.s, z.s, l.s, s.s, a.s)
	same("ScanGrad", y.s, wantY)
	same("ScanGrad's state", s.s, wantS)
	same("ScanGrad's sum", a.s, wantA)
	for _, g := range []*guarded[float32]{u, z, l} {
		g.intact(t, name, true)
	}
	for _, g := range []*guarded[float32]{y, s, a} {
		g.intact(t, name, false)
	}
	copy(s.s, states)
	got := copied(u)
	im.Scan(m, got, got, l.s, s.s) // in place
	copy(wantY, u.s)
	genericRows.Scan(m, wantY, u.s, l.s, states)
	same("Scan", got, wantY)
	same("Scan's state", s.s, states)
}
