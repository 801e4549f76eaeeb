package dynamics

import (
	"math"
	"math/cmplx"
)

// Diagonal is the law of a step of modes dz_i = λ_i z_i dt + (G dw)_i in closed form: f[i] multiplies mode i, and p, n×n
// row-major and Hermitian, is the covariance of what the noise adds,
//
//	f_i = exp(λ_i dt),   p_ij = Q_ij dt φ((λ_i + λ̄_j) dt),   φ(x) = (eˣ − 1)/x,
//
// for Q_ij the covariance of G dw per unit of time (Hermitian). Growing and neutral modes need nothing special.
func Diagonal(lambda, q []complex128, dt float64) (f, p []complex128) {
	n := len(lambda)
	if len(q) != n*n {
		panic("dynamics: Diagonal: q is not n×n")
	}
	f, p = make([]complex128, n), make([]complex128, n*n)
	for i, li := range lambda {
		f[i] = cmplx.Exp(li * complex(dt, 0))
		for j, lj := range lambda {
			p[i*n+j] = q[i*n+j] * complex(dt, 0) * phi((li+cmplx.Conj(lj))*complex(dt, 0))
		}
	}
	return f, p
}

// phi is (eˣ − 1)/x, without cancellation for small x.
func phi(x complex128) complex128 {
	a, b := real(x), imag(x)
	if math.Hypot(a, b) < 1e-6 {
		return 1 + x/2*(1+x/3)
	}
	// e^(a+ib) − 1 = expm1(a) cos b − 2 sin²(b/2) + i eᵃ sin b
	s := math.Sin(b / 2)
	return complex(math.Expm1(a)*math.Cos(b)-2*s*s, math.Exp(a)*math.Sin(b)) / x
}
