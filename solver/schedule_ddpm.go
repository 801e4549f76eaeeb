package solver

import (
	"math"
	"sort"
)

// DDPM is the discrete chain of Ho 2020 (arXiv:2006.11239) in continuous time: x_k = √(1 − β_k) x_{k−1} + √β_k z for
// k = 0 … N − 1, N = Steps. State k belongs to the time t = (k + 1)/N, and log ᾱ, ᾱ = α², is linear between the states, so
// that g² is constant there. Networks that embed time take N t − 1, which is k at the states (Prediction.Embedded).
//
// β grows linearly from BetaStart to BetaEnd, or, with Cosine, follows ᾱ(t) ∝ cos²((t + 0.008)/1.008 · π/2) with β ≤ 0.999
// (Nichol and Dhariwal 2021, arXiv:2102.09672), which diffusers calls squaredcos_cap_v2.
//
// On the grid of the states, N − 1 steps uniform in t from 1 to 1/N, the sampler exp is DDIM at h = 0 and DDPM with the
// posterior variance at h = 1. NewSchedule makes a DDPM; the zero value is not usable.
type DDPM struct {
	Cosine             bool
	BetaStart, BetaEnd float64 // of the linear β
	Steps              float64 // N, a whole number
	Span

	b []float64 // −log ᾱ at t = k/N, k = 0 … N
}

// maxDDPMSteps bounds the table of the states.
const maxDDPMSteps = 1 << 20

// Name is "ddpm", or "ddpm-cosine".
func (s *DDPM) Name() string {
	if s.Cosine {
		return "ddpm-cosine"
	}
	return "ddpm"
}

// beta is β_k.
func (s *DDPM) beta(k int) float64 {
	if !s.Cosine {
		return s.BetaStart + (s.BetaEnd-s.BetaStart)*float64(k)/(s.Steps-1)
	}
	bar := func(t float64) float64 {
		c := math.Cos((t + 0.008) / 1.008 * math.Pi / 2)
		return c * c
	}
	return math.Min(1-bar(float64(k+1)/s.Steps)/bar(float64(k)/s.Steps), 0.999)
}

// table fills b.
func (s *DDPM) table() {
	s.b = make([]float64, int(s.Steps)+1)
	for k := range int(s.Steps) {
		s.b[k+1] = s.b[k] - math.Log1p(-s.beta(k))
	}
}

// interval is k for which t lies between the states' times k/N and (k + 1)/N; ends continue beyond the table.
func (s *DDPM) interval(k float64) int { return int(min(max(k, 0), s.Steps-1)) }

// bOf is −log ᾱ at t.
func (s *DDPM) bOf(t float64) float64 {
	u := t * s.Steps
	k := s.interval(math.Floor(u))
	return s.b[k] + (u-float64(k))*(s.b[k+1]-s.b[k])
}

// Diffusion2 is constant between the states' times, and at one of them the value before it: that of the step that leads to
// the state, which a reverse step from there takes back. The states' times are recognised within their rounding.
func (s *DDPM) Diffusion2(t float64) float64 {
	k := s.interval(math.Ceil(t*s.Steps-1e-9) - 1)
	return (s.b[k+1] - s.b[k]) * s.Steps
}

func (s *DDPM) Alpha(t float64) float64    { return math.Exp(-s.bOf(t) / 2) }
func (s *DDPM) Sigma(t float64) float64    { return math.Sqrt(vpSigma2(s.bOf(t))) }
func (s *DDPM) Sigma2(t float64) float64   { return vpSigma2(s.bOf(t)) }
func (s *DDPM) Drift(t float64) float64    { return -s.Diffusion2(t) / 2 }
func (s *DDPM) Lambda(t float64) float64   { return vpLambda(s.bOf(t)) }
func (s *DDPM) PriorStd() float64          { return 1 }
func (s *DDPM) Params() map[string]float64 { return paramsOf(s) }

// TimeOfLambda implements Schedule.
func (s *DDPM) TimeOfLambda(l float64) float64 {
	b := vpB(l)
	k := s.interval(float64(sort.SearchFloat64s(s.b, b) - 1))
	return (float64(k) + (b-s.b[k])/(s.b[k+1]-s.b[k])) / s.Steps
}

func (s *DDPM) fields() map[string]*float64 {
	f := map[string]*float64{"steps": &s.Steps, "tmin": &s.Start, "tmax": &s.End}
	if !s.Cosine {
		f["beta_start"], f["beta_end"] = &s.BetaStart, &s.BetaEnd
	}
	return f
}

func (s *DDPM) validate() error {
	err := valid(s, condition{s.Steps == math.Trunc(s.Steps) && s.Steps >= 2 && s.Steps <= maxDDPMSteps, "a whole number of steps from 2 to 2²⁰"},
		condition{s.Cosine || s.BetaStart > 0, "beta_start > 0"}, condition{s.Cosine || s.BetaEnd >= s.BetaStart, "beta_end ≥ beta_start"},
		condition{s.Cosine || s.BetaEnd < 1, "beta_end < 1"}, condition{s.Start > 0, "tmin > 0"}, condition{s.End <= 1, "tmax ≤ 1"})
	if err == nil {
		s.table()
	}
	return err
}
