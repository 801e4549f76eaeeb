package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// rowCase is a routine of Rows on matrices of rows×w elements and vectors of w: it writes the matrices y and adds to the
// vectors s, from the matrices x and the vectors v. tol is its error against the generic code in half-ulps of the
// largest term.
type rowCase struct {
	name       string
	y, s, x, v int
	tol        float64
	run        func(r *Rows, y, s, x, v [][]float32)
}

func rowCases() []rowCase {
	cases := []rowCase{
		{"Combine", 1, 0, 2, 4, 8, func(r *Rows, y, s, x, v [][]float32) { r.Combine(y[0], x[0], x[1], v[0], v[1], v[2], v[3]) }},
		{"Gate", 1, 0, 2, 1, 4, func(r *Rows, y, s, x, v [][]float32) { r.Gate(y[0], x[0], x[1], v[0]) }},
		{"ColumnSums", 0, 1, 1, 0, 16, func(r *Rows, y, s, x, v [][]float32) { r.ColumnSums(s[0], x[0]) }},
		{"LayerNorm", 1, 0, 1, 2, 40, func(r *Rows, y, s, x, v [][]float32) { r.LayerNorm(y[0], x[0], v[0], v[1], 1e-2) }},
		{"LayerNormGrad", 1, 0, 2, 1, 400, func(r *Rows, y, s, x, v [][]float32) { r.LayerNormGrad(y[0], x[0], x[1], v[0], nil, nil, 1e-2) }},
		{"LayerNormGradSums", 1, 2, 2, 1, 400, func(r *Rows, y, s, x, v [][]float32) { r.LayerNormGrad(y[0], x[0], x[1], v[0], s[0], s[1], 1e-2) }},
		{"Softmax", 1, 0, 1, 0, 40, func(r *Rows, y, s, x, v [][]float32) {
			r.Softmax(y[0], x[0], len(x[0]), len(x[0]), 1, 3)
		}},
		{"SoftmaxGrad", 1, 0, 2, 0, 300, func(r *Rows, y, s, x, v [][]float32) {
			n := len(x[0])
			r.SoftmaxGrad(y[0], x[0], x[1], n, n, 1, 0.3)
		}},
		{"Add", 1, 0, 2, 0, 2, func(r *Rows, y, s, x, v [][]float32) { r.Add(y[0], x[0], x[1]) }},
		{"Mul", 1, 0, 2, 0, 2, func(r *Rows, y, s, x, v [][]float32) { r.Mul(y[0], x[0], x[1]) }},
		{"Scale", 1, 0, 1, 0, 2, func(r *Rows, y, s, x, v [][]float32) { r.Scale(y[0], x[0], 0.3) }},
		{"Sum4", 1, 0, 4, 0, 8, func(r *Rows, y, s, x, v [][]float32) { r.Sum4(y[0], x[0], x[1], x[2], x[3], 0.25) }},
	}
	for f := Identity; f <= GELUTanh; f++ {
		cases = append(cases,
			rowCase{"Affine/mb/" + f.String(), 1, 0, 1, 3, 20, func(r *Rows, y, s, x, v [][]float32) { r.Affine(f, y[0], x[0], v[0], v[1], v[2]) }},
			rowCase{"Affine/b/" + f.String(), 1, 0, 1, 2, 20, func(r *Rows, y, s, x, v [][]float32) { r.Affine(f, y[0], x[0], nil, v[0], v[1]) }},
			rowCase{"Affine/" + f.String(), 1, 0, 1, 1, 20, func(r *Rows, y, s, x, v [][]float32) { r.Affine(f, y[0], x[0], nil, v[0], nil) }},
			rowCase{"ActGrad/" + f.String(), 1, 0, 2, 0, 20, func(r *Rows, y, s, x, v [][]float32) { r.ActGrad(f, y[0], x[0], x[1]) }},
			rowCase{"AffineGrad/" + f.String(), 1, 2, 2, 3, 40, func(r *Rows, y, s, x, v [][]float32) {
				r.AffineGrad(f, y[0], x[0], x[1], v[0], v[1], v[2], s[0], s[1])
			}})
	}
	return cases
}

