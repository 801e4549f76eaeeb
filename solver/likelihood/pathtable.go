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
// earlier time. Exponential (exp): in y = (x − α x̂0)/σ the reverse step is y' = e^{−hΔ} y + √(1 − e^{−2hΔ}) z with x̂0 held
// at its value before the step; that process is its own reversal, so Q takes the same step back with x̂0 held at its value
// at the earlier time.
//
// The variance of Q is that of R times v(t_k)/v(t_{k−1}), v = α² + σ²: the reversal of a Gaussian step under marginals of
// variance v, for data of about unit variance. Under vp schedules v = 1, and R's variance is taken as it is. Under ve and
// edm, where σ² grows by a factor in each step, the plain variance would cost most of the effective sample size (measured
// with 100 steps of edm on a Gaussian: 90 of 1000 against 800).
func PathTable(s solver.Schedule, p solver.Prediction, sampler solver.Sampler, grid solver.Grid, steps int, h float64, d int) ([]kernels.PathRow, error) {
	if !(h > 0) || math.IsInf(h, 1) {
		return nil, fmt.Errorf("likelihood: the path integral needs h > 0, not %v; at h = 0 use the probability flow", h)
	}
	if sampler != solver.EulerMaruyama && sampler != solver.Exponential {
		return nil, fmt.Errorf("likelihood: the path integral is known for the samplers em and exp, not %v, whose steps have no closed density", sampler)
	}
	table, err := solver.NewTable(s, p, solver.TableOptions{Sampler: sampler, Grid: grid, Steps: steps, H: h})
	if err != nil {
		return nil, err
	}
	n := len(table.Rows)
	rows := make([]kernels.PathRow, n+1)
	for k := range rows {
		r, t := &rows[k], table.Times[n-k]
		cin, px, qn, tau := p.Coeffs(s, t)
		r.T, r.Cin, r.Step = tau, cin, uint32(k)
		if k > 0 {
			back := table.Rows[n-k]
			r.E, r.F, r.InvC2 = back.A, back.B, 1/(back.C*back.C)
			r.LogC = float64(d) * math.Log(rows[k-1].C/back.C)
		}
		if k == n {
			break
		}
		later := table.Times[n-k-1]
		r.C = table.Rows[n-k-1].C * math.Sqrt(variance(s, later)/variance(s, t))
		if sampler == solver.EulerMaruyama {
			dt := later - t
			b := -(1 - h) / 2 * s.Diffusion2(t) * dt
			r.A, r.B = 1+(s.Drift(t)*dt+b*px), b*qn
			continue
		}
		delta := s.Lambda(t) - s.Lambda(later)
		turn := s.Sigma(later) / s.Sigma(t) * math.Exp(-h*delta)
		gain := s.Alpha(later) - s.Alpha(t)*turn
		x0x, x0n := p.Denoised(s, t)
		r.A, r.B = turn+gain*x0x, gain*x0n
	}
	return rows, nil
}

// variance is that of x_t for data of unit variance.
func variance(s solver.Schedule, t float64) float64 {
	alpha := s.Alpha(t)
	return alpha*alpha + s.Sigma2(t)
}
