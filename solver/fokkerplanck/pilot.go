package fokkerplanck

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"hbar/kernels"
	"hbar/solver"
)

// pilot finds, by following particles of the reverse process at h = 1, where the density will be at the end and how
// large |σs| becomes.
type pilot struct {
	center, radius [2]float64
	peak           float64 // |σs|, exceeded with probability 10⁻³ at the worst time
}

const (
	pilotParticles = 16384
	pilotSteps     = 100
)

func runPilot(ctx context.Context, m solver.Model, sch solver.Schedule, tEnd float64, p pool) (pilot, error) {
	d, n := m.Dim(), pilotParticles
	rng := rand.New(kernels.NewSource(0, kernels.StreamProbe, 0)) // the box must not depend on the caller's seed
	x, s := make([]float64, n*d), make([]float64, n*d)
	for i := range x {
		x[i] = sch.PriorStd() * rng.NormFloat64()
	}
	var out pilot
	norm := make([]float64, n)
	l0, l1 := sch.Lambda(sch.Tmax()), sch.Lambda(tEnd)
	t := sch.Tmax()
	for step := range pilotSteps {
		if err := m.Score(ctx, s, x, []float64{t}); err != nil {
			return out, err
		}
		next := sch.TimeOfLambda(l0 + (l1-l0)*float64(step+1)/pilotSteps)
		next = min(max(next, sch.Tmin()), sch.Tmax())
		// Exponential integrator at h = 1 (package solver): x̂0 = (x + σ²s)/α constant over the step.
		delta := sch.Lambda(next) - sch.Lambda(t)
		a, sig, a1, sig1 := sch.Alpha(t), sch.Sigma(t), sch.Alpha(next), sch.Sigma(next)
		keep, jump, noise := a1/a*math.Exp(-2*delta), -math.Expm1(-2*delta)*a1/a, sig1*math.Sqrt(-math.Expm1(-2*delta))
		for i := range n {
			r := 0.0
			for j := i * d; j < i*d+d; j++ {
				r = math.Hypot(r, sig*s[j])
				x[j] = keep*x[j] + jump*(x[j]+sig*sig*s[j]) + noise*rng.NormFloat64()
			}
			norm[i] = r
		}
		lost := 0
		for i, r := range norm {
			if math.IsNaN(r) || math.IsInf(r, 0) {
				lost++
				norm[i] = math.MaxFloat64
			}
		}
		if lost > n/100 {
			return out, notFinite("for %d of %d paths at t = %.4g", lost, n, t)
		}
		slices.Sort(norm)
		out.peak = max(out.peak, norm[n-n/1000-lost])
		t = next
	}
	alpha := sch.Alpha(t)
	col := make([]float64, 0, n)
	for i := range d {
		col = col[:0]
		for j := i; j < n*d; j += d {
			if v := x[j] / alpha; !math.IsNaN(v) && !math.IsInf(v, 0) {
				col = append(col, v)
			}
		}
		slices.Sort(col)
		k := len(col) / 1000
		c := (col[k] + col[len(col)-1-k]) / 2
		for j, v := range col {
			col[j] = math.Abs(v - c)
		}
		slices.Sort(col)
		out.center[i], out.radius[i] = c, extrapolate(col)
	}
	return out, nil
}

// extrapolate returns the distance beyond which a fraction 10⁻⁸ lies, from sorted distances: r² is continued linearly in
// the logarithm of the fraction beyond it, from its values at 3 % and 0.2 % (33 paths: the slope is good to 6 %, which the
// 5 % on top allow for). Right for Gaussian tails, generous for bounded ones.
func extrapolate(r []float64) float64 {
	n := len(r)
	a, b := r[n-1-3*n/100], r[n-1-n/500]
	slope := (b*b - a*a) / math.Log(15)
	return 1.05 * math.Sqrt(b*b+slope*math.Log(2e-3/1e-8))
}
