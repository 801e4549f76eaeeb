package jet

import (
	"math"
	"math/rand/v2"
	"testing"
)

func random(r *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	return x
}

// near allows for rounding in sums of a few dozen terms of size about one.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-12*(1+math.Abs(want))) {
		t.Errorf("%s: got %g, want %g", what, got, want)
	}
}

// A product truncated at the sum of the orders is exact: compare values at a point.
func TestMulIsThePolynomialProduct(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for dim := 1; dim <= 3; dim++ {
		a := For(dim, 5)
		x, y := make([]float64, a.Size(5)), make([]float64, a.Size(5))
		copy(x, random(r, a.Size(2)))
		copy(y, random(r, a.Size(3)))
		at := random(r, dim)
		p, tail := make([]float64, a.Size(5)), make([]float64, a.Size(5))
		a.AddMul(p, 2, x, y, 5)
		near(t, "product", a.Eval(p, at, 5), 2*a.Eval(x, at, 5)*a.Eval(y, at, 5))
		a.AddMulTail(tail, 2, x, y, 5)
		near(t, "product with the tail", a.Eval(tail, at, 5), 2*(a.Eval(x, at, 5)-x[0])*a.Eval(y, at, 5))
	}
}

func TestDerivatives(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const step = 1e-4
	for dim := 1; dim <= 3; dim++ {
		a := For(dim, 4)
		x, at := random(r, a.Size(4)), random(r, dim)
		lap := 0.0
		for i := range dim {
			d := make([]float64, a.Size(3))
			a.Deriv(d, x, i, 3)
			add := append([]float64(nil), d...)
			a.AddDeriv(add, -1, x, i, 3)
			p, m := append([]float64(nil), at...), append([]float64(nil), at...)
			p[i] += step
			m[i] -= step
			// Central differences: error step² f'''/6 and, for the second, rounding 1e-16/step².
			got, want := a.Eval(d, at, 3), (a.Eval(x, p, 4)-a.Eval(x, m, 4))/(2*step)
			if !(math.Abs(got-want) < 1e-5*(1+math.Abs(want))) {
				t.Errorf("dim %d: ∂_%d = %g, differences give %g", dim, i, got, want)
			}
			lap += (a.Eval(x, p, 4) - 2*a.Eval(x, at, 4) + a.Eval(x, m, 4)) / (step * step)
			for k := range add {
				near(t, "AddDeriv minus Deriv", add[k], 0)
			}
		}
		l := make([]float64, a.Size(2))
		a.AddLaplacian(l, 1, x, 2)
		if got := a.Eval(l, at, 2); !(math.Abs(got-lap) < 1e-6*(1+math.Abs(lap))) { // second differences: δ² of the fourth derivative, and rounding over δ²
			t.Errorf("dim %d: Δ = %g, differences give %g", dim, got, lap)
		}
	}
}

// log of the series of exp(b·x) is b·x.
func TestLog(t *testing.T) {
	for dim := 1; dim <= 3; dim++ {
		a := For(dim, 6)
		b := []float64{0.7, -1.3, 2.1}[:dim]
		x := make([]float64, a.Size(6))
		for k, alpha := range a.Index {
			x[k] = 3
			for i, p := range alpha {
				for j := 1; j <= p; j++ {
					x[k] *= b[i] / float64(j)
				}
			}
		}
		l := make([]float64, a.Size(6))
		a.Log(l, x, math.Log(3), 6)
		for k := range l {
			want := 0.0
			switch {
			case k == 0:
				want = math.Log(3)
			case k <= dim:
				want = b[k-1]
			}
			near(t, "log exp", l[k], want)
		}
	}
}
