package kernels

import (
	"errors"
	"fmt"
	"math"

	"hbar/kernels/simd"
)

// ErrNoTaylor is the error of an engine that does not integrate expansions of its network; jets one by one still work.
var ErrNoTaylor = errors.New("kernels: no fused Taylor expansion for this network")

// MaxJetOrder and MaxJetDim bound the Taylor expansions of engines' Jets64 and Jets32.
const (
	MaxJetOrder = 5
	MaxJetDim   = 3
)

// TaylorState is where things are in the state of the way back from Tmax to Tmin of the WKB expansion log q^h = log q⁰ +
// h ℓ₁ + h² ℓ₂ (package solver/likelihood), one sample's Width numbers:
//
//	x        D
//	L        the Taylor polynomial of log q⁰_t about x, to degree DegL = 2 Order, in the order of simd.JetIndex
//	ℓ₁       its Taylor polynomial, to degree Deg1 = 2 (Order − 1)
//	spread   −½∫g²(∇·s − tr H) dt, the first part of ℓ₁; the second is −½∫g²(s − u)·u dt
//	mismatch ½∫g²|s − u|² dt
//	ℓ₂       at Order 2
//
// Its derivative takes the Taylor expansion of the score to degree DegL + 1. At Order 0 the state is x alone.
type TaylorState struct {
	D, Order         int
	DegL, Deg1       int
	L, L1            int // offsets
	Spread, Mismatch int
	L2, Width        int
}

// NewTaylorState is the state of the expansion to the given order, 0 to 2, in d dimensions.
func NewTaylorState(d, order int) TaylorState {
	if order == 0 {
		return TaylorState{D: d, DegL: -1, Deg1: -1, L: d, L1: d, Spread: d, Mismatch: d, L2: d, Width: d}
	}
	s := TaylorState{D: d, Order: order, DegL: 2 * order, Deg1: 2 * (order - 1), L: d}
	s.L1 = s.L + simd.NJet(d, s.DegL)
	s.Spread = s.L1 + simd.NJet(d, s.Deg1)
	s.Mismatch = s.Spread + 1
	s.L2 = s.Mismatch + 1
	s.Width = s.L2 + order - 1
	return s
}

// TaylorTable integrates y' = f(τ, y) for states y as TaylorState has them, by an explicit Runge–Kutta method on a mesh
// that all samples share:
//
//	k_i = f(τ_i, y + h Σ_j A_ij k_j)        y' = y + h Σ B_i k_i        for each h of Steps
//
// either way: back with the expansion, or with Order 0 the path from a point to Tmax.
//
// The score in f is s(x) = P x + Q n(Cin x, T), dx/dτ = Drift x − Half s.
type TaylorTable struct {
	Order int         // of the expansion: 1 or 2
	A     [][]float64 // row i has at most i entries; those missing are zero
	B     []float64   // as many as A has rows
	E, E3 []float64   // at most as many: the method's error estimates, see ErrorNorm; nil: none
	Steps []TaylorStep
	// Tol and Weights (one a number of the state) are the units of the estimate.
	Tol     float64
	Weights []float64
	// Float32 expands the network in float32, where that is quicker; the state, and all of an Order of 0, stays float64.
	Float32 bool
}

// TaylorStep is one step of a TaylorTable.
type TaylorStep struct {
	H      float64
	Stages []TaylorStage // as many as A has rows
}

// TaylorStage is what one evaluation needs to know of its time.
type TaylorStage struct {
	T, Cin      float64 // what the network is given
	P, Q        float64
	Drift, Half float64
}

// Validate reports the first thing that makes t no table for states of the given width.
func (t *TaylorTable) Validate(width int) error {
	if t.Order < 0 || t.Order > 2 {
		return fmt.Errorf("kernels: Taylor table of order %d; want 0, 1 or 2", t.Order)
	}
	if err := checkTableau("Taylor", t.A, t.B, t.E, t.E3); err != nil {
		return err
	}
	if t.E != nil && (len(t.Weights) != width || !(t.Tol > 0)) {
		return fmt.Errorf("kernels: Taylor table with the tolerance %g and %d weights; want a positive one and %d", t.Tol, len(t.Weights), width)
	}
	for i, step := range t.Steps {
		sum := step.H
		for _, g := range step.Stages {
			sum += g.T + g.Cin + g.P + g.Q + g.Drift + g.Half
		}
		if err := checkStep("Taylor", i, step, len(step.Stages), len(t.A), sum); err != nil {
			return err
		}
	}
	return nil
}

// ErrorNorm is the estimated error of a step from y to next, in units of the tolerance: with e = Σ E_i k_i and e₃ = Σ E3_i
// k_i, each component times its weight and divided by Tol (1 + max(|y|, |next|)), h times the root mean square of e over
// the components of weight other than zero, or (E3) h Σe² / √((Σe² + 0.01 Σe₃²) components), as dop853.f has it. sum5 and sum3
// are Σe² and Σe₃².
func (t *TaylorTable) ErrorNorm(h, sum5, sum3 float64) float64 {
	count := 0.0
	for _, w := range t.Weights {
		if w != 0 {
			count++
		}
	}
	h = math.Abs(h)
	switch {
	case count == 0 || sum5 == 0:
		return 0
	case t.E3 == nil:
		return h * math.Sqrt(sum5/count)
	}
	return h * sum5 / math.Sqrt((sum5+0.01*sum3)*count)
}
