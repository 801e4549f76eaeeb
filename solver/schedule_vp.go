package solver

import "math"

// The variance-preserving schedules are functions of B = −2 log α: α = e^{−B/2}, σ² = 1 − e^{−B}, λ = −½ log(e^B − 1).

func vpSigma2(b float64) float64 { return -math.Expm1(-b) }

func vpLambda(b float64) float64 {
	if b > 1 {
		return -(b + math.Log1p(-math.Exp(-b))) / 2 // e^B may overflow
	}
	return -math.Log(math.Expm1(b)) / 2
}

// vpB is the inverse of vpLambda: B = log(1 + e^{−2λ}).
func vpB(lambda float64) float64 {
	if lambda < 0 {
		return -2*lambda + math.Log1p(math.Exp(2*lambda))
	}
	return math.Log1p(math.Exp(-2 * lambda))
}

// Simple has a = −βt/2, g² = βt (arXiv:2403.11262, section 5.2; β = 20).
type Simple struct {
	Beta float64
	Span
}

func (s *Simple) Name() string                   { return "simple" }
func (s *Simple) b(t float64) float64            { return s.Beta * t * t / 2 }
func (s *Simple) Alpha(t float64) float64        { return math.Exp(-s.b(t) / 2) }
func (s *Simple) Sigma(t float64) float64        { return math.Sqrt(vpSigma2(s.b(t))) }
func (s *Simple) Sigma2(t float64) float64       { return vpSigma2(s.b(t)) }
func (s *Simple) Drift(t float64) float64        { return -s.Beta * t / 2 }
func (s *Simple) Diffusion2(t float64) float64   { return s.Beta * t }
func (s *Simple) Lambda(t float64) float64       { return vpLambda(s.b(t)) }
func (s *Simple) TimeOfLambda(l float64) float64 { return math.Sqrt(2 * vpB(l) / s.Beta) }
func (s *Simple) PriorStd() float64              { return 1 }
func (s *Simple) Params() map[string]float64     { return paramsOf(s) }
func (s *Simple) fields() map[string]*float64 {
	return map[string]*float64{"beta": &s.Beta, "tmin": &s.Start, "tmax": &s.End}
}
func (s *Simple) validate() error {
	return valid(s, condition{s.Beta > 0, "beta > 0"}, condition{s.Start > 0, "tmin > 0"})
}

// Cosine has α = cos(πt/2), σ = sin(πt/2), a = −(π/2) tan(πt/2), g² = π tan(πt/2) (arXiv:2403.11262, section 5.2).
type Cosine struct{ Span }

func (s *Cosine) Name() string { return "cosine" }

// cosHalfPi is cos(πt/2), accurate near t = 1, where 1 − t is exact.
func cosHalfPi(t float64) float64 {
	if t > 0.5 {
		return math.Sin(math.Pi / 2 * (1 - t))
	}
	return math.Cos(math.Pi / 2 * t)
}

func sinHalfPi(t float64) float64 { return math.Sin(math.Pi / 2 * t) }

func (s *Cosine) Alpha(t float64) float64      { return cosHalfPi(t) }
func (s *Cosine) Sigma(t float64) float64      { return sinHalfPi(t) }
func (s *Cosine) Sigma2(t float64) float64     { return sinHalfPi(t) * sinHalfPi(t) }
func (s *Cosine) Drift(t float64) float64      { return -math.Pi / 2 * sinHalfPi(t) / cosHalfPi(t) }
func (s *Cosine) Diffusion2(t float64) float64 { return math.Pi * sinHalfPi(t) / cosHalfPi(t) }
func (s *Cosine) Lambda(t float64) float64     { return math.Log(cosHalfPi(t) / sinHalfPi(t)) }
func (s *Cosine) TimeOfLambda(l float64) float64 {
	if l < 0 {
		return 1 - 2/math.Pi*math.Atan(math.Exp(l))
	}
	return 2 / math.Pi * math.Atan(math.Exp(-l))
}
func (s *Cosine) PriorStd() float64          { return 1 }
func (s *Cosine) Params() map[string]float64 { return paramsOf(s) }
func (s *Cosine) fields() map[string]*float64 {
	return map[string]*float64{"tmin": &s.Start, "tmax": &s.End}
}
func (s *Cosine) validate() error {
	return valid(s, condition{s.Start > 0, "tmin > 0"}, condition{s.End < 1, "tmax < 1"})
}

