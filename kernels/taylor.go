package kernels

import (
	"errors"
	"fmt"
	"math"

	"hbar/kernels/simd"
)

// ErrNoTaylor is the error of an engine that has no integrator for the expansion of its network. Evaluations of jets still work.
var ErrNoTaylor = errors.New("kernels: no fused Taylor expansion for this network")

// MaxJetOrder and MaxJetDim bound the Taylor expansions of engines' Jets64 and Jets32.
const (
	MaxJetOrder = 5
	MaxJetDim   = 3
)

// TaylorState is the layout of the state of one sample while the WKB expansion log q^h = log q⁰ + h ℓ₁ + h² ℓ₂ (package
// solver/likelihood) is integrated from Tmax back to Tmin. The state has Width numbers, at these offsets:
//
//	0         x, D numbers
//	LogQ      the Taylor polynomial of log q⁰_t about x, to degree DegL = 2 Order, in the order of simd.JetIndex
//	L1        that of ℓ₁, to degree Deg1 = 2 (Order − 1)
//	DivTerm   −½∫g²(∇·s − Δ log q⁰) dt, the first of the two terms of ℓ₁; the other is −½∫g²(s − u)·u dt with u = ∇log q⁰
//	Mismatch  ½∫g²|s − u|² dt
//	L2        ℓ₂, if Order is 2
//
// The derivative of the state needs the Taylor expansion of the score to degree DegL + 1. With Order 0 the state is x alone.
type TaylorState struct {
	D, Order          int
	DegL, Deg1        int
	LogQ, L1          int
	DivTerm, Mismatch int
	L2, Width         int
}

// NewTaylorState is the state of the expansion to the given order, 0 to 2, in d dimensions.
func NewTaylorState(d, order int) TaylorState {
	if order == 0 {
		return TaylorState{D: d, DegL: -1, Deg1: -1, LogQ: d, L1: d, DivTerm: d, Mismatch: d, L2: d, Width: d}
	}
	s := TaylorState{D: d, Order: order, DegL: 2 * order, Deg1: 2 * (order - 1), LogQ: d}
	s.L1 = s.LogQ + simd.NJet(d, s.DegL)
	s.DivTerm = s.L1 + simd.NJet(d, s.Deg1)
	s.Mismatch = s.DivTerm + 1
	s.L2 = s.Mismatch + 1
	s.Width = s.L2 + order - 1
	return s
}

// TaylorTable integrates dy/dτ = f(τ, y), for states y laid out by TaylorState, by an explicit Runge–Kutta method on a mesh that
// all samples share. A step of size H from τ takes
//
//	k_i = f(τ_i, y + H Σ_j A_ij k_j)        y' = y + H Σ B_i k_i
//
// H may have either sign: with Order 1 or 2 the expansion is integrated from Tmax back to Tmin, with Order 0 the path alone from
// a point at Tmin to Tmax.
//
// In f the score is s(x) = ScoreState x + ScoreNet n(Cin x, Tau), and dx/dτ = Drift x − HalfDiffusion s. The coefficients
// of a stage contain the rate dt/dτ.
type TaylorTable struct {
	Order int         // of the expansion: 0, 1 or 2
	A     [][]float64 // a row for each stage; row i has at most i entries, missing ones are zero
	B     []float64   // one entry for each stage
	E, E3 []float64   // weights of the error estimates, at most one for each stage (see ErrorNorm); nil: no estimate
	Steps []TaylorStep
	// Tol is the tolerance of the estimate, absolute and relative. Weights multiply the errors of the numbers of a state.
	Tol     float64
	Weights []float64
	// Float32 expands the network in float32, on engines where that is faster. The state, and everything at Order 0, stays
	// float64.
	Float32 bool
}

// TaylorStep is one step of a TaylorTable.
type TaylorStep struct {
	H      float64
	Stages []TaylorStage // as many as A has rows
}

// TaylorStage holds the network's inputs and the coefficients of one evaluation, at one time.
type TaylorStage struct {
	Tau, Cin             float64
	ScoreState, ScoreNet float64
	Drift, HalfDiffusion float64
}

// Validate reports the first fault of t, as a table for states of the given width.
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
			sum += g.Tau + g.Cin + g.ScoreState + g.ScoreNet + g.Drift + g.HalfDiffusion
		}
		if err := checkStep("Taylor", i, step, len(step.Stages), len(t.A), sum); err != nil {
			return err
		}
	}
	return nil
}

// ErrorNorm is the estimated error of a step of size h from y to next, in units of the tolerance. With e = Σ E_i k_i and
// e₃ = Σ E3_i k_i, each component multiplied by its weight and divided by Tol (1 + max(|y|, |next|)), it is
//
//	|h| √(Σe² / n)                             without E3
//	|h| Σe² / √((Σe² + 0.01 Σe₃²) n)           with E3, as in dop853.f
//
// where n is the number of components whose weight is not zero. sum5 and sum3 are Σe² and Σe₃².
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