// TestRows: every routine at odd shapes and alignments against the generic code; inputs and what surrounds the arrays
// stay as they are; and the first output may be the first input.
func TestRows(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(31, 32))
		for _, c := range rowCases() {
			for _, w := range []int{1, 7, 8, 9, 16, 17, 33, 67, 133} {
				for _, rows := range []int{0, 1, 4, 5, 9} {
					testRows(t, im, c, rows, w, r)
				}
			}
			testRows(t, im, c, 70, 250, r) // more than one call
		}
	})
}

func testRows(t *testing.T, im *Impl, c rowCase, rows, w int, r *rand.Rand) {
	arrays := func(n, size int, fill bool) (g []*guarded[float32], s [][]float32) {
		for range n {
			a := newGuarded[float32](size, r.IntN(16))
			if fill {
				a.fill(r)
			}
			g, s = append(g, a), append(s, a.s)
		}
		return g, s
	}
	copies := func(g []*guarded[float32]) (s [][]float32) {
		for _, a := range g {
			s = append(s, append([]float32(nil), a.s...))
		}
		return s
	}
	gy, y := arrays(c.y, rows*w, false)
	gs, s := arrays(c.s, w, true)
	gx, x := arrays(c.x, rows*w, true)
	gv, v := arrays(c.v, w, true)
	wantS, wantX := copies(gs), copies(gx)
	var wantY [][]float32
	for range c.y {
		wantY = append(wantY, make([]float32, rows*w))
	}
	c.run(&im.Rows, y, s, x, v)
	c.run(&genericRows, wantY, wantS, x, v)
	name := fmt.Sprintf("%s rows=%d w=%d", c.name, rows, w)
	for _, g := range append(append([]*guarded[float32](nil), gx...), gv...) {
		g.intact(t, name, true)
	}
	for _, g := range append(append([]*guarded[float32](nil), gy...), gs...) {
		g.intact(t, name, false)
	}
	// A sum has as many terms as rows; a row's norm is a sum of w.
	closeRows := func(got, want [][]float32, scale float64) {
		for i := range got {
			for j := range got[i] {
				close64(t, float64(got[i][j]), float64(want[i][j]), c.tol*eps32*max(scale, math.Abs(float64(want[i][j]))), "%s: output %d, element %d", name, i, j)
			}
		}
	}
	closeRows(y, wantY, 1)
	closeRows(s, wantS, float64(rows+1))
	if c.y == 1 {
		c.run(&im.Rows, wantX[:1], copies(gs), wantX, v)
		for j, got := range wantX[0] {
			if !sameBits(got, y[0][j]) {
				t.Fatalf("%s: element %d is %v in place, %v apart", name, j, got, y[0][j])
			}
		}
	}
}

// TestRowsCut: a matrix in two blocks of rows gives the same bits as in one.
func TestRowsCut(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(33, 34))
		for _, c := range rowCases() {
			if c.name == "Softmax" || c.name == "SoftmaxGrad" {
				continue // one row
			}
			const rows, w = 11, 37
			random := func(n, size int) (s [][]float32) {
				for range n {
					s = append(s, newGuarded[float32](size, 0).fill(r).s)
				}
				return s
			}
			part := func(m [][]float32, lo, hi int) (s [][]float32) {
				for _, a := range m {
					s = append(s, a[lo*w:hi*w])
				}
				return s
			}
			x, v, y, y2 := random(c.x, rows*w), random(c.v, w), random(c.y, rows*w), random(c.y, rows*w)
			s := random(c.s, w)
			var s2 [][]float32
			for _, a := range s {
				s2 = append(s2, append([]float32(nil), a...))
			}
			c.run(&im.Rows, y, s, x, v)
			for lo := 0; lo < rows; lo += 3 {
				hi := min(rows, lo+3)
				c.run(&im.Rows, part(y2, lo, hi), s2, part(x, lo, hi), v)
			}
			for i := range y {
				for j := range y[i] {
					if y[i][j] != y2[i][j] {
						t.Fatalf("%s: element %d is %v in blocks, %v at once", c.name, j, y2[i][j], y[i][j])
					}
				}
			}
			for i := range s {
				for j := range s[i] {
					if s[i][j] != s2[i][j] {
						t.Fatalf("%s: sum %d is %v in blocks, %v at once", c.name, j, s2[i][j], s[i][j])
					}
				}
			}
		}
	})
}

