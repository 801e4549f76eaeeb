package solver

import (
	"math"

	"hbar/kernels"
)

// Sampler is a method for one step of the reverse process, for every h ≥ 0.
type Sampler uint8

const (
	// EulerMaruyama is the paper's sampler.
	EulerMaruyama Sampler = iota
	// Exponential holds the denoised state constant over a step and integrates the rest exactly: DDIM at h = 0, the
	// first-order SDE-DPM-Solver++ at h = 1.
	Exponential
	// Exponential2 is the second-order multistep method of this kind: the denoised state is taken to be linear in λ, through its
	// value in the step before (DPM-Solver++(2M) at h = 0). One evaluation a step.
	Exponential2
	// Heun is the stochastic Heun method, at h = 0 Heun's for the probability-flow ODE. Two evaluations a step.
	Heun
)

// samplers holds each method as data: its name, its orders for smooth scores, its rows a step and the rows themselves.
var samplers = [...]struct {
	name         string
	weak, strong float64
	stride       int
	rows         func(step) []kernels.Row
}{
	EulerMaruyama: {"em", 1, 1, 1, eulerMaruyama},
	Exponential:   {"exp", 1, 1, 1, exponential},
	Exponential2:  {"exp2", 2, 1, 1, exponential2},
	Heun:          {"heun", 2, 1, 2, heun},
}

// SamplerNames lists the samplers.
func SamplerNames() []string {
	names := make([]string, len(samplers))
	for i, m := range samplers {
		names[i] = m.name
	}
	return names
}

// ParseSampler returns the sampler of that name.
func ParseSampler(name string) (Sampler, error) {
	for i, m := range samplers {
		if m.name == name {
			return Sampler(i), nil
		}
	}
	return 0, unknown("sampler", name, SamplerNames())
}

// String is the name that ParseSampler takes.
func (m Sampler) String() string { return samplers[m].name }

// Order returns the weak and the strong order in the step: the errors of expectations and of paths on one Brownian
// motion. The noise is additive, so even Euler–Maruyama has strong order 1. At h = 0, without noise, both errors have
// the weak order.
func (m Sampler) Order() (weak, strong float64) { return samplers[m].weak, samplers[m].strong }

// step is one step of the reverse process from time t down to next; prev is the time before t, NaN on the first step.
type step struct {
	s             Schedule
	p             Prediction
	t, next, prev float64
	h             func(t float64) float64
}

// score returns a row with the network's inputs at t and the coefficients of c x + b s.
func (st step) score(t, c, b float64) kernels.Row {
	cin, p, q, tau := st.p.Coeffs(st.s, t)
	return kernels.Row{Tau: tau, Cin: cin, State: c + b*p, Net: b * q}
}

// drift returns the drift of the reverse process per unit of time towards Tmin, c x + b s.
func (st step) drift(t float64) (c, b float64) {
	return -st.s.Drift(t), (1 + st.h(t)) / 2 * st.s.Diffusion2(t)
}

// eulerMaruyama: x' = x − dt [a x − ((1+h)/2) g² s] + √(h g² dt) z, all at t (arXiv:2403.11262, eq. 9).
func eulerMaruyama(st step) []kernels.Row {
	dt := st.t - st.next
	c, b := st.drift(st.t)
	r := st.score(st.t, c*dt, b*dt)
	r.State++
	r.Noise = math.Sqrt(st.h(st.t) * st.s.Diffusion2(st.t) * dt)
	return []kernels.Row{r}
}

// heun: with f the drift and N the noise, x̃ = x + dt f(x, t) + N, x' = x + (dt/2) [f(x, t) + f(x̃, t')] + N. The first row
// makes x̃ and keeps m = x + (dt/2) f(x, t) + N, the second adds f(x̃, t'). The noise is additive; its variance over the
// step is the trapezoid rule's (dt/2)(h g² + h' g'²), correct to the order of the method.
func heun(st step) []kernels.Row {
	dt := st.t - st.next
	c, b := st.drift(st.t)
	r := st.score(st.t, c*dt, b*dt)
	r.KeepState, r.KeepNet = 1+r.State/2, r.Net/2
	r.State++
	r.Noise = math.Sqrt((st.h(st.t)*st.s.Diffusion2(st.t) + st.h(st.next)*st.s.Diffusion2(st.next)) * dt / 2)
	r.KeepNoise = r.Noise
	c, b = st.drift(st.next)
	q := st.score(st.next, c*dt/2, b*dt/2)
	q.Memory = 1
	return []kernels.Row{r, q}
}

// exponential: x' = (α'/α) e^{−(1+h)Δ} x + α' (1 − e^{−(1+h)Δ}) x̂0 + σ' √(1 − e^{−2hΔ}) z with Δ = λ' − λ. A varying h is
// taken at the middle of the step in λ.
func exponential(st step) []kernels.Row {
	r, _ := st.exponential()
	return []kernels.Row{r}
}

func (st step) exponential() (r kernels.Row, e expStep) {
	s := st.s
	lambda, lambdaNext := s.Lambda(st.t), s.Lambda(st.next)
	e.delta = lambdaNext - lambda
	// the middle lies within the step, whatever the rounding of the inverse
	mid := min(max(s.TimeOfLambda((lambda+lambdaNext)/2), st.next), st.t)
	e.h = st.h(mid)
	e.alpha = s.Alpha(st.next)
	y := (1 + e.h) * e.delta
	e.px, e.qn = st.p.Denoised(s, st.t)
	gain := -e.alpha * math.Expm1(-y)
	cin, _, _, tau := st.p.Coeffs(s, st.t)
	r = kernels.Row{Tau: tau, Cin: cin}
	r.State = e.alpha/s.Alpha(st.t)*math.Exp(-y) + gain*e.px
	r.Net = gain * e.qn
	r.Noise = s.Sigma(st.next) * math.Sqrt(-math.Expm1(-2*e.h*e.delta))
	return r, e
}

// expStep holds what the second order adds to: x̂0 = px x + qn n, α' and Δ.
type expStep struct{ h, alpha, delta, px, qn float64 }

// exponential2 adds α' [Δ − (1 − E)/(1 + h)] (x̂0 − x̂0_prev)/(λ − λ_prev), E = e^{−(1+h)Δ}, and keeps x̂0 in m. The first
// step has no predecessor and is of first order.
func exponential2(st step) []kernels.Row {
	r, e := st.exponential()
	r.KeepState, r.KeepNet = e.px, e.qn
	if !math.IsNaN(st.prev) {
		slope := e.alpha * linearGain(e.h, e.delta) / (st.s.Lambda(st.t) - st.s.Lambda(st.prev))
		r.State += slope * e.px
		r.Net += slope * e.qn
		r.Memory = -slope
	}
	return []kernels.Row{r}
}

// linearGain is Δ − (1 − e^{−(1+h)Δ})/(1 + h), by its series where the difference would cancel.
func linearGain(h, delta float64) float64 {
	y := (1 + h) * delta
	if y < 0.01 { // the next term, y⁶/720·2, is below 10⁻¹⁴ relative
		return y * y * (1.0/2 - y*(1.0/6-y*(1.0/24-y*(1.0/120-y/720)))) / (1 + h)
	}
	return (y + math.Expm1(-y)) / (1 + h)
}
