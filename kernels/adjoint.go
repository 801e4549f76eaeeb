package kernels

import (
	"errors"
	"fmt"

	"hbar/kernels/simd"
)

// Adjoint are the arguments of an engine's Adjoint32 and Adjoint64, each n×D; those marked may be nil.
//
// With s = n(x, τ), sv = (∂s/∂x) v, sw = (∂s/∂x) w and svw = ∂²s[v, w] the result is
//
//	G = ∇ₓ [ a·s + b·sv + c·sw + e·svw ]      (v, w, a, b, c, e constant)
//
// The network is run forward on x + v τ + w ε in the algebra with τ² = ε² = 0, and reversed through it: about three
// times the work of a value for a alone, six with v, twelve with v and w.
type Adjoint[F simd.Float] struct {
	X          []F
	V, W       []F // directions; nil for none. W needs V.
	A, B, C, E []F // covectors; nil for zero. B needs V, C and E need W.

	G            []F // result; nil for none
	S, SV, SW, H []F // results s, sv, sw, svw; nil if not wanted
}

// Rows is the number of rows that a sample has on its way: 1, x + v τ: 2, x + v τ + w ε: 4 (with the product τ ε).
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
	if q.V == nil && (q.B != nil || q.SV != nil) {
		return errors.New("kernels: Adjoint with B or SV needs the direction V")
	}
	if q.W == nil && (q.C != nil || q.E != nil || q.SW != nil || q.H != nil) {
		return errors.New("kernels: Adjoint with C, E, SW or H needs the direction W")
	}
	for _, a := range []struct {
		name string
		s    []F
	}{{"V", q.V}, {"W", q.W}, {"A", q.A}, {"B", q.B}, {"C", q.C}, {"E", q.E}, {"G", q.G}, {"S", q.S}, {"SV", q.SV}, {"SW", q.SW}, {"H", q.H}} {
		if a.s != nil && len(a.s) != len(q.X) {
			return fmt.Errorf("kernels: Adjoint %s has %d elements, want %d", a.name, len(a.s), len(q.X))
		}
	}
	return nil
}
