package solver

import "math"

// VE is the geometric variance-exploding schedule, a = 0, g² = (σ²)' (Song 2021, arXiv:2011.13456, eq. 30).
//
// Two variants are in use: σ² = σmin²(σmax/σmin)^{2t} − σmin², which vanishes at t = 0, and the same without the offset.
// This is the one without, as in Song's published code (VESDE.marginal_prob): σ(0) = σmin, and the prior N(0, σmax² I) at
// Tmax = 1 has exactly the variance of the noise. Both have the same g².
type VE struct {
	SigmaMin, SigmaMax float64
	Span
}

func (s *VE) Name() string { return "ve" }

// rate is log(σmax/σmin).
func (s *VE) rate() float64 { return math.Log(s.SigmaMax / s.SigmaMin) }

func (s *VE) Alpha(float64) float64          { return 1 }
func (s *VE) Sigma(t float64) float64        { return s.SigmaMin * math.Exp(t*s.rate()) }
func (s *VE) Sigma2(t float64) float64       { v := s.Sigma(t); return v * v }
func (s *VE) Drift(float64) float64          { return 0 }
func (s *VE) Diffusion2(t float64) float64   { return 2 * s.rate() * s.Sigma2(t) }
func (s *VE) Lambda(t float64) float64       { return -math.Log(s.SigmaMin) - t*s.rate() }
func (s *VE) TimeOfLambda(l float64) float64 { return (-l - math.Log(s.SigmaMin)) / s.rate() }
func (s *VE) PriorStd() float64              { return s.Sigma(s.End) }
func (s *VE) Params() map[string]float64     { return paramsOf(s) }
func (s *VE) fields() map[string]*float64 {
	return map[string]*float64{"sigma_min": &s.SigmaMin, "sigma_max": &s.SigmaMax, "tmin": &s.Start, "tmax": &s.End}
}
func (s *VE) validate() error {
	return valid(s, condition{s.SigmaMin > 0, "sigma_min > 0"}, condition{s.SigmaMax > s.SigmaMin, "sigma_max > sigma_min"},
		condition{s.Start >= 0, "tmin ≥ 0"})
}

// EDM has a = 0, σ = t, g² = 2t (Karras 2022, arXiv:2206.00364, table 1); the prior is N(0, Tmax² I).
type EDM struct{ Span }

func (s *EDM) Name() string                   { return "edm" }
func (s *EDM) Alpha(float64) float64          { return 1 }
func (s *EDM) Sigma(t float64) float64        { return t }
func (s *EDM) Sigma2(t float64) float64       { return t * t }
func (s *EDM) Drift(float64) float64          { return 0 }
func (s *EDM) Diffusion2(t float64) float64   { return 2 * t }
func (s *EDM) Lambda(t float64) float64       { return -math.Log(t) }
func (s *EDM) TimeOfLambda(l float64) float64 { return math.Exp(-l) }
func (s *EDM) PriorStd() float64              { return s.End }
func (s *EDM) Params() map[string]float64     { return paramsOf(s) }
func (s *EDM) fields() map[string]*float64 {
	return map[string]*float64{"tmin": &s.Start, "tmax": &s.End}
}
func (s *EDM) validate() error { return valid(s, condition{s.Start > 0, "tmin > 0"}) }
