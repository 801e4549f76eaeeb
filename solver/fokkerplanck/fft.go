package fokkerplanck

import (
	"fmt"
	"math"
	"math/cmplx"
)

// plan is a forward complex Fourier transform of one length n = 2^a 3^b,
//
//	X_k = Σ_j x_j exp(−2πi jk/n)
//
// by Stockham's autosort algorithm (no bit reversal; input and output change places from pass to pass). The inverse is
// obtained by conjugating input and output; callers fold that into their own loops. A plan is read-only after planFFT.
type plan struct {
	n      int
	passes []pass
}

// pass is one radix step on sub-transforms of length r·m at stride s, with the twiddles w[p·(r−1)+j−1] = exp(−2πi pj/(rm)).
type pass struct {
	r, m, s int
	w       []complex128
}

// smooth reports whether n has no prime factor above 3.
func smooth(n int) bool {
	if n < 1 {
		return false
	}
	for _, r := range []int{2, 3} {
		for n%r == 0 {
			n /= r
		}
	}
	return n == 1
}

func planFFT(n int) *plan {
	if !smooth(n) {
		panic(fmt.Sprintf("fokkerplanck: no transform of length %d; have 2^a 3^b", n))
	}
	p := &plan{n: n}
	for rest, s := n, 1; rest > 1; {
		r := 3
		switch {
		case rest%4 == 0:
			r = 4
		case rest%2 == 0:
			r = 2
		}
		m := rest / r
		w := make([]complex128, 0, m*(r-1))
		for k := range m {
			for j := 1; j < r; j++ {
				w = append(w, cmplx.Rect(1, -2*math.Pi*float64(k*j)/float64(rest)))
			}
		}
		p.passes = append(p.passes, pass{r, m, s, w})
		rest, s = m, s*r
	}
	return p
}

// transform overwrites x and y, both of length n, and returns the one that holds the transform of x.
func (p *plan) transform(x, y []complex128) []complex128 {
	x, y = x[:p.n], y[:p.n]
	for i := range p.passes {
		s := &p.passes[i]
		switch s.r {
		case 4:
			s.radix4(y, x)
		case 3:
			s.radix3(y, x)
		default:
			s.radix2(y, x)
		}
		x, y = y, x
	}
	return x
}

// mulI is i·z.
func mulI(z complex128) complex128 { return complex(-imag(z), real(z)) }

func (t *pass) radix4(y, x []complex128) {
	m, s := t.m, t.s
	if s == 1 {
		a, b, c, d := x[:m], x[m:2*m], x[2*m:3*m], x[3*m:4*m]
		for p := range m {
			w := t.w[3*p : 3*p+3 : 3*p+3]
			o := y[4*p : 4*p+4 : 4*p+4]
			e, f := a[p]+c[p], a[p]-c[p]
			g, h := b[p]+d[p], mulI(b[p]-d[p])
			o[0] = e + g
			o[1] = (f - h) * w[0]
			o[2] = (e - g) * w[1]
			o[3] = (f + h) * w[2]
		}
		return
	}
	for p := range m {
		w1, w2, w3 := t.w[3*p], t.w[3*p+1], t.w[3*p+2]
		a, b := x[s*p:s*p+s], x[s*(p+m):s*(p+m)+s]
		c, d := x[s*(p+2*m):s*(p+2*m)+s], x[s*(p+3*m):s*(p+3*m)+s]
		o0, o1 := y[4*s*p:4*s*p+s], y[s*(4*p+1):s*(4*p+1)+s]
		o2, o3 := y[s*(4*p+2):s*(4*p+2)+s], y[s*(4*p+3):s*(4*p+3)+s]
		b, c, d = b[:len(a)], c[:len(a)], d[:len(a)]
		o0, o1, o2, o3 = o0[:len(a)], o1[:len(a)], o2[:len(a)], o3[:len(a)]
		for q := range a {
			e, f := a[q]+c[q], a[q]-c[q]
			g, h := b[q]+d[q], mulI(b[q]-d[q])
			o0[q] = e + g
			o1[q] = (f - h) * w1
			o2[q] = (e - g) * w2
			o3[q] = (f + h) * w3
		}
	}
}

func (t *pass) radix3(y, x []complex128) {
	const half, root = -0.5, 0.866025403784438646763723170752936183 // cos and sin of 2π/3
	m, s := t.m, t.s
	for p := range m {
		w1, w2 := t.w[2*p], t.w[2*p+1]
		a, b, c := x[s*p:s*p+s], x[s*(p+m):s*(p+m)+s], x[s*(p+2*m):s*(p+2*m)+s]
		o0, o1, o2 := y[3*s*p:3*s*p+s], y[s*(3*p+1):s*(3*p+1)+s], y[s*(3*p+2):s*(3*p+2)+s]
		b, c = b[:len(a)], c[:len(a)]
		o0, o1, o2 = o0[:len(a)], o1[:len(a)], o2[:len(a)]
		for q := range a {
			e, d := b[q]+c[q], b[q]-c[q]
			f := a[q] + complex(half*real(e), half*imag(e))
			g := complex(-root*imag(d), root*real(d))
			o0[q] = a[q] + e
			o1[q] = (f - g) * w1
			o2[q] = (f + g) * w2
		}
	}
}

func (t *pass) radix2(y, x []complex128) {
	m, s := t.m, t.s
	for p := range m {
		w := t.w[p]
		a, b := x[s*p:s*p+s], x[s*(p+m):s*(p+m)+s]
		o0, o1 := y[2*s*p:2*s*p+s], y[s*(2*p+1):s*(2*p+1)+s]
		b, o0, o1 = b[:len(a)], o0[:len(a)], o1[:len(a)]
		for q := range a {
			o0[q] = a[q] + b[q]
			o1[q] = (a[q] - b[q]) * w
		}
	}
}
