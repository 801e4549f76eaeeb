package solver

import (
	"context"

	"hbar/kernels"
)

// Model is a score model: s(x, t) ≈ ∇ log p_t(x). Networks and closed forms alike implement it.
//
// In all methods x holds n rows of Dim() coordinates and t holds n times, or one time for all rows. Rows are
// independent of each other. The optional interfaces below are what likelihoods need; a method that a model lacks is
// reported as an error that names it.
type Model interface {
	Dim() int
	// Score writes s(x_i, t_i) to dst (n×D).
	Score(ctx context.Context, dst, x, t []float64) error
}

// Diverger is a Model that knows its exact divergence.
type Diverger interface {
	Model
	// ScoreDiv writes s (n×D) and div (n), the divergence ∇·s. Either may be nil.
	ScoreDiv(ctx context.Context, s, div, x, t []float64) error
}

// JVPer is a Model with directional derivatives.
type JVPer interface {
	Model
	// ScoreJVP writes s (n×D) and, for the k directions v (n×k×D) of each row, jv = (∂s/∂x) v (n×k×D).
	ScoreJVP(ctx context.Context, s, jv, x, v []float64, k int, t []float64) error
}

// VJPer is a Model with adjoint derivatives: gradients of functions of the score and of its directional derivatives.
type VJPer interface {
	JVPer
	// ScoreVJP writes s (n×D), if not nil, and for one direction u (n×D) of each row vj = (∂s/∂x)ᵀ u (n×D).
	ScoreVJP(ctx context.Context, s, vj, x, u, t []float64) error
	// ScoreAdjoint computes kernels.Adjoint for the score s(x, t) in place of a network: the gradient in x of a sum of s and of its
	// first and second directional derivatives, each times a covector, and these values themselves. A direction that is nil is
	// zero; other than there, W may be given without V.
	ScoreAdjoint(ctx context.Context, q *kernels.Adjoint[float64], t []float64) error
}

// Jetter is a Model that expands itself: the truncated Taylor series of s about x in the displacement.
type Jetter interface {
	Model
	// ScoreJets writes the coefficients ∂^α s_i/α! for |α| ≤ order to dst, an n×D×NJet(D, order) array in the order of
	// JetIndex (graded: by degree, then x₁ first: 1, x, y, x², xy, y², …).
	ScoreJets(ctx context.Context, dst, x, t []float64, order int) error
}
