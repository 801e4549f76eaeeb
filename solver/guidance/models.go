package guidance

import (
	"context"
	"fmt"

	"hbar/solver"
)

// Guided is a model that is guided, and gives the score without guidance with the one under it: what the weights of a path compare.
type Guided interface {
	solver.Model
	// Scores writes both, n×D; all rows have one time.
	Scores(ctx context.Context, plain, guided, x, t []float64) error
}

// PlugIn is a model guided by the gradient of a reward at the denoised sample: s + (∂x̂₀/∂x)ᵀ ∇r(x̂₀), x̂₀ = (x + σ² s)/α.
//
// Where noise covers the data, a network's error in s, divided by α, is larger than x̂₀ itself. Guidance therefore begins at
// λ = log(α/σ) = MinLambda; the weights of [Sample] account for any choice.
type PlugIn struct {
	Model     solver.VJPer
	Schedule  solver.Schedule
	Reward    Reward
	MinLambda float64
}

// DefaultMinLambda is where guidance of a learned network begins: σ = e α.
const DefaultMinLambda = -1

// Dim implements solver.Model.
func (p *PlugIn) Dim() int { return p.Model.Dim() }

// Score implements solver.Model; all rows have one time.
func (p *PlugIn) Score(ctx context.Context, dst, x, t []float64) error {
	return p.Scores(ctx, make([]float64, len(x)), dst, x, t)
}

// Scores implements Guided.
func (p *PlugIn) Scores(ctx context.Context, plain, guided, x, t []float64) error {
	if len(t) != 1 {
		return fmt.Errorf("guidance: %d times; want one for all rows", len(t))
	}
	d := p.Dim()
	alpha, s2 := p.Schedule.Alpha(t[0]), p.Schedule.Sigma2(t[0])
	if err := p.Model.Score(ctx, plain, x, t); err != nil {
		return err
	}
	copy(guided, plain)
	if p.Schedule.Lambda(t[0]) < p.MinLambda {
		return nil
	}
	u, vj, denoised := make([]float64, len(x)), make([]float64, len(x)), make([]float64, d)
	for i := 0; i < len(x); i += d {
		for j := range d {
			denoised[j] = (x[i+j] + s2*plain[i+j]) / alpha
		}
		p.Reward.Grad(u[i:i+d], denoised)
	}
	if err := p.Model.ScoreVJP(ctx, nil, vj, x, u, t); err != nil {
		return err
	}
	for i := range guided {
		guided[i] += (u[i] + s2*vj[i]) / alpha
	}
	return nil
}

// Exact is a Gaussian model of independent coordinates, N(Mean, Var) at t = 0, guided by a quadratic reward in closed form: with
// x₀ | x_t ~ N(m, V), V = (1/Var + α²/σ²)⁻¹, the guidance is (α/σ²) V (A − W (m − C))/(1 + W V).
type Exact struct {
	Model     solver.Model
	Schedule  solver.Schedule
	Mean, Var []float64
	Reward    *Quadratic
}

// Dim implements solver.Model.
func (e *Exact) Dim() int { return e.Model.Dim() }

// Score implements solver.Model; all rows have one time.
func (e *Exact) Score(ctx context.Context, dst, x, t []float64) error {
	if len(t) != 1 {
		return fmt.Errorf("guidance: %d times; want one for all rows", len(t))
	}
	if err := e.Model.Score(ctx, dst, x, t); err != nil {
		return err
	}
	d := e.Dim()
	alpha, s2 := e.Schedule.Alpha(t[0]), e.Schedule.Sigma2(t[0])
	for k, v := range x {
		i := k % d
		variance := 1 / (1/e.Var[i] + alpha*alpha/s2)
		mean := variance * (e.Mean[i]/e.Var[i] + alpha*v/s2)
		q := e.Reward
		dst[k] += alpha / s2 * variance * (q.A[i] - q.W[i]*(mean-q.C[i])) / (1 + q.W[i]*variance)
	}
	return nil
}