// VP has β(t) = β_min + t (β_max − β_min), a = −β/2, g² = β (Song 2021, arXiv:2011.13456, eq. 32; β from 0.1 to 20).
type VP struct {
	BetaMin, BetaMax float64
	Span
}

func (s *VP) Name() string                   { return "vp" }
func (s *VP) beta(t float64) float64         { return s.BetaMin + t*(s.BetaMax-s.BetaMin) }
func (s *VP) b(t float64) float64            { return t * (s.BetaMin + t*(s.BetaMax-s.BetaMin)/2) }
func (s *VP) Alpha(t float64) float64        { return math.Exp(-s.b(t) / 2) }
func (s *VP) Sigma(t float64) float64        { return math.Sqrt(vpSigma2(s.b(t))) }
func (s *VP) Sigma2(t float64) float64       { return vpSigma2(s.b(t)) }
func (s *VP) Drift(t float64) float64        { return -s.beta(t) / 2 }
func (s *VP) Diffusion2(t float64) float64   { return s.beta(t) }
func (s *VP) Lambda(t float64) float64       { return vpLambda(s.b(t)) }
func (s *VP) TimeOfLambda(l float64) float64 { return s.timeOfB(vpB(l)) }
func (s *VP) PriorStd() float64              { return 1 }
func (s *VP) Params() map[string]float64     { return paramsOf(s) }

// timeOfB solves b(t) = B, the root without cancellation.
func (s *VP) timeOfB(b float64) float64 {
	return 2 * b / (s.BetaMin + math.Sqrt(s.BetaMin*s.BetaMin+2*(s.BetaMax-s.BetaMin)*b))
}

func (s *VP) fields() map[string]*float64 {
	return map[string]*float64{"beta_min": &s.BetaMin, "beta_max": &s.BetaMax, "tmin": &s.Start, "tmax": &s.End}
}
func (s *VP) validate() error { return validVP(s, s) }

func validVP(named Schedule, s *VP) error {
	return valid(named, condition{s.BetaMin >= 0, "beta_min ≥ 0"}, condition{s.BetaMax >= s.BetaMin, "beta_max ≥ beta_min"},
		condition{s.BetaMax > 0, "beta_max > 0"}, condition{s.Start > 0, "tmin > 0"})
}

// SubVP has the drift of VP and g² = β (1 − α⁴), hence σ = 1 − α² (Song 2021, eq. 33). Here α² + σ² < 1.
type SubVP struct{ VP }

func (s *SubVP) Name() string               { return "subvp" }
func (s *SubVP) Sigma(t float64) float64    { return vpSigma2(s.b(t)) }
func (s *SubVP) Sigma2(t float64) float64   { v := vpSigma2(s.b(t)); return v * v }
func (s *SubVP) Params() map[string]float64 { return paramsOf(s) }
func (s *SubVP) validate() error            { return validVP(s, &s.VP) }

func (s *SubVP) Diffusion2(t float64) float64 { return s.beta(t) * -math.Expm1(-2*s.b(t)) }

// Lambda is −log(2 sinh(B/2)).
func (s *SubVP) Lambda(t float64) float64 {
	b := s.b(t)
	return -b/2 - math.Log(vpSigma2(b))
}

func (s *SubVP) TimeOfLambda(l float64) float64 {
	if l < -300 { // asinh(e^{−λ}/2) = −λ to all digits; e^{−λ} would overflow
		return s.timeOfB(-2 * l)
	}
	return s.timeOfB(2 * math.Asinh(math.Exp(-l)/2))
}
