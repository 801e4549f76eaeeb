package kernels

import (
	"errors"
	"fmt"
)

// ErrNoFlow is the error of an engine that has no integrator for the probability flow of its network. Evaluations still work.
var ErrNoFlow = errors.New("kernels: no fused probability flow for this network")

// FlowTable integrates a probability flow, and K integrals of its divergence with it, by an explicit Runge–Kutta method
// over steps that all samples share. The D + K numbers of a sample are its state x and the integrals d_1, …, d_K. With the
// network n(y, τ) at y = Cin x, a stage evaluates
//
//	dx   = State x + Net n(y, Tau)
//	dd_j = D Drift + (State − Drift) |ε_j|² + Net Cin ε_jᵀ(∂n/∂y)ε_j
//
// for the sample's probes ε_1, …, ε_K. Without probes K = 1, and the divergence is exact:
//
//	dd   = D State + Net Cin tr(∂n/∂y)
//
// For the flow F = a x − ½ g² s of a score s = p x + q n, State is a − ½ g² p, Net is −½ g² q and Drift is a, each times the rate
// dt/dτ at which t passes in the variable of integration.
//
// A and B are the method's Butcher tableau. Stage i of a step of size H is evaluated at y + H Σ_{j<i} A_ij k_j, with k_j the
// derivatives of stage j and y = (x, d); the step ends at y' = y + H Σ B_i k_i.
//
// The error of a step is estimated as in package ode. With e the sum over the D + K components of
// (Σ E_i k_i)² / (Tol (1 + max(|y|, |y'|)))², and f the same with E3, it is |H| e/√((e + 0.01 f)(D + K)); if E3 is nil it is
// |H| √(e/(D + K)). An estimate of 1 is an error of the size of the tolerance.
type FlowTable struct {
	A     [][]float64 // a row for each stage; row i has at most i entries, missing ones are zero
	B     []float64   // one entry for each stage
	E, E3 []float64   // weights of the error estimates, at most one for each stage; nil: no estimate
	Tol   float64     // tolerance, absolute and relative
	Steps []FlowStep
}

// FlowStep is one step of a FlowTable.
type FlowStep struct {
	H      float64
	Stages []FlowStage // as many as A has rows
}

// FlowStage holds the network's inputs and the coefficients of one evaluation, at one time.
type FlowStage struct {
	Tau, Cin          float64
	State, Net, Drift float64
}

// Stages is the number of evaluations of a step.
func (t *FlowTable) Stages() int { return len(t.A) }

// Validate reports the first fault of t: an inconsistent tableau, a wrong number of stages, a number that is not finite.
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
			sum += g.Tau + g.Cin + g.State + g.Net + g.Drift
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