func TestMoments64(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(35, 36))
		for _, w := range []int{1, 3, 4, 8, 15, 16, 31, 33, 64, 71} {
			for _, rows := range []int{0, 1, 2, 30} {
				x := newGuarded[float32](rows*w, r.IntN(16)).fill(r)
				k := newGuarded[float32](w, r.IntN(16)).fill(r)
				s1, s2 := newGuarded[float64](w, r.IntN(8)).fill(r), newGuarded[float64](w, r.IntN(8)).fill(r)
				w1, w2 := append([]float64(nil), s1.s...), append([]float64(nil), s2.s...)
				im.Moments64(s1.s, s2.s, x.s, k.s)
				momentsGeneric(w1, w2, x.s, k.s)
				x.intact(t, "x", true)
				k.intact(t, "k", true)
				s1.intact(t, "s1", false)
				s2.intact(t, "s2", false)
				for c := range w {
					if s1.s[c] != w1[c] || s2.s[c] != w2[c] {
						t.Fatalf("w=%d rows=%d: channel %d has %v, %v, want %v, %v", w, rows, c, s1.s[c], s2.s[c], w1[c], w2[c])
					}
				}
			}
		}
	})
}

// TestLayerNormMean: a mean of 10⁴ times the spread costs no digits: the inputs are known to some 10⁻³ of the spread, and
// the results follow them to 10⁻⁶.
func TestLayerNormMean(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(37, 38))
		for _, w := range []int{2, 7, 384, 1000} {
			x, a, b, y := make([]float32, w), make([]float32, w), make([]float32, w), make([]float32, w)
			for i := range x {
				x[i], a[i] = float32(1e4+r.NormFloat64()), 1
			}
			im.LayerNorm(y, x, a, b, 1e-6)
			mean, s := moments(x, 1e-6)
			for i, v := range x {
				close64(t, float64(y[i]), (float64(v)-mean)*s, 1e-6*math.Sqrt(float64(w)), "w=%d element %d", w, i)
			}
		}
	})
}

// TestExp: arguments far apart neither overflow nor lose NaN, and the sum is that of what was written.
func TestExp(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(39, 40))
		for _, n := range []int{0, 1, 2, 15, 16, 17, 63, 64, 65, 1000} {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(r.NormFloat64() * 30)
			}
			if n > 2 {
				x[n-1], x[0] = 3e38, -3e38
			}
			y := newGuarded[float32](n, r.IntN(16))
			sums := []float32{1}
			im.Exp(y.s, x, n, n, 0.125, sums)
			y.intact(t, "y", false)
			want, total := make([]float32, n), 0.0
			expGeneric(want, x, n, n, 0.125, make([]float32, 1))
			for i, v := range y.s {
				total += float64(v)
				close64(t, float64(v), float64(want[i]), 3e-7, "n=%d: element %d", n, i)
			}
			close64(t, float64(sums[0]), total, 1e-6*total, "n=%d: sum", n)
			if n == 0 {
				continue
			}
			x[n/2] = float32(math.NaN())
			if im.Exp(y.s, x, n, n, 1, sums); sums[0] == sums[0] {
				t.Errorf("n=%d: NaN gave the sum %v", n, sums[0])
			}
		}
	})
}

