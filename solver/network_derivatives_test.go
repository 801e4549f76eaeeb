package solver

import (
	"fmt"
	"slices"
	"testing"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// derivatives compares derivatives of a network's score in x, n points in the plane, with central differences. Those are of second order
// in δ = 10⁻⁴ and leave about 10⁻⁸ of the size of the next derivatives; differences of derivatives that were checked before are no worse.
type derivatives struct {
	*testing.T
	m        *Network
	x, times []float64
	n        int
}

const (
	derivativeStep = 1e-4
	derivativeTol  = 1e-6  // what such differences leave, with a margin of 100
	sumTol         = 1e-13 // of float64 sums of 20 terms in another order
	singleTol      = 1e-5  // of float32 sums of 20 terms in derivatives up to the third, relative to the largest
)

func (d *derivatives) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func (d *derivatives) score(x []float64) []float64 {
	s := make([]float64, len(x))
	d.must(d.m.Score(d.Context(), s, x, d.times))
	return s
}

// jet has the expansion of the score at each point, coefficients in the order of simd.JetIndex.
func (d *derivatives) jet(x []float64, order int) []float64 {
	dst := make([]float64, len(x)*simd.NJet(2, order))
	d.must(d.m.ScoreJets(d.Context(), dst, x, d.times, order))
	return dst
}

// along is the derivative of f in direction v.
func (d *derivatives) along(f func([]float64) []float64, v []float64) []float64 {
	a, b := slices.Clone(d.x), slices.Clone(d.x)
	for i := range d.x {
		a[i] += derivativeStep * v[i]
		b[i] -= derivativeStep * v[i]
	}
	fa, fb := f(a), f(b)
	for i := range fa {
		fa[i] = (fa[i] - fb[i]) / (2 * derivativeStep)
	}
	return fa
}

// unit is the direction of coordinate j, at all points.
func (d *derivatives) unit(j int) []float64 {
	v := make([]float64, len(d.x))
	for i := range d.n {
		v[2*i+j] = 1
	}
	return v
}

func (d *derivatives) zero() []float64 { return make([]float64, len(d.x)) }

// All derivatives against differences of the float64 score, and those in float32 against these.
func TestNetworkDerivatives(t *testing.T) {
	eachNetwork(t, func(t *testing.T, net mlp, s Schedule, p Prediction, x, tt []float64) {
		d := &derivatives{t, net.network(t, s, p, Float64), x, tt, len(x) / 2}
		single := net.network(t, s, p, Float32)
		d.divergence(single)
		d.tangents(single)
		d.adjoint(single)
		d.withoutDirections()
		d.jets()
	})
}

func (d *derivatives) divergence(single *Network) {
	sv, div, want, div32 := d.zero(), make([]float64, d.n), make([]float64, d.n), make([]float64, d.n)
	d.must(d.m.ScoreDiv(d.Context(), sv, nil, d.x, d.times))
	closeTo(d.T, "ScoreDiv without div", sv, d.score(d.x), 0)
	d.must(d.m.ScoreDiv(d.Context(), sv, div, d.x, d.times))
	closeTo(d.T, "ScoreDiv's score", sv, d.score(d.x), sumTol)
	d0, d1 := d.along(d.score, d.unit(0)), d.along(d.score, d.unit(1))
	for i := range d.n {
		want[i] = d0[2*i] + d1[2*i+1]
	}
	closeTo(d.T, "divergence", div, want, derivativeTol)
	d.must(single.ScoreDiv(d.Context(), sv, div32, d.x, d.times))
	closeTo(d.T, "float32 divergence", div32, div, singleTol)
}

// tangents are taken in two directions at once.
func (d *derivatives) tangents(single *Network) {
	v, w := normals(len(d.x), 1), normals(len(d.x), 2)
	pairs := func(v, w []float64) []float64 {
		vw := make([]float64, 2*len(d.x))
		for i := range d.n {
			copy(vw[4*i:], v[2*i:2*i+2])
			copy(vw[4*i+2:], w[2*i:2*i+2])
		}
		return vw
	}
	sv, jv, jv32 := d.zero(), make([]float64, 2*len(d.x)), make([]float64, 2*len(d.x))
	d.must(d.m.ScoreJVP(d.Context(), sv, jv, d.x, pairs(v, w), 2, d.times))
	closeTo(d.T, "ScoreJVP's score", sv, d.score(d.x), sumTol)
	closeTo(d.T, "ScoreJVP", jv, pairs(d.along(d.score, v), d.along(d.score, w)), derivativeTol)
	d.must(single.ScoreJVP(d.Context(), nil, jv32, d.x, pairs(v, w), 2, d.times))
	closeTo(d.T, "float32 ScoreJVP", jv32, jv, singleTol)
}

// adjoint compares gradients with differences of the scalar that they differentiate, which comes from jets of second order.
func (d *derivatives) adjoint(single *Network) {
	v, w := normals(len(d.x), 1), normals(len(d.x), 2)
	a, b, c, e := normals(len(d.x), 3), normals(len(d.x), 4), normals(len(d.x), 5), normals(len(d.x), 6)
	scalar := func(x []float64) []float64 { // n values, from 1, x, y, x², xy, y²
		j, out := d.jet(x, 2), make([]float64, d.n)
		for i := range d.n {
			for k := range 2 {
				q := j[(2*i+k)*6:][:6]
				out[i] += a[2*i+k]*q[0] + b[2*i+k]*(q[1]*v[2*i]+q[2]*v[2*i+1]) + c[2*i+k]*(q[1]*w[2*i]+q[2]*w[2*i+1]) +
					e[2*i+k]*(2*q[3]*v[2*i]*w[2*i]+q[4]*(v[2*i]*w[2*i+1]+v[2*i+1]*w[2*i])+2*q[5]*v[2*i+1]*w[2*i+1])
			}
		}
		return out
	}
	g, g32, ss, sv, sw, svw := d.zero(), d.zero(), d.zero(), d.zero(), d.zero(), d.zero()
	d.must(d.m.ScoreAdjoint(d.Context(), &kernels.Adjoint[float64]{X: d.x, V: v, W: w, CovS: a, CovSV: b, CovSW: c, CovSVW: e, Grad: g, S: ss, SV: sv, SW: sw, SVW: svw}, d.times))
	closeTo(d.T, "ScoreAdjoint's s", ss, d.score(d.x), sumTol)
	closeTo(d.T, "ScoreAdjoint's sv", sv, d.along(d.score, v), derivativeTol)
	closeTo(d.T, "ScoreAdjoint's sw", sw, d.along(d.score, w), derivativeTol)
	g0, g1 := d.along(scalar, d.unit(0)), d.along(scalar, d.unit(1))
	want := d.zero()
	for i := range d.n {
		want[2*i], want[2*i+1] = g0[i], g1[i]
	}
	closeTo(d.T, "ScoreAdjoint's gradient", g, want, derivativeTol)
	closeTo(d.T, "ScoreAdjoint's svw", svw, d.along(func(x []float64) []float64 {
		out := d.zero()
		d.must(d.m.ScoreJVP(d.Context(), nil, out, x, v, 1, d.times))
		return out
	}, w), derivativeTol)
	d.must(single.ScoreAdjoint(d.Context(), &kernels.Adjoint[float64]{X: d.x, V: v, W: w, CovS: a, CovSV: b, CovSW: c, CovSVW: e, Grad: g32}, d.times))
	closeTo(d.T, "float32 ScoreAdjoint", g32, g, singleTol)
}

// withoutDirections: directions may be left out, one or both.
func (d *derivatives) withoutDirections() {
	v, ctx := normals(len(d.x), 1), d.Context()
	a, b, c, e := normals(len(d.x), 3), normals(len(d.x), 4), normals(len(d.x), 5), normals(len(d.x), 6)
	plain, g, sv, sw, svw := d.zero(), d.zero(), d.zero(), d.zero(), d.zero()
	d.must(d.m.ScoreVJP(ctx, nil, plain, d.x, a, d.times))
	d.must(d.m.ScoreAdjoint(ctx, &kernels.Adjoint[float64]{X: d.x, CovS: a, CovSV: b, CovSW: c, CovSVW: e, Grad: g, SV: sv, SW: sw, SVW: svw}, d.times))
	closeTo(d.T, "ScoreAdjoint without directions", g, plain, 0)
	closeTo(d.T, "and its derivatives", slices.Concat(sv, sw, svw), make([]float64, 3*len(d.x)), 0)
	d.must(d.m.ScoreAdjoint(ctx, &kernels.Adjoint[float64]{X: d.x, V: v, CovS: a, CovSV: b, Grad: plain, SV: sv}, d.times))
	d.must(d.m.ScoreAdjoint(ctx, &kernels.Adjoint[float64]{X: d.x, W: v, CovS: a, CovSW: b, CovSVW: e, Grad: g, SW: sw, SVW: svw}, d.times))
	closeTo(d.T, "ScoreAdjoint with w alone", slices.Concat(g, sw), slices.Concat(plain, sv), 0)
}

// jets: a coefficient of third order is the derivative of one of second order over the new exponent.
func (d *derivatives) jets() {
	j3 := d.jet(d.x, 3)
	for k, alpha := range simd.JetIndex(2, 3) {
		if k == 0 {
			continue
		}
		axis := 0
		if alpha[0] == 0 {
			axis = 1
		}
		lower := slices.Clone(alpha)
		lower[axis]--
		from := simd.JetPos(lower...)
		got := d.zero()
		for i := range got {
			got[i] = j3[i*10+k] * float64(alpha[axis])
		}
		closeTo(d.T, fmt.Sprintf("jet %v", alpha), got, d.along(func(x []float64) []float64 {
			j, out := d.jet(x, 2), d.zero()
			for i := range out {
				out[i] = j[i*6+from]
			}
			return out
		}, d.unit(axis)), derivativeTol)
	}
}
