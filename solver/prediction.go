package solver

import (
	"fmt"
	"math"
	"strings"
)

// Target names what a network says about x_t = α x_0 + σ z.
type Target uint8

const (
	PredictScore Target = iota // the score itself (arXiv:2403.11262)
	PredictEps                 // the noise: z
	PredictX0                  // the data: x_0
	PredictV                   // v = α z − σ x_0 (Salimans 2022)
	PredictEDM                 // Karras' F, preconditioned in x/α and σ/α (arXiv:2206.00364, section 5)
)

var targetNames = []string{"score", "eps", "x0", "v", "edm"}

// Prediction says how the score follows from the raw network n:
//
//	s(x, t) = P(t) x + Q(t) n(Cin(t) x, τ(t))
//
// The zero value is score prediction.
type Prediction struct {
	Target Target
	// SigmaData is the standard deviation of the data that PredictEDM is preconditioned for; 0 means 0.5.
	SigmaData float64
	// TimeScale and TimeShift make the time that the network takes, TimeScale τ + TimeShift, of the τ of Coeffs. The zero value
	// of both is the identity. Embedded sets them for networks that embed times from 0 to 1000.
	TimeScale, TimeShift float64
}

// Embedded is p for networks that embed their time by sinusoids made for 0 to 1000, as U-Nets and transformers do: of a
// schedule of discrete states the network's time is the number of the state, elsewhere 1000 t.
func (p Prediction) Embedded(s Schedule) Prediction {
	p.TimeScale, p.TimeShift = 1000, 0
	if d, ok := s.(*DDPM); ok {
		p.TimeScale, p.TimeShift = d.Steps, -1
	}
	return p
}

// PredictionNames lists the prediction types.
func PredictionNames() []string { return append([]string(nil), targetNames...) }

// ParsePrediction returns the prediction of that name; set SigmaData on the result for data that is not of deviation 0.5.
func ParsePrediction(name string) (Prediction, error) {
	for i, n := range targetNames {
		if n == name {
			return Prediction{Target: Target(i)}, nil
		}
	}
	return Prediction{}, unknown("prediction", name, targetNames)
}

// Validate reports a target that does not exist or a SigmaData that is no deviation.
func (p Prediction) Validate() error {
	if int(p.Target) >= len(targetNames) {
		return fmt.Errorf("solver: no prediction %d; have %s", p.Target, strings.Join(targetNames, ", "))
	}
	if !(p.SigmaData >= 0) || math.IsInf(p.SigmaData, 1) {
		return fmt.Errorf("solver: prediction %q: sigma_data = %v; need a positive number, or 0 for 0.5", p, p.SigmaData)
	}
	if !(p.TimeScale >= 0) || math.IsInf(p.TimeScale, 1) || math.IsNaN(p.TimeShift) || math.IsInf(p.TimeShift, 0) || p.TimeScale == 0 && p.TimeShift != 0 {
		return fmt.Errorf("solver: prediction %q: the network's time is %v τ + %v; need a positive factor and finite numbers", p, p.TimeScale, p.TimeShift)
	}
	return nil
}

// String is the name that ParsePrediction takes.
func (p Prediction) String() string { return targetNames[p.Target] }

func (p Prediction) sigmaData() float64 {
	if p.SigmaData == 0 {
		return 0.5
	}
	return p.SigmaData
}

// Coeffs returns the coefficients of s = P x + Q n(cin x, tau). The time input is t, for PredictEDM log(σ/α)/4, each after
// TimeScale and TimeShift.
func (p Prediction) Coeffs(s Schedule, t float64) (cin, P, Q, tau float64) {
	alpha, sigma := s.Alpha(t), s.Sigma(t)
	cin, tau = 1, t
	switch p.Target {
	case PredictScore:
		Q = 1
	case PredictEps:
		Q = -1 / sigma
	case PredictX0:
		P, Q = -1/(sigma*sigma), alpha/(sigma*sigma)
	case PredictV: // ε = (σ x + α v)/(α² + σ²)
		r := alpha*alpha + sigma*sigma
		P, Q = -1/r, -alpha/(sigma*r)
	case PredictEDM:
		sd := p.sigmaData()
		S := math.Hypot(sigma, alpha*sd)
		cin, tau = 1/S, -s.Lambda(t)/4
		P, Q = -1/(S*S), sd*alpha/(sigma*S)
	}
	if p.TimeScale != 0 {
		tau = p.TimeScale*tau + p.TimeShift
	}
	return cin, P, Q, tau
}

