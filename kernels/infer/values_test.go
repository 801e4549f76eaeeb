package infer

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"hbar/kernels/simd"
)

var ctx = context.Background()

func TestForward(t *testing.T) {
	each(t, func(t *testing.T, im *simd.Impl) {
		for _, s := range shapes {
			p := s.program()
			e := newEngine(t, p, Options{Impl: im})
			x, tau := points(13, s.d)
			var each, one []float64
			for i := range tau {
				each = append(each, reference(p, x[i*s.d:(i+1)*s.d], tau[i])...)
				one = append(one, reference(p, x[i*s.d:(i+1)*s.d], tau[0])...)
			}
			y, y64 := make([]float32, len(x)), make([]float64, len(x))
			for _, c := range []struct {
				tau, want []float64
			}{{tau, each}, {tau[:1], one}} {
				if err := e.Forward(ctx, y, narrow(x), c.tau); err != nil {
					t.Fatal(err)
				}
				if err := e.Forward64(ctx, y64, x, c.tau); err != nil {
					t.Fatal(err)
				}
				atMost(t, s.name+" float32", worst(t, y, c.want), tol32)
				atMost(t, s.name+" float64", worst(t, y64, c.want), tol64)
			}
		}
	})
}

// A time given for each sample and the same time given once make the same bits.
func TestSharedTime(t *testing.T) {
	each(t, func(t *testing.T, im *simd.Impl) {
		for _, s := range shapes {
			e := newEngine(t, s.program(), Options{Impl: im})
			x, _ := points(9, s.d)
			tau := make([]float64, 9)
			for i := range tau {
				tau[i] = 0.3
			}
			a, b := make([]float32, len(x)), make([]float32, len(x))
			if err := e.Forward(ctx, a, narrow(x), tau); err != nil {
				t.Fatal(err)
			}
			if err := e.Forward(ctx, b, narrow(x), tau[:1]); err != nil {
				t.Fatal(err)
			}
			same(t, s.name, a, b)
		}
	})
}

func TestTangentAndDivergence(t *testing.T) {
	each(t, func(t *testing.T, im *simd.Impl) {
		for _, s := range shapes {
			p, d := s.program(), s.d
			e := newEngine(t, p, Options{Impl: im})
			const n, k = 5, 3
			x, tau := points(n, d)
			r := rand.New(rand.NewPCG(5, 6))
			v := make([]float64, n*k*d)
			for i := range v {
				v[i] = float64(float32(r.NormFloat64()))
			}
			unit := make([]float64, n*d*d)
			for i := range n * d {
				unit[i*d+i%d] = 1
			}
			for _, c := range []struct {
				name string
				v    []float64
				k    int
			}{{" probes", v, k}, {" exact", nil, d}} {
				dirs := c.v
				if c.v == nil {
					dirs = unit
				}
				var val, jac, div []float64
				for i := range n {
					xi := x[i*d : (i+1)*d]
					val = append(val, reference(p, xi, tau[i])...)
					sum := 0.0
					for j := range c.k {
						vj := dirs[(i*c.k+j)*d:][:d]
						jv := derivative(p, xi, vj, tau[i])
						for a := range jv {
							sum += vj[a] * jv[a]
						}
						jac = append(jac, jv...)
					}
					div = append(div, sum)
				}
				y, jv, dv := make([]float32, n*d), make([]float32, n*c.k*d), make([]float64, n)
				y64, jv64, dv64 := make([]float64, n*d), make([]float64, n*c.k*d), make([]float64, n)
				var v32 []float32
				if c.v != nil {
					v32 = narrow(c.v)
				}
				x32 := narrow(x)
				for _, err := range []error{
					e.Tangent(ctx, y, jv, x32, v32, c.k, tau),
					e.Tangent64(ctx, y64, jv64, x, c.v, c.k, tau),
					e.Divergence(ctx, nil, dv, x32, v32, c.k, tau),
					e.Divergence64(ctx, nil, dv64, x, c.v, c.k, tau),
				} {
					if err != nil {
						t.Fatal(err)
					}
				}
				atMost(t, s.name+c.name+" value", worst(t, y, val), tol32)
				atMost(t, s.name+c.name+" value, float64", worst(t, y64, val), tol64)
				atMost(t, s.name+c.name+" tangents", worst(t, jv, jac), tol32)
				atMost(t, s.name+c.name+" tangents, float64", worst(t, jv64, jac), 1e-9) // the difference quotient's
				// A divergence sums k·D terms of size 1.
				atMost(t, s.name+c.name+" divergence", worst(t, dv, div), tol32*math.Sqrt(float64(c.k*d)))
				atMost(t, s.name+c.name+" divergence, float64", worst(t, dv64, div), 1e-9*math.Sqrt(float64(c.k*d)))
				again := make([]float32, n*d)
				if err := e.Divergence(ctx, again, dv, x32, v32, c.k, tau); err != nil {
					t.Fatal(err)
				}
				same(t, s.name+" values of Divergence and Tangent", again, y)
			}
		}
	})
}

// same fails unless a and b are equal bit by bit.
func same[F simd.Float](t *testing.T, what string, a, b []F) {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%s: %d and %d values", what, len(a), len(b))
	}
	for i := range a {
		if math.Float64bits(float64(a[i])) != math.Float64bits(float64(b[i])) {
			t.Fatalf("%s: value %d differs: %g and %g", what, i, a[i], b[i])
		}
	}
}
