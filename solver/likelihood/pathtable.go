package likelihood

import (
	"fmt"
	"math"

	"hbar/kernels"
	"hbar/solver"
)

// PathTable lists the states of the path integral of a sampler's chain, from x_0 at Tmin to x_N at Tmax (kernels.PathRow).
// R_k are the steps of the sampler as cmd/sample runs them with full noise at the last step; Q_k proposes the other way.
//
// The mean of Q is a step of the matching forward process. Euler–Maruyama (em): x + dt [a x − ((1−h)/2) g² s] at the
// earlier time. Exponential (exp): in y = (x − α x̂0)/σ the reverse step is y' = e^{−hΔ} y + √(1 − e^{−2hΔ}) z with the
// x̂0 from before the step; that process is its own reversal, so Q takes the same step in the other direction, with the x̂0 of
// the earlier time.
//
// The variance of Q is that of R times v(t_k)/v(t_{k−1}), v = α² + σ²: the reversal of a Gaussian step under marginals of
// variance v, for data of about unit variance. Under vp schedules v = 1, and R's variance is taken as it is. Under ve and
// edm, where σ² grows by a factor in each step, the plain variance would cost most of the effective sample size (measured
// with 100 steps of edm on a Gaussian: 90 of 1000 against 800).
//
// A strength that varies along the way is taken where the step of the sampler takes it, and Q takes the same: Euler–Maruyama at the step's
// later time, the exponential integrator at its middle in λ.
func PathTable(s solver.Schedule, p solver.Prediction, sampler solver.Sampler, grid solver.Grid, steps int, strength solver.Strength, d int) ([]kernels.PathRow, error) {
	if err := solver.NeedScalars(s, "the table of a path integral"); err != nil {
		return nil, fmt.Errorf("likelihood: %w", err)
	}
	switch least, constant := strength.IsConstant(); {
	case constant && (!(least > 0) || math.IsInf(least, 1)):
		return nil, fmt.Errorf("likelihood: the path integral needs h > 0, not %v; at h = 0 use the probability flow", least)
	case !(strength.Least() > 0):
		return nil, fmt.Errorf("likelihood: the path integral needs noise all along the way, and h = %v has none at a knot; every knot's h must be above 0", strength)
	}
	at := strength.Of(s)
	if sampler != solver.EulerMaruyama && sampler != solver.Exponential {
		return nil, fmt.Errorf("likelihood: the path integral is known for the samplers em and exp, not %v, whose steps have no closed density", sampler)
	}
	table, err := solver.NewTable(s, p, solver.TableOptions{Sampler: sampler, Grid: grid, Steps: steps}.WithStrength(strength, s))
	if err != nil {
		return nil, err
	}
	n := len(table.Rows)
	rows := make([]kernels.PathRow, n+1)
	for k := range rows {
		r, t := &rows[k], table.Times[n-k]
		cin, px, qn, tau := p.Coeffs(s, t)
		r.Tau, r.Cin, r.Step = tau, cin, uint32(k)
		if k > 0 {
			back := table.Rows[n-k]
			r.ReverseState, r.ReverseNet, r.ReversePrecision = back.State, back.Net, 1/(back.Noise*back.Noise)
			r.LogNorm = float64(d) * math.Log(rows[k-1].Noise/back.Noise)
		}
		if k == n {
			break
		}
		later := table.Times[n-k-1]
		r.Noise = table.Rows[n-k-1].Noise * math.Sqrt(variance(s, later)/variance(s, t))
		if sampler == solver.EulerMaruyama {
			dt := later - t
			b := -(1 - at(later)) / 2 * s.Diffusion2(t) * dt
			r.State, r.Net = 1+(s.Drift(t)*dt+b*px), b*qn
			continue
		}
		delta := s.Lambda(t) - s.Lambda(later)
		mid := min(max(s.TimeOfLambda((s.Lambda(t)+s.Lambda(later))/2), t), later)
		decay := s.Sigma(later) / s.Sigma(t) * math.Exp(-at(mid)*delta)
		gain := s.Alpha(later) - s.Alpha(t)*decay
		x0x, x0n := p.Denoised(s, t)
		r.State, r.Net = decay+gain*x0x, gain*x0n
	}
	return rows, nil
}

// variance is that of x_t for data of unit variance.
func variance(s solver.Schedule, t float64) float64 {
	alpha := s.Alpha(t)
	return alpha*alpha + s.Sigma2(t)
}
