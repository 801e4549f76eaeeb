package metrics

import (
	"fmt"
	"math"
	"slices"
)

// LogLikelihood summarises the log densities of n samples in d dimensions. All means are over the samples with a finite
// log density; Failed counts the others.
//
// NLLNats refers to data units. It is the sum of two parts: the negative log density in the network's units, and
// ScalingNats, which the change of units brings (0 without normalisation).
type LogLikelihood struct {
	N      int `json:"n"`      // samples with a finite log density
	Failed int `json:"failed"` // the others

	NLLNats        Estimate `json:"nll_nats"`         // mean of −log q in nats per sample, base e, data units
	NLLNatsPerDim  Estimate `json:"nll_nats_per_dim"` // divided by d
	NLLBitsPerDim  Estimate `json:"nll_bits_per_dim"` // divided by d ln 2
	MedianNats     float64  `json:"median_nats"`      // median of −log q, data units
	ScalingNats    float64  `json:"scaling_nats"`     // per sample: Σ_j log(scale_j) = −log|∂y/∂x|
	NLLNetworkNats float64  `json:"nll_network_nats"` // mean of −log q in the network's units; plus ScalingNats it is NLLNats
}

// NLL summarises log densities in the network's units; logDet is log|∂y/∂x| of the normalisation (its LogDet(d)), so that
// log q(x) = log q(y) + logDet.
func NLL(logQ []float64, d int, logDet float64) (*LogLikelihood, error) {
	if d < 1 {
		return nil, fmt.Errorf("metrics: d is %d; want at least 1", d)
	}
	var nll []float64
	for _, l := range logQ {
		if l-l == 0 { // finite
			nll = append(nll, -l-logDet)
		}
	}
	s := &LogLikelihood{N: len(nll), Failed: len(logQ) - len(nll), ScalingNats: -logDet}
	if s.N == 0 {
		return nil, fmt.Errorf("metrics: none of %d log densities is finite", len(logQ))
	}
	s.NLLNats = meanEstimate(nll)
	s.NLLNatsPerDim = s.NLLNats.scaled(1 / float64(d))
	s.NLLBitsPerDim = s.NLLNats.scaled(1 / (float64(d) * math.Ln2))
	s.MedianNats = Median(nll)
	s.NLLNetworkNats = s.NLLNats.Value + logDet
	return s, nil
}

// Median is the middle value, or the mean of the two; NaN of nothing.
func Median(x []float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	s := slices.Clone(x)
	slices.Sort(s)
	k := len(s) / 2
	if len(s)%2 == 1 {
		return s[k]
	}
	return s[k-1] + (s[k]-s[k-1])/2
}