// TestSoftmaxRows: many rows at once, of more elements than one call of a kernel takes, are the rows one by one, and what lies between them stays as it is.
func TestSoftmaxRows(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(45, 46))
		for _, s := range [][3]int{{0, 5, 6}, {1, 0, 0}, {3, 0, 2}, {3, 1, 1}, {7, 16, 16}, {9, 33, 48}, {98, 196, 208}, {31, 700, 703}, {2, 20_000, 20_001}} {
			rows, n, ld := s[0], s[1], s[2]
			size := 0
			if rows > 0 {
				size = (rows-1)*ld + n
			}
			x, p, y := newGuarded[float32](size, r.IntN(16)).fill(r), newGuarded[float32](size, r.IntN(16)).fill(r), newGuarded[float32](size, r.IntN(16)).fill(r)
			sums := newGuarded[float32](rows, r.IntN(16))
			was := append([]float32(nil), y.s...)
			one := make([]float32, n)
			same := func(routine string, want func(at int) []float32) {
				t.Helper()
				y.intact(t, routine, false)
				for i := range rows {
					row := want(i * ld)
					for j := range min(ld, size-i*ld) {
						switch {
						case j < n && !sameBits(y.s[i*ld+j], row[j]):
							t.Fatalf("%s of %d rows of %d, %d apart: element %d of row %d is %v, and %v alone", routine, rows, n, ld, j, i, y.s[i*ld+j], row[j])
						case j >= n && !sameBits(y.s[i*ld+j], was[i*ld+j]):
							t.Fatalf("%s of %d rows of %d, %d apart: writes element %d behind row %d", routine, rows, n, ld, j-n, i)
						}
					}
				}
			}
			im.Exp(y.s, x.s, ld, n, 0.5, sums.s)
			sums.intact(t, "sums", false)
			same("Exp", func(at int) []float32 {
				sum := make([]float32, 1)
				if im.Exp(one, x.s[at:], n, n, 0.5, sum); !sameBits(sum[0], sums.s[at/max(1, ld)]) && ld > 0 {
					t.Fatalf("%d rows of %d: sum %v, and %v alone", rows, n, sums.s[at/ld], sum[0])
				}
				return one
			})
			im.Softmax(y.s, x.s, ld, n, rows, 0.5)
			same("Softmax", func(at int) []float32 {
				sum := make([]float32, 1)
				im.Exp(one, x.s[at:], n, n, 0.5, sum)
				im.Scale(one, one, 1/sum[0])
				return one
			})
			im.SoftmaxGrad(y.s, p.s, x.s, ld, n, rows, 0.5)
			same("SoftmaxGrad", func(at int) []float32 {
				im.SoftmaxGrad(one, p.s[at:], x.s[at:], n, n, 1, 0.5)
				return one
			})
			x.intact(t, "x", true)
			p.intact(t, "p", true)
		}
	})
}

func TestPackT(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(41, 42))
		for _, n := range []int{0, 1, 15, 16, 17, 33} {
			for _, k := range []int{0, 1, 7, 8, 9, 24, 65} {
				ld := k + r.IntN(5)
				src := newGuarded[float32](max(0, (n-1)*ld+k), r.IntN(16)).fill(r)
				dst := newGuarded[float32]((n+15)/16*16*k, r.IntN(16))
				im.PackT(dst.s, src.s, ld, n, k)
				src.intact(t, "src", true)
				dst.intact(t, "dst", false)
				for i := range (n + 15) / 16 * 16 {
					for j := range k {
						want := float32(0)
						if i < n {
							want = src.s[i*ld+j]
						}
						if got := dst.s[i/16*k*16+j*16+i%16]; got != want {
							t.Fatalf("n=%d k=%d: row %d column %d is %v, want %v", n, k, i, j, got, want)
						}
					}
				}
			}
		}
	})
}

