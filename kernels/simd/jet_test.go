package simd

import (
	"math"
	"math/rand/v2"
	"testing"
)

// derivatives are f⁽ᵏ⁾(x)/k!, k ≤ n, in closed form: polynomials in σ for SiLU and in tanh for tanh, with integer
// coefficients; Hermite polynomials for GELU; the logistic function of a cubic for its tanh form. Independent of the recursions of Act.Taylor.
func derivatives(f Act, x float64, n int) []float64 {
	// chain differentiates polynomials in u with u' = rule(u), starting from p.
	chain := func(p []float64, rule []float64, u float64) []float64 {
		var out []float64
		for range n + 1 {
			v := 0.0
			for i := len(p) - 1; i >= 0; i-- {
				v = v*u + p[i]
			}
			out = append(out, v)
			next := make([]float64, len(p)+1)
			for i := 1; i < len(p); i++ {
				for j, r := range rule {
					if r != 0 {
						next[i-1+j] += float64(i) * p[i] * r
					}
				}
			}
			p = next
		}
		return out
	}
	var d []float64
	product := func(g []float64) { // derivatives of x g(x)
		for k := range g {
			v := x * g[k]
			if k > 0 {
				v += float64(k) * g[k-1]
			}
			d = append(d, v)
		}
	}
	switch f {
	case Identity:
		d = make([]float64, n+1)
		d[0] = x
		if n > 0 {
			d[1] = 1
		}
	case SiLU:
		product(chain([]float64{0, 1}, []float64{0, 1, -1}, 1/(1+math.Exp(-x))))
	case Tanh:
		d = chain([]float64{0, 1}, []float64{1, 0, -1}, math.Tanh(x))
	case GELU:
		g := []float64{math.Erfc(-x/math.Sqrt2) / 2}
		phi := math.Exp(-x*x/2) / math.Sqrt(2*math.Pi)
		h := []float64{1, x}
		for k := 2; k <= n; k++ {
			h = append(h, x*h[k-1]-float64(k-1)*h[k-2])
		}
		for k := 1; k <= n; k++ {
			g = append(g, math.Pow(-1, float64(k-1))*h[k-1]*phi)
		}
		product(g)
	case GELUTanh:
		if x > 0 { // f(x) = x + f(-x); polynomials in σ cancel where σ is near 1
			out := derivatives(f, -x, n)
			for k := 1; k <= n; k += 2 {
				out[k] = -out[k]
			}
			out[0] += x
			if n > 0 {
				out[1]++
			}
			return out
		}
		return geluTanhTaylor(chain, x, n)
	}
	fact := 1.0
	for k := range d {
		if k > 0 {
			fact *= float64(k)
		}
		d[k] /= fact
	}
	return d
}

// geluTanhTaylor are the coefficients of x σ(u(x)) for x ≤ 0; chain(p, rule, u) differentiates p(u), u' = rule(u).
func geluTanhTaylor(chain func(p, rule []float64, u float64) []float64, x float64, n int) []float64 {
	// σ's expansion about u₀, with the increment of u = 2√(2/π)(x + 0.044715 x³) put in, times x + h
	a := 2 * math.Sqrt(2/math.Pi)
	u := []float64{0, a * (1 + 3*0.044715*x*x), a * 3 * 0.044715 * x, a * 0.044715}
	pow := append([]float64{1}, make([]float64, n)...)
	s := make([]float64, n+1)
	fact := 1.0
	for k, t := range chain([]float64{0, 1}, []float64{0, 1, -1}, 1/(1+math.Exp(-a*(x+0.044715*x*x*x)))) {
		fact *= math.Max(1, float64(k))
		next := make([]float64, n+1)
		for i, p := range pow {
			s[i] += t / fact * p
			for j, q := range u {
				if i+j <= n {
					next[i+j] += p * q
				}
			}
		}
		pow = next
	}
	out := make([]float64, n+1)
	for k := range out {
		out[k] = x * s[k]
		if k > 0 {
			out[k] += s[k-1]
		}
	}
	return out
}

func TestTaylor(t *testing.T) {
	for f := Identity; f <= GELUTanh; f++ {
		for i := range 4001 {
			x := -20 + 0.01*float64(i)
			got := make([]float64, 8)
			f.Taylor(got, x)
			for k, w := range derivatives(f, x, 7) {
				// the closed forms are sums of terms of up to 100 times the result's scale
				close64(t, got[k], w, 1e-13*math.Max(1, math.Abs(w)), "%s: coefficient %d at %v", f, k, x)
			}
		}
	}
}

