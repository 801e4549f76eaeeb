package kernels

import (
	"errors"
	"fmt"
)

// ErrNoFlow is the error of an engine that does not integrate flows of its network; evaluations one by one still work.
var ErrNoFlow = errors.New("kernels: no fused probability flow for this network")

// FlowTable integrates a probability flow together with K integrals of its divergence by an explicit Runge–Kutta method
// over steps that all samples share. With the raw network n(y, T), y = Cin x, a stage's derivatives are
//
//	k_x = U x + V n                                     (D numbers)
//	k_j = D W + (U − W) |ε_j|² + V Cin ε_jᵀ(∂n/∂y)ε_j   (j = 1 … K)
//
// for the probes ε_j of the sample, or, without probes, K = 1 and the sum over all unit vectors in place of the one term:
// D U + V Cin tr(∂n/∂y). For F = a x − ½ g² s, s = P x + Q n: U = a − ½ g² P, V = −½ g² Q, W = a, times the rate of the
// clock. A step of size H with the S stages i = 0 … S−1, each at y + H Σ_{j<i} A_ij k_j, ends at y + H Σ B_i k_i.
//
// The error of a step is estimated as package ode does: with e = Σ E_i k_i and f = Σ E3_i k_i, each divided by
// Tol (1 + max(|y|, |y'|)) and squared and summed over the D+K components, |H| e/√((e + 0.01 f)(D+K)), or with E3 nil
// |H| √(e/(D+K)).
type FlowTable struct {
	A     [][]float64 // row i has at most i entries; those missing are zero
	B     []float64   // as many as A has rows
	E, E3 []float64   // at most as many; nil: no estimate
	Tol   float64     // the unit of the estimate
	Steps []FlowStep
}

// FlowStep is one step of a FlowTable.
type FlowStep struct {
	H      float64
	Stages []FlowStage // S
}

// FlowStage is what one evaluation needs to know of its time.
type FlowStage struct {
	T, Cin  float64
	U, V, W float64
}

// Stages is S, the number of evaluations of a step.
func (t *FlowTable) Stages() int { return len(t.A) }

// Validate reports the first thing that makes t no table.
func (t *FlowTable) Validate() error {
	if err := checkTableau("flow", t.A, t.B, t.E, t.E3); err != nil {
		return err
	}
	if t.E != nil && !(t.Tol > 0) {
		return fmt.Errorf("kernels: flow table with the tolerance %g; want a positive number", t.Tol)
	}
	for i, step := range t.Steps {
		sum := step.H
		for _, g := range step.Stages {
			sum += g.T + g.Cin + g.U + g.V + g.W
		}
		if err := checkStep("flow", i, step, len(step.Stages), len(t.A), sum); err != nil {
			return err
		}
	}
	return nil
}

// Shape checks t and the arrays of n samples in d dimensions with K integrals: x (n×D), div (n×K), est (n) and probes
// (n×K×D, or nil with K = 1). It returns n and K; with no samples K is 0.
func (t *FlowTable) Shape(d int, x, div, est []float64, probes []float32) (n, k int, err error) {
	n = len(x) / d
	if n > 0 {
		k = len(div) / n
	}
	switch {
	case len(x) != n*d:
		return 0, 0, fmt.Errorf("kernels: flow of %d coordinates; want a multiple of D = %d", len(x), d)
	case len(est) != n:
		return 0, 0, fmt.Errorf("kernels: %d error estimates of the flow of %d samples", len(est), n)
	case len(div) != n*k || n > 0 && k < 1 || probes == nil && k > 1:
		return 0, 0, fmt.Errorf("kernels: %d divergences of the flow of %d samples; want a multiple of n, just n without probes", len(div), n)
	case probes != nil && len(probes) != n*k*d:
		return 0, 0, fmt.Errorf("kernels: probes of %d numbers for the flow of %d samples with %d each; want n·K·D = %d", len(probes), n, k, n*k*d)
	}
	return n, k, t.Validate()
}
