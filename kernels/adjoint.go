package kernels

import (
	"errors"
	"fmt"

	"hbar/kernels/simd"
)

// Adjoint holds the arguments and results of an engine's Adjoint32 and Adjoint64, arrays of n×D numbers for n samples. With
//
//	s = n(x, τ)    sv = (∂s/∂x) v    sw = (∂s/∂x) w    svw = D²s[v, w]
//
// the engine writes these four, where they are wanted, and the gradient
//
//	Grad = ∇ₓ [ CovS·s + CovSV·sv + CovSW·sw + CovSVW·svw ]
//
// at constant directions v, w and covectors Cov….
//
// The network is evaluated at x + v τ + w ε in the algebra with τ² = ε² = 0, and differentiated in reverse. That costs about
// three times a value for CovS alone, six times with v, twelve times with v and w.
type Adjoint[F simd.Float] struct {
	X                          []F // the samples
	V, W                       []F // directions; nil for none. W needs V.
	CovS, CovSV, CovSW, CovSVW []F // covectors; nil for zero. CovSV needs V, CovSW and CovSVW need W.

	Grad           []F // nil if not wanted, as the next
	S, SV, SW, SVW []F
}

// Rows is the number of coefficients of a sample in that algebra: 1; with v 2 (1, τ); with v and w 4 (1, τ, ε, τε).
func (q *Adjoint[F]) Rows() int {
	switch {
	case q.W != nil:
		return 4
	case q.V != nil:
		return 2
	}
	return 1
}

// Validate checks which of the arguments are there, and their lengths.
func (q *Adjoint[F]) Validate() error {
	if q.W != nil && q.V == nil {
		return errors.New("kernels: Adjoint with W but not V")
	}
	if q.V == nil && (q.CovSV != nil || q.SV != nil) {
		return errors.New("kernels: Adjoint with CovSV or SV needs the direction V")
	}
	if q.W == nil && (q.CovSW != nil || q.CovSVW != nil || q.SW != nil || q.SVW != nil) {
		return errors.New("kernels: Adjoint with CovSW, CovSVW, SW or SVW needs the direction W")
	}
	for _, a := range []struct {
		name string
		s    []F
	}{{"V", q.V}, {"W", q.W}, {"CovS", q.CovS}, {"CovSV", q.CovSV}, {"CovSW", q.CovSW}, {"CovSVW", q.CovSVW}, {"Grad", q.Grad}, {"S", q.S}, {"SV", q.SV}, {"SW", q.SW}, {"SVW", q.SVW}} {
		if a.s != nil && len(a.s) != len(q.X) {
			return fmt.Errorf("kernels: Adjoint %s has %d elements, want %d", a.name, len(a.s), len(q.X))
		}
	}
	return nil
}