// compose is Σ_k f⁽ᵏ⁾(x₀)/k! δᵏ by repeated multiplication of polynomials kept as maps, and the sum of the terms' sizes.
func compose(f Act, jet []float64, idx [][]int, dim, order int) (y, size []float64) {
	type key [3]int
	toKey := func(a []int) (k key) { copy(k[:], a); return }
	delta, abs := map[key]float64{}, map[key]float64{}
	for i, a := range idx {
		if i > 0 {
			delta[toKey(a)], abs[toKey(a)] = jet[i], math.Abs(jet[i])
		}
	}
	mul := func(a, b map[key]float64) map[key]float64 {
		out := map[key]float64{}
		for ka, va := range a {
			for kb, vb := range b {
				k := key{ka[0] + kb[0], ka[1] + kb[1], ka[2] + kb[2]}
				if k[0]+k[1]+k[2] <= order {
					out[k] += va * vb
				}
			}
		}
		return out
	}
	y, size = make([]float64, len(idx)), make([]float64, len(idx))
	pow, pabs := map[key]float64{{}: 1}, map[key]float64{{}: 1}
	for _, d := range derivatives(f, jet[0], order) {
		for i, a := range idx {
			y[i] += d * pow[toKey(a)]
			size[i] += math.Max(1, math.Abs(d)) * pabs[toKey(a)]
		}
		pow, pabs = mul(pow, delta), mul(pabs, abs)
	}
	return y, size
}

func TestJet(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(13, 14))
		testJet(t, im.Jet32, r)
		testJet(t, im.Jet64, r)
	})
}

func testJet[F Float](t *testing.T, run func(f Act, x []F, ld, w, dim, order int), r *rand.Rand) {
	eps := epsOf[F]()
	for f := Identity; f <= GELUTanh; f++ {
		for dim := 1; dim <= 3; dim++ {
			for order := range 6 {
				idx := JetIndex(dim, order)
				for _, w := range []int{0, 1, 5, 8, 19, 32} {
					if (f == Identity || f == GELU || f == GELUTanh) && w > 5 {
						continue
					}
					ld := w + 3*r.IntN(2)
					n := max(0, (len(idx)-1)*ld+w)
					x := newGuarded[F](n, r.IntN(16)).fill(r)
					for j := range w {
						x.s[j] *= 6
					}
					x.freeze()
					run(f, x.s, ld, w, dim, order)
					x.intact(t, "x", false)
					jet := make([]float64, len(idx))
					for j := range w {
						for i := range jet {
							jet[i] = float64(x.want[i*ld+j])
						}
						y, size := compose(f, jet, idx, dim, order)
						for i := range jet {
							// SiLU's own coefficients are good to 8 eps max(1, |c|); one rounding a product and sum, at
							// most 2·order deep.
							close64(t, float64(x.s[i*ld+j]), y[i], float64(8+2*order)*eps*size[i], "%s dim=%d order=%d w=%d: coefficient %v of unit %d about %v", f, dim, order, w, idx[i], j, jet[0])
						}
					}
					for i, v := range x.s {
						if ld > 0 && i%ld >= w && v != x.want[i] {
							t.Fatalf("%s dim=%d order=%d w=%d: element %d between rows was written", f, dim, order, w, i)
						}
					}
				}
			}
		}
	}
}

// TestJetRange: the coefficients of SiLU and tanh about all kinds of x, by the jet of the identity.
func TestJetRange(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		for _, f := range []Act{SiLU, Tanh} {
			jetRange(t, im.Jet32, f, 100)
			jetRange(t, im.Jet64, f, 800)
		}
	})
}

func jetRange[F Float](t *testing.T, run func(f Act, x []F, ld, w, dim, order int), f Act, lim float64) {
	const w, order = 1 << 14, 5
	x := make([]F, (order+1)*w)
	for j := range w {
		v := lim * (2*float64(j)/(w-1) - 1)
		if j%2 == 0 {
			v /= 20
		}
		x[j], x[w+j] = F(v), 1
	}
	inf := math.Inf(1)
	special := []float64{inf, -inf, math.NaN(), 0, math.Copysign(0, -1), 1e30, -1e30, 1e-40, -1e-40}
	for j, v := range special {
		x[j] = F(v)
	}
	in := append([]F(nil), x[:w]...)
	run(f, x, w, w, 1, order)
	eps, worst := epsOf[F](), 0.0
	for j, v := range in {
		want := make([]float64, order+1)
		f.Taylor(want, float64(v))
		for k, y := range want {
			got := float64(x[k*w+j])
			switch {
			case math.IsNaN(y):
				if got == got {
					t.Fatalf("NaN gave coefficient %d = %v", k, got)
				}
			case math.IsInf(y, 0):
				if got != y {
					t.Fatalf("%v gave coefficient %d = %v, want %v", v, k, got, y)
				}
			default:
				e := math.Abs(got-y) / math.Max(1, math.Abs(y))
				worst = math.Max(worst, e)
				if !(e <= 8*eps) {
					t.Fatalf("%s: coefficient %d about %v: got %v, want %v, difference %.3g, allowed %.3g", f, k, v, got, y, e, 8*eps)
				}
			}
		}
	}
	t.Logf("%s: largest error %.2g = %.1f eps", f, worst, worst/eps)
}
