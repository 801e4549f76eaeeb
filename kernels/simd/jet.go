package simd

import (
	"fmt"
	"math"
	"sync"
)

// JetIndex lists the multi-indices α of the coefficients of a jet, NJet(dim, order) slices of dim exponents: by degree,
// and within a degree the powers of the first variable descending (then of the second, and so on):
// 1, x, y, x², xy, y², x³, … and 1, x, y, z, x², xy, xz, y², yz, z², …. A jet of lower order is a prefix of it.
func JetIndex(dim, order int) [][]int {
	var out [][]int
	alpha := make([]int, dim)
	var fill func(i, left int)
	fill = func(i, left int) {
		if i == dim-1 {
			alpha[i] = left
			out = append(out, append([]int(nil), alpha...))
			return
		}
		for p := left; p >= 0; p-- {
			alpha[i] = p
			fill(i+1, left-p)
		}
	}
	for deg := range order + 1 {
		fill(0, deg)
	}
	return out
}

// JetPos is the position of the multi-index alpha in JetIndex(len(alpha), order), for every order that holds it.
func JetPos(alpha ...int) int {
	deg := 0
	for _, a := range alpha {
		deg += a
	}
	pos := 0
	if deg > 0 {
		pos = NJet(len(alpha), deg-1)
	}
	// Skip the indices whose power of variable i is larger: with p left for the variables from i on, those are
	// the ones of degree at most p-α_i-1 in the remaining variables.
	for i, a := range alpha[:len(alpha)-1] {
		if r := deg - a; r > 0 {
			pos += NJet(len(alpha)-1-i, r-1)
		}
		deg -= a
	}
	return pos
}

// jetTerm is one term out += x·r of a truncated product.
type jetTerm struct{ out, x, r int }

// jetTerms lists, by step of Horner's scheme, the terms of r ← δ r, where δ is the jet without its constant term.
// After step s only the coefficients of r of degree ≤ s matter.
type jetTerms struct {
	n     int
	steps [][]jetTerm
}

var jetTables sync.Map // [2]int{dim, order} → *jetTerms

func jetTable(dim, order int) *jetTerms {
	key := [2]int{dim, order}
	if t, ok := jetTables.Load(key); ok {
		return t.(*jetTerms)
	}
	idx := JetIndex(dim, order)
	deg := func(a []int) (d int) {
		for _, p := range a {
			d += p
		}
		return d
	}
	t := &jetTerms{n: len(idx)}
	sum := make([]int, dim)
	for s := 1; s <= order; s++ {
		var terms []jetTerm
		for x := 1; x < len(idx); x++ {
			for r := range idx {
				if deg(idx[x])+deg(idx[r]) > s {
					break
				}
				for i := range sum {
					sum[i] = idx[x][i] + idx[r][i]
				}
				terms = append(terms, jetTerm{JetPos(sum...), x, r})
			}
		}
		t.steps = append(t.steps, terms)
	}
	jetTables.Store(key, t)
	return t
}

// Taylor writes f⁽ᵏ⁾(x)/k! to c[k] for k < len(c).
//
// With s_k the coefficients of σ (or of tanh, or of the normal density) about x, SiLU and GELU are x times a function g,
// so c_k = x g_k + g_{k-1}; σ' = σ - σ² gives (k+1) s_{k+1} = s_k - Σ s_i s_{k-i}; tanh' = 1 - tanh²; φ' = -x φ.
func (f Act) Taylor(c []float64, x float64) {
	if len(c) == 0 {
		return
	}
	// Beyond ±750 the functions have reached their asymptotes; without the limit Inf·0 would be NaN there.
	lim := max(-750, min(x, 750))
	var buf [16]float64
	g := buf[:0]
	if len(c) > len(buf) {
		g = make([]float64, 0, len(c))
	}
	switch f {
	case Identity:
		clear(c)
		if len(c) > 1 {
			c[1] = 1
		}
		c[0] = x
		return
	case Tanh:
		c[0] = math.Tanh(x)
		_, d := f.Eval(x)
		tanhTaylor(c, d)
		return
	case SiLU:
		g = sigmoidTaylor(g, lim, len(c))
	case GELU:
		g = append(g, math.Erfc(-lim/math.Sqrt2)/2)
		p, last := math.Exp(-lim*lim/2)/math.Sqrt(2*math.Pi), 0.0
		for k := range len(c) - 1 {
			g = append(g, p/float64(k+1))
			p, last = -(lim*p+last)/float64(k+1), p
		}
	case GELUTanh:
		g = cubicSigmoidTaylor(g, lim, len(c))
	default:
		panic("simd: unknown activation " + f.String())
	}
	c[0], _ = f.Eval(x)
	for k := 1; k < len(c); k++ {
		c[k] = lim*g[k] + g[k-1]
	}
	if math.IsNaN(x) {
		for k := range c {
			c[k] = x
		}
	}
}

