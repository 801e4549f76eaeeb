package simd

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// sameAs fails unless both slices have the same bits, guards included.
func sameAs(t *testing.T, name string, a, b *guarded[float32]) {
	t.Helper()
	a.intact(t, name, false)
	for i, v := range a.s {
		if !sameBits(v, b.s[i]) {
			t.Fatalf("%s: element %d is %v, by definition %v", name, i, v, b.s[i])
		}
	}
}

// somePixels draws a table of count pixels of an image of n, with some outside of it; no pixel comes twice.
func somePixels(r *rand.Rand, n, count int) []int32 {
	pix := make([]int32, count)
	for i, q := range r.Perm(max(n, count))[:count] {
		pix[i] = int32(q)
		if q >= n || r.IntN(6) == 0 {
			pix[i] = -1
		}
	}
	return pix
}

// pairOf are two guarded slices of the same n random numbers.
func pairOf(r *rand.Rand, n, off int) (a, b *guarded[float32]) {
	a = newGuarded[float32](n, off).fill(r)
	b = newGuarded[float32](n, off)
	copy(b.s, a.s)
	return a, b
}

// testWinogradWeights is TestWinograd's part on weights, their gradients and transposes.
func testWinogradWeights(t *testing.T, im *Impl, r *rand.Rand, tiles, panels, off int, name string) {
	pair := func(n int) (a, b *guarded[float32]) { return pairOf(r, n, off) }
	rows := tiles
	ws, ur := Panel32+r.IntN(9), Panel32+r.IntN(9)
	wr, us := 9*ws, ur*max(1, rows)
	g := newGuarded[float32](wr*rows, off).fill(r)
	u, q := pair(16 * us)
	flip := r.IntN(2) == 0
	im.WinogradWeights(u.s, us, ur, g.s, ws, wr, rows, flip)
	winogradWeightsGeneric(q.s, us, ur, g.s, ws, wr, rows, flip)
	sameAs(t, "weights, "+name, u, q)
	g.intact(t, name, true)

	ss, ds := panels*Panel32+3, panels*Panel32+r.IntN(2)*5
	s := newGuarded[float32](16*ss, off).fill(r)
	a, b := pair(9 * ds)
	add := r.IntN(2) == 0
	im.WinogradWeightsGrad(a.s, ds, s.s, ss, panels, add)
	winogradWeightsGradGeneric(b.s, ds, s.s, ss, panels, add)
	sameAs(t, "weights gradient, "+name, a, b)
	s.intact(t, name, true)

	dj, si := 16+r.IntN(9), 16+r.IntN(9)
	src := newGuarded[float32](16*si*max(1, tiles), off).fill(r)
	c, d := pair(16 * dj * max(1, tiles))
	im.Transpose16(c.s, 16*dj, dj, src.s, 16*si, si, tiles)
	transpose16Generic(d.s, 16*dj, dj, src.s, 16*si, si, tiles)
	sameAs(t, "transpose, "+name, c, d)
}

// TestWinograd: every transform has the bits of its definition, for all strides, and writes nothing else.
func TestWinograd(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(21, 22))
		for trial := range 60 {
			tiles, panels, off := r.IntN(9), 1+r.IntN(5), r.IntN(16)
			if trial == 0 {
				tiles, panels = 9, 130
			}
			ld := panels*Panel32 + r.IntN(20)
			name := fmt.Sprintf("tiles=%d panels=%d ld=%d", tiles, panels, ld)
			// components at a stride, tiles at another, panels at a third: in two orders
			vt, vp := panels*Panel32+r.IntN(5), Panel32
			vs := vt*max(1, tiles) + r.IntN(7)
			if r.IntN(2) == 0 {
				vt, vp = Panel32, Panel32*max(1, tiles)
				vs = vp*panels + r.IntN(7)
			}
			pair := func(n int) (a, b *guarded[float32]) { return pairOf(r, n, off) }
			x := newGuarded[float32](40*ld, off).fill(r)
			v, w := pair(16 * vs)
			pix := somePixels(r, 40, 16*min(tiles, 2))
			im.WinogradInput(v.s, vs, vt, vp, x.s, ld, pix, panels)
			winogradInputGeneric(w.s, vs, vt, vp, x.s, ld, pix, panels)
			sameAs(t, "input, "+name, v, w)

			pix = somePixels(r, 40, 4*tiles)
			im.WinogradOutputGrad(v.s, vs, vt, vp, x.s, ld, pix, panels)
			winogradOutputGradGeneric(w.s, vs, vt, vp, x.s, ld, pix, panels)
			sameAs(t, "output gradient, "+name, v, w)
			x.intact(t, name, true)

			y, z := pair(40 * ld)
			var bias, res []float32
			if r.IntN(2) == 0 {
				bias = random[float32](panels * Panel32)
			}
			ldr := ld
			switch r.IntN(3) {
			case 0:
				ldr += 3
				res = random[float32](40 * ldr)
			case 1:
				res = z.s
			}
			winogradOutputGeneric(z.s, ld, pix, v.s, vs, vt, vp, bias, res, ldr, panels)
			if res != nil && ldr == ld {
				res = y.s
			}
			im.WinogradOutput(y.s, ld, pix, v.s, vs, vt, vp, bias, res, ldr, panels)
			sameAs(t, "output, "+name, y, z)

			testWinogradWeights(t, im, r, tiles, panels, off, name)
		}
	})
}

// TestWinogradIdentity: the definitions compute a convolution and its gradients. One tile, one channel in each of 16
// lanes: y = g ∗ d, and the gradient in g of e·y.
func TestWinogradIdentity(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	d, g, e := random[float32](16*16), random[float32](9*16), random[float32](4*16)
	for i := range e {
		e[i] = r.Float32()
	}
	pix16, pix4 := make([]int32, 16), make([]int32, 4)
	for i := range pix16 {
		pix16[i] = int32(i)
	}
	copy(pix4, pix16)
	var v, u, m, z [16 * 16]float32
	var y [4 * 16]float32
	var dw [9 * 16]float32
	winogradInputGeneric(v[:], 16, 16, 16, d, 16, pix16, 1)
	winogradWeightsGeneric(u[:], 16, 16, g, 16, 16*9, 1, false)
	for i := range m {
		m[i] = v[i] * u[i]
	}
	winogradOutputGeneric(y[:], 16, pix4, m[:], 16, 16, 16, nil, nil, 0, 1)
	winogradOutputGradGeneric(z[:], 16, 16, 16, e, 16, pix4, 1)
	for i := range m {
		m[i] = v[i] * z[i]
	}
	winogradWeightsGradGeneric(dw[:], 16, m[:], 16, 1, false)
	for j := range 16 {
		var want [4]float64
		var wantG [9]float64
		for i := range 4 {
			for k := range 9 {
				x := float64(d[((i/2+k/3)*4+i%2+k%3)*16+j])
				want[i] += float64(g[k*16+j]) * x
				wantG[k] += float64(e[i*16+j]) * x
			}
		}
		for i, w := range want {
			close64(t, float64(y[i*16+j]), w, 4e-6, "y[%d]", i)
		}
		for k, w := range wantG {
			close64(t, float64(dw[k*16+j]), w, 4e-6, "dw[%d]", k)
		}
	}
}
