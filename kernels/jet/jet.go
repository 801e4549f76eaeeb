// Package jet is arithmetic with truncated Taylor expansions in a few variables.
//
// A jet of order n in D variables is a slice of simd.NJet(D, n) coefficients ∂^α f/α!, |α| ≤ n, in the order of
// simd.JetIndex: graded, and within a degree the powers of the first variable descending (1, x, y, x², xy, y², …). A
// jet of lower order is a prefix of it, so a routine may be given a jet of higher order than it needs.
//
// All routines panic on slices that are too short; results must not overlap arguments unless a routine says so.
package jet

import (
	"fmt"
	"sync"

	"hbar/kernels/simd"
)

// Algebra holds the tables of jets in Dim variables up to order Order. It is safe for concurrent use.
type Algebra struct {
	Dim, Order int
	Index      [][]int // the multi-index of each coefficient
	Degree     []int   // |α| of each coefficient

	size  []int     // size[n] = simd.NJet(Dim, n); jets of order n have that many coefficients
	mul   []product // sorted by out, so that the terms of a result of order n are a prefix
	muls  []int     // muls[n]: the length of that prefix
	deriv [][]shift // deriv[i]: ∂/∂x_i, one entry per coefficient of the result
}

// product is one term out += a·b.
type product struct{ out, a, b int32 }

// shift is one coefficient of a derivative: out = by · from.
type shift struct {
	from int32
	by   float64
}

var cache sync.Map // [2]int → *Algebra

// For returns the algebra of jets in dim variables up to the given order.
func For(dim, order int) *Algebra {
	if dim < 1 || order < 0 {
		panic(fmt.Sprintf("jet: no jets of order %d in %d variables", order, dim))
	}
	key := [2]int{dim, order}
	if a, ok := cache.Load(key); ok {
		return a.(*Algebra)
	}
	a := build(dim, order)
	cache.Store(key, a)
	return a
}

func build(dim, order int) *Algebra {
	a := &Algebra{Dim: dim, Order: order, Index: simd.JetIndex(dim, order)}
	for n := range order + 1 {
		a.size = append(a.size, simd.NJet(dim, n))
	}
	at := make([]int, dim)
	for _, alpha := range a.Index {
		deg := 0
		for _, p := range alpha {
			deg += p
		}
		a.Degree = append(a.Degree, deg)
	}
	// α = β + γ: all β with β_i ≤ α_i.
	for out, alpha := range a.Index {
		for b, beta := range a.Index[:a.size[a.Degree[out]]] {
			inside := true
			for i := range at {
				at[i] = alpha[i] - beta[i]
				inside = inside && at[i] >= 0
			}
			if inside {
				a.mul = append(a.mul, product{int32(out), int32(b), int32(simd.JetPos(at...))})
			}
		}
		if out+1 == a.size[a.Degree[out]] {
			a.muls = append(a.muls, len(a.mul))
		}
	}
	a.deriv = make([][]shift, dim)
	if order > 0 {
		for i := range dim {
			for _, alpha := range a.Index[:a.size[order-1]] {
				copy(at, alpha)
				at[i]++
				a.deriv[i] = append(a.deriv[i], shift{int32(simd.JetPos(at...)), float64(at[i])})
			}
		}
	}
	return a
}

// Size is the number of coefficients of a jet of order n ≤ Order.
func (a *Algebra) Size(n int) int { return a.size[n] }

// AddMul adds c·x·y, truncated at order n, to dst.
func (a *Algebra) AddMul(dst []float64, c float64, x, y []float64, n int) {
	for _, t := range a.mul[:a.muls[n]] {
		dst[t.out] += c * x[t.a] * y[t.b]
	}
}

// AddMulTail adds c·(x - x(0))·y, truncated at order n, to dst: the product with x less its constant term. It reads
// y to order n-1 only.
func (a *Algebra) AddMulTail(dst []float64, c float64, x, y []float64, n int) {
	for _, t := range a.mul[:a.muls[n]] {
		if t.a != 0 {
			dst[t.out] += c * x[t.a] * y[t.b]
		}
	}
}

// Deriv writes ∂x/∂x_i to order n to dst; x has order n+1.
func (a *Algebra) Deriv(dst, x []float64, i, n int) {
	for k, s := range a.deriv[i][:a.size[n]] {
		dst[k] = s.by * x[s.from]
	}
}

// AddDeriv adds c·∂x/∂x_i to order n to dst; x has order n+1.
func (a *Algebra) AddDeriv(dst []float64, c float64, x []float64, i, n int) {
	for k, s := range a.deriv[i][:a.size[n]] {
		dst[k] += c * s.by * x[s.from]
	}
}

// AddLaplacian adds c·Δx to order n to dst; x has order n+2.
func (a *Algebra) AddLaplacian(dst []float64, c float64, x []float64, n int) {
	for i := range a.Dim {
		d := a.deriv[i]
		for k, s := range d[:a.size[n]] {
			r := d[s.from]
			dst[k] += c * s.by * r.by * x[r.from]
		}
	}
}

// Eval is the polynomial x of order n at the displacement delta.
func (a *Algebra) Eval(x, delta []float64, n int) float64 {
	sum := 0.0
	for k := a.size[n] - 1; k >= 0; k-- {
		term := x[k]
		for i, p := range a.Index[k] {
			for range p {
				term *= delta[i]
			}
		}
		sum += term
	}
	return sum
}

// Log writes log x to order n to dst; x(0) must be positive. The constant term is log0, for callers that know
// log x(0) better than x(0).
//
// With E = Σ x_i ∂_i, x E(log x) = E x: |α| l_α x_0 = |α| x_α - Σ_{0<β<α} |β| l_β x_{α-β}.
func (a *Algebra) Log(dst, x []float64, log0 float64, n int) {
	dst[0] = log0
	t := a.mul[:a.muls[n]]
	inv := 1 / x[0]
	for k := 1; k < a.size[n]; k++ {
		for len(t) > 0 && int(t[0].out) < k {
			t = t[1:]
		}
		sum := 0.0
		for len(t) > 0 && int(t[0].out) == k {
			if t[0].a != 0 && int(t[0].a) != k {
				sum += float64(a.Degree[t[0].a]) * dst[t[0].a] * x[t[0].b]
			}
			t = t[1:]
		}
		dst[k] = (x[k] - sum/float64(a.Degree[k])) * inv
	}
}