// tanhTaylor writes the coefficients from the first on, for tanh in c[0] and its derivative d:
// (k+1) t_{k+1} = [k=0] - Σ_{i≤k} t_i t_{k-i}.
func tanhTaylor(c []float64, d float64) {
	for k := range len(c) - 1 {
		s := d
		if k > 0 {
			s = 0
			for i := range k + 1 {
				s -= c[i] * c[k-i]
			}
		}
		c[k+1] = s / float64(k+1)
	}
}

// sigmoids are σ(x) and 1 - σ(x), each without cancellation, so that their product is accurate in both tails.
func sigmoids(x float64) (s, q float64) {
	e := math.Exp(-math.Abs(x))
	s, q = 1/(1+e), e/(1+e)
	if x < 0 {
		s, q = q, s
	}
	return s, q
}

// logisticSlope is coefficient k of σ(1-σ), from coefficients 0 to k of σ in g and q = 1 - g[0].
func logisticSlope(g []float64, q float64, k int) float64 {
	t := g[k] * (q - g[0]) // s_k - 2 s_0 s_k
	if k == 0 {
		t = g[0] * q
	}
	for i := 1; i < k; i++ {
		t -= g[i] * g[k-i]
	}
	return t
}

// sigmoidTaylor appends n coefficients of σ about x to g, which is empty.
func sigmoidTaylor(g []float64, x float64, n int) []float64 {
	s, q := sigmoids(x)
	g = append(g, s)
	for k := range n - 1 {
		g = append(g, logisticSlope(g, q, k)/float64(k+1))
	}
	return g
}

// cubicSigmoidTaylor appends n coefficients of σ(u(x)) to g, which is empty, with the cubic u of GELUTanh:
// (k+1) s_{k+1} = Σ_j (j+1) u_{j+1} p_{k-j}, where p is the expansion of σ(1-σ).
func cubicSigmoidTaylor(g []float64, x float64, n int) []float64 {
	u := [3]float64{geluTanh1 + 3*geluTanh3*x*x, 3 * geluTanh3 * x, geluTanh3} // u_1, u_2, u_3
	s, q := sigmoids(x * (geluTanh1 + geluTanh3*x*x))
	g = append(g, s)
	p := make([]float64, 0, n)
	for k := range n - 1 {
		p = append(p, logisticSlope(g, q, k))
		t := 0.0
		for j := range min(3, k+1) {
			t += float64(j+1) * u[j] * p[k-j]
		}
		g = append(g, t/float64(k+1))
	}
	return g
}

// jetGeneric composes in float64 by Horner's scheme.
func jetGeneric[F Float](f Act, x []F, ld, w, dim, order int) {
	checkJet(f, x, ld, w, dim, order)
	t := jetTable(dim, order)
	buf := make([]float64, 3*t.n+order+1)
	d, r, next, c := buf[:t.n], buf[t.n:2*t.n], buf[2*t.n:3*t.n], buf[3*t.n:]
	for j := range w {
		for i := range d {
			d[i] = float64(x[i*ld+j])
		}
		f.Taylor(c, d[0])
		clear(r)
		r[0] = c[order]
		for s, terms := range t.steps {
			clear(next)
			for _, q := range terms {
				next[q.out] += d[q.x] * r[q.r]
			}
			next[0] = c[order-1-s]
			r, next = next, r
		}
		for i, v := range r {
			x[i*ld+j] = F(v)
		}
	}
}

func checkJet[F Float](f Act, x []F, ld, w, dim, order int) {
	if f > GELUTanh {
		panic("simd: unknown activation " + f.String())
	}
	if dim < 1 || order < 0 || w < 0 || ld < 0 {
		panic(fmt.Sprintf("simd: Jet: dim=%d order=%d ld=%d w=%d: dim is at least 1 and none is negative", dim, order, ld, w))
	}
	if w > 0 {
		need("Jet", "x", len(x), (NJet(dim, order)-1)*ld+w)
	}
}