func TestPack(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(43, 44))
		for _, n := range []int{0, 1, 5, 17} {
			for _, k := range []int{0, 1, 15, 16, 17, 64, 65} {
				ld := k + r.IntN(5)
				src := newGuarded[float32](max(0, (n-1)*ld+k), r.IntN(16)).fill(r)
				dst := newGuarded[float32]((k+15)/16*16*n, r.IntN(16))
				im.Prefetch(src.s, ld, n, k)
				im.Pack(dst.s, src.s, ld, n, k)
				src.intact(t, "src", true)
				dst.intact(t, "dst", false)
				for i := range n {
					for j := range (k + 15) / 16 * 16 {
						want := float32(0)
						if j < k {
							want = src.s[i*ld+j]
						}
						if got := dst.s[j/16*n*16+i*16+j%16]; got != want {
							t.Fatalf("n=%d k=%d: row %d column %d is %v, want %v", n, k, i, j, got, want)
						}
					}
				}
			}
		}
	})
}

// TestRowsPanics: short arrays and broken shapes are caught before any kernel runs.
func TestRowsPanics(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		x, v := make([]float32, 12), make([]float32, 4)
		s := make([]float64, 4)
		for name, f := range map[string]func(){
			"act":     func() { im.Affine(GELUTanh+1, x, x, v, v, v) },
			"rows":    func() { im.Affine(SiLU, x, x[:11], v, v, v) },
			"y":       func() { im.Affine(SiLU, x[:11], x, v, v, v) },
			"b":       func() { im.Affine(SiLU, x, x, v, v, nil) },
			"grad":    func() { im.AffineGrad(SiLU, x, x, x, v, v, v, v, v[:3]) },
			"dy":      func() { im.AffineGrad(SiLU, x, x[:11], x, v, v, v, v, v) },
			"combine": func() { im.Combine(x, x[:11], x, v, v, v, v) },
			"c":       func() { im.Combine(x, x, x, v, v, v, v[:3]) },
			"gate":    func() { im.Gate(x, x, x[:11], v) },
			"none":    func() { im.ColumnSums(nil, x) },
			"moments": func() { im.Moments64(s, s[:3], x, v) },
			"norm":    func() { im.LayerNorm(x, x, v, v[:3], 1) },
			"sums":    func() { im.LayerNormGrad(x, x, x, v, v, nil, 1) },
			"exp":     func() { im.Exp(x[:11], x, 4, 4, 1, v[:3]) },
			"ld":      func() { im.Exp(x, x, 3, 4, 1, v[:2]) },
			"whole":   func() { im.Softmax(x, x[:11], 4, 4, 3, 1) },
			"softmax": func() { im.SoftmaxGrad(x, x, x[:11], 4, 4, 3, 1) },
			"minus":   func() { im.SoftmaxGrad(x, x, x, 4, 4, -1, 1) },
			"add":     func() { im.Add(x, x, x[:11]) },
			"mul":     func() { im.Mul(x[:11], x, x) },
			"scale":   func() { im.Scale(x[:11], x, 1) },
			"sum4":    func() { im.Sum4(x, x, x, x, x[:11], 1) },
			"packT":   func() { im.PackT(x, x, 4, 3, 4) },
			"n":       func() { im.PackT(x, x, 4, -1, 4) },
			"pack":    func() { im.Pack(x, x, 4, 3, 4) },
			"k":       func() { im.Pack(x, x, 4, 3, -1) },
			"fetch":   func() { im.Prefetch(x, 4, 3, 5) },
			"slope":   func() { im.ActGrad(SiLU, x, x[:11], x) },
		} {
			func() {
				defer func() {
					if e := recover(); e == nil {
						t.Errorf("%s: no panic", name)
					} else if msg := fmt.Sprint(e); len(msg) < 5 || msg[:5] != "simd:" {
						t.Errorf("%s: panic %q does not come from a check", name, msg)
					}
				}()
				f()
			}()
		}
	})
}
