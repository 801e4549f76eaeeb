package infer

import (
	"math"
	"testing"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// poly is a polynomial in d variables, coefficients in the order of simd.JetIndex up to an order.
type poly struct {
	d, order int
	c        []float64
}

func (p poly) at(x []float64) float64 {
	s := 0.0
	for i, alpha := range simd.JetIndex(p.d, p.order) {
		t := p.c[i]
		for k, a := range alpha {
			t *= math.Pow(x[k], float64(a))
		}
		s += t
	}
	return s
}

// along is the derivative along v, of order one less.
func (p poly) along(v []float64) poly {
	q := poly{p.d, p.order - 1, make([]float64, simd.NJet(p.d, p.order-1))}
	for i, alpha := range simd.JetIndex(q.d, q.order) {
		for k := range v {
			alpha[k]++
			q.c[i] += v[k] * float64(alpha[k]) * p.c[simd.JetPos(alpha...)]
			alpha[k]--
		}
	}
	return q
}

// The remainder of an expansion of order m falls as |δ|^(m+1), down to rounding; and the first coefficients are the
// difference quotients of the reference.
func TestJets(t *testing.T) {
	each(t, func(t *testing.T, im *simd.Impl) {
		for _, s := range shapes {
			if s.d > kernels.MaxJetDim {
				continue
			}
			p := s.program()
			e := newEngine(t, p, Options{Impl: im})
			const n = 3
			x, tau := points(n, s.d)
			for order := range kernels.MaxJetOrder + 1 {
				nj := simd.NJet(s.d, order)
				dst, dst32 := make([]float64, n*s.d*nj), make([]float32, n*s.d*nj)
				if err := e.Jets64(ctx, dst, x, tau, order); err != nil {
					t.Fatal(err)
				}
				if err := e.Jets32(ctx, dst32, narrow(x), tau, order); err != nil {
					t.Fatal(err)
				}
				// A coefficient of degree m sums some hundred terms of the activation's expansion.
				atMost(t, s.name+" float32", worst(t, dst32, dst), 20*tol32)
				remainder := func(r float64) (worst float64) {
					for i := range n {
						xi, to := x[i*s.d:(i+1)*s.d], make([]float64, s.d)
						delta := make([]float64, s.d)
						for k := range delta {
							delta[k] = r * math.Cos(float64(i+3*k))
							to[k] = xi[k] + delta[k]
						}
						want := reference(p, to, tau[i])
						for k := range s.d {
							q := poly{s.d, order, dst[(i*s.d+k)*nj:][:nj]}
							worst = max(worst, math.Abs(q.at(delta)-want[k]))
						}
					}
					return worst
				}
				const r = 0.1
				a, b := remainder(r), remainder(r/4)
				if limit := a*math.Pow(4, -float64(order)-0.4) + 1e-13; !(b <= limit) || !(a < 1) {
					t.Errorf("%s order %d: remainder %.2g at %g, %.2g at a quarter of it, want at most %.2g", s.name, order, a, r, b, limit)
				}
				if order == 0 {
					continue
				}
				for k := range s.d {
					v := make([]float64, s.d)
					v[k] = 1
					want := derivative(p, x[:s.d], v, tau[0])
					for c := range s.d {
						atMost(t, s.name+" first derivative", math.Abs(dst[c*nj+1+k]-want[c]), 1e-9) // central differences of float64: rounding over the spacing
					}
				}
			}
		}
	})
}

// narrowed is s in float32, nil for nil.
func narrowed(s []float64) []float32 {
	if s == nil {
		return nil
	}
	return narrow(s)
}

// The adjoint of second order against the expansion of third order, and of lower orders against it with fewer rows.
func TestAdjoint(t *testing.T) {
	each(t, func(t *testing.T, im *simd.Impl) {
		for _, s := range shapes {
			if s.d > kernels.MaxJetDim {
				continue
			}
			d := s.d
			e := newEngine(t, s.program(), Options{Impl: im})
			const n = 7
			all, tau := points(7*n, d)
			tau = tau[:n]
			part := func(i int) []float64 { return all[i*n*d : (i+1)*n*d] }
			x := part(0)
			nj := simd.NJet(d, 3)
			jet := make([]float64, n*d*nj)
			if err := e.Jets64(ctx, jet, x, tau, 3); err != nil {
				t.Fatal(err)
			}
			for rows, q := range map[string]kernels.Adjoint[float64]{
				"value":     {CovS: part(3)},
				"tangent":   {V: part(1), CovS: part(3), CovSV: part(4)},
				"tangent b": {V: part(1), CovSV: part(4)},
				"second":    {V: part(1), W: part(2), CovS: part(3), CovSV: part(4), CovSW: part(5), CovSVW: part(6)},
				"second e":  {V: part(1), W: part(2), CovSVW: part(6)},
			} {
				q.X = x
				out := func() []float64 { return make([]float64, n*d) }
				q.Grad, q.S = out(), out()
				if q.V != nil {
					q.SV = out()
				}
				if q.W != nil {
					q.SW, q.SVW = out(), out()
				}
				if err := e.Adjoint64(ctx, &q, tau); err != nil {
					t.Fatal(err)
				}
				g, sv, sw, svw := out(), out(), out(), out()
				zero, unit := make([]float64, d), make([]float64, d)
				for i := range n {
					row := func(s []float64) []float64 {
						if s == nil {
							return zero
						}
						return s[i*d : (i+1)*d]
					}
					for k := range d {
						f := poly{d, 3, jet[(i*d+k)*nj:][:nj]}
						fv, fw := f.along(row(q.V)), f.along(row(q.W))
						fvw := fv.along(row(q.W))
						sv[i*d+k], sw[i*d+k], svw[i*d+k] = fv.at(zero), fw.at(zero), fvw.at(zero)
						for j := range d {
							unit[j] = 1
							g[i*d+j] += row(q.CovS)[k]*f.along(unit).at(zero) + row(q.CovSV)[k]*fv.along(unit).at(zero) +
								row(q.CovSW)[k]*fw.along(unit).at(zero) + row(q.CovSVW)[k]*fvw.along(unit).at(zero)
							unit[j] = 0
						}
					}
				}
				const tol = 1e-11 // two orders of summation
				atMost(t, s.name+" "+rows+" gradient", worst(t, q.Grad, g), tol)
				if q.V != nil {
					atMost(t, s.name+" "+rows+" sv", worst(t, q.SV, sv), tol)
				}
				if q.W != nil {
					atMost(t, s.name+" "+rows+" sw", worst(t, q.SW, sw), tol)
					atMost(t, s.name+" "+rows+" svw", worst(t, q.SVW, svw), tol)
				}
				q32 := kernels.Adjoint[float32]{X: narrow(q.X), V: narrowed(q.V), W: narrowed(q.W), CovS: narrowed(q.CovS), CovSV: narrowed(q.CovSV),
					CovSW: narrowed(q.CovSW), CovSVW: narrowed(q.CovSVW), Grad: make([]float32, n*d), S: make([]float32, n*d)}
				if err := e.Adjoint32(ctx, &q32, tau); err != nil {
					t.Fatal(err)
				}
				atMost(t, s.name+" "+rows+" gradient, float32", worst(t, q32.Grad, q.Grad), 20*tol32)
				atMost(t, s.name+" "+rows+" value, float32", worst(t, q32.S, q.S), tol32)
			}
		}
	})
}

// VJPs of networks of any dimension: u·(J v) = (Jᵀ u)·v.
func TestVJP(t *testing.T) {
	each(t, func(t *testing.T, im *simd.Impl) {
		for _, s := range shapes {
			d := s.d
			p := s.program()
			e := newEngine(t, p, Options{Impl: im})
			const n = 6
			x, tau := points(n, d)
			u, _ := points(2*n, d)
			u, v := u[:n*d], u[n*d:]
			y, vj, jv := make([]float64, n*d), make([]float64, n*d), make([]float64, n*d)
			if err := e.VJP64(ctx, y, vj, x, u, tau); err != nil {
				t.Fatal(err)
			}
			if err := e.Tangent64(ctx, nil, jv, x, v, 1, tau); err != nil {
				t.Fatal(err)
			}
			var want []float64
			for i := range n {
				want = append(want, reference(p, x[i*d:(i+1)*d], tau[i])...)
				a, b := 0.0, 0.0
				for j := i * d; j < (i+1)*d; j++ {
					a += u[j] * jv[j]
					b += vj[j] * v[j]
				}
				atMost(t, s.name+" u·Jv - Jᵀu·v", math.Abs(a-b), 1e-13*float64(d))
			}
			atMost(t, s.name+" value", worst(t, y, want), tol64)
			vj32 := make([]float32, n*d)
			if err := e.VJP32(ctx, nil, vj32, narrow(x), narrow(u), tau); err != nil {
				t.Fatal(err)
			}
			atMost(t, s.name+" float32", worst(t, vj32, vj), 2*tol32)
		}
	})
}