// Denoised returns the coefficients of the denoised state x̂0 = (x + σ² s)/α = px x + qn n. They are not computed from those of the
// score, which would lose digits by cancellation.
func (p Prediction) Denoised(s Schedule, t float64) (px, qn float64) {
	alpha, sigma := s.Alpha(t), s.Sigma(t)
	switch p.Target {
	case PredictScore:
		return 1 / alpha, sigma * sigma / alpha
	case PredictEps:
		return 1 / alpha, -sigma / alpha
	case PredictX0:
		return 0, 1
	case PredictV:
		r := alpha*alpha + sigma*sigma
		return alpha / r, -sigma / r
	default: // PredictEDM: c_skip x/α + c_out F
		sd := p.sigmaData()
		S := math.Hypot(sigma, alpha*sd)
		return alpha * sd * sd / (S * S), sd * sigma / S
	}
}

// TrainCoeffs holds what one training example at one time needs. With x_t = Alpha x_0 + Sigma z,
//
//	w(t) |s(x_t, t) + z/σ|² = Weight |n(Cin x_t, Tau) − target|²,    target = TargetX0 x_0 + TargetZ z
type TrainCoeffs struct {
	Alpha, Sigma      float64
	Cin, Tau          float64
	TargetX0, TargetZ float64
	Weight            float64
}

// Train returns the coefficients of denoising score matching with weighting w at time t.
func (p Prediction) Train(s Schedule, w Weighting, t float64) TrainCoeffs {
	alpha, sigma := s.Alpha(t), s.Sigma(t)
	cin, _, q, tau := p.Coeffs(s, t)
	c := TrainCoeffs{Alpha: alpha, Sigma: sigma, Cin: cin, Tau: tau, Weight: w.Weight(s, p, t) * q * q}
	switch p.Target {
	case PredictScore:
		c.TargetZ = -1 / sigma
	case PredictEps:
		c.TargetZ = 1
	case PredictX0:
		c.TargetX0 = 1
	case PredictV:
		c.TargetX0, c.TargetZ = -sigma, alpha
	case PredictEDM: // −(P x_t + z/σ)/Q, multiplied out
		sd := p.sigmaData()
		S := math.Hypot(sigma, alpha*sd)
		c.TargetX0, c.TargetZ = sigma/(sd*S), -alpha*sd/S
	}
	return c
}

// Weighting is the weight w(t) of the score-matching loss ½ E w |s + z/σ|².
type Weighting uint8

const (
	WeightG2     Weighting = iota // g², the bound on the path KL divergence (arXiv:2403.11262, Prop. 3.3)
	WeightSigma2                  // σ², the "simple" loss: every time's |ε̂ − z|² counts the same
	WeightEDM                     // Karras': the loss of the preconditioned network F counts the same at every time
)

var weightingNames = []string{"g2", "sigma2", "edm"}

// WeightingNames lists the weightings.
func WeightingNames() []string { return append([]string(nil), weightingNames...) }

// ParseWeighting returns the weighting of that name.
func ParseWeighting(name string) (Weighting, error) {
	for i, n := range weightingNames {
		if n == name {
			return Weighting(i), nil
		}
	}
	return 0, unknown("weighting", name, weightingNames)
}

// String is the name that ParseWeighting takes.
func (w Weighting) String() string { return weightingNames[w] }

// Weight is w(t). WeightEDM is (σ̃² + σ_data²)/(σ̃ σ_data)² on |x̂0 − x_0|², with σ̃ = σ/α, in terms of the score; it takes
// σ_data from p.
func (w Weighting) Weight(s Schedule, p Prediction, t float64) float64 {
	switch w {
	case WeightG2:
		return s.Diffusion2(t)
	case WeightSigma2:
		return s.Sigma2(t)
	default:
		alpha, sigma, sd := s.Alpha(t), s.Sigma(t), p.sigmaData()
		r := sigma * math.Hypot(sigma, alpha*sd) / (sd * alpha)
		return r * r
	}
}
