package likelihood

import (
	"math"
	"math/rand/v2"
)

// weights are the log-weights of the paths of one point; those of q̂ = mean e^{w}.

// logMeanExp is log mean e^w, summed in float64 about the greatest weight.
func logMeanExp(w []float64) float64 {
	top := math.Inf(-1)
	for _, v := range w {
		top = max(top, v)
	}
	if math.IsInf(top, 0) {
		return top
	}
	sum := 0.0
	for _, v := range w {
		sum += math.Exp(v - top)
	}
	return top + math.Log(sum/float64(len(w)))
}

// shares are e^w over their sum. They are formed from differences of log-weights, which large numbers have exactly.
func shares(w []float64) []float64 {
	top := math.Inf(-1)
	for _, v := range w {
		top = max(top, v)
	}
	p := make([]float64, len(w))
	sum := 0.0
	for i, v := range w {
		p[i] = math.Exp(v - top)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// deltaStdErr is the standard error of logMeanExp(w) less that of v on the same paths (v nil: of w alone), by the delta
// method: that of the mean of e^{w}/q_w − e^{v}/q_v. NaN of a single path.
func deltaStdErr(w, v []float64) float64 {
	k := float64(len(w))
	if k < 2 {
		return math.NaN()
	}
	p := shares(w)
	var base []float64
	if v != nil {
		base = shares(v)
	}
	sum := 0.0
	for i := range p {
		r := k*p[i] - 1
		if v != nil {
			r = k * (p[i] - base[i])
		}
		sum += r * r
	}
	return math.Sqrt(sum / (k * (k - 1)))
}

// effective is the effective sample size (Σ e^w)²/Σ e^{2w}, from 1 to the number of paths.
func effective(w []float64) float64 {
	sum := 0.0
	for _, p := range shares(w) {
		sum += p * p
	}
	return min(max(1/sum, 1), float64(len(w)))
}

// Rounding of a log-weight: each of its terms has the relative error of the arithmetic that the states and the network have, and each
// addition that of float64. weightRounding is the error, in nats, from which on a value is not given.
const weightRounding = 0.1

// rounding bounds the error that rounding leaves in log-weights w, sums over so many steps, of a chain in arithmetic of the given
// relative precision.
func rounding(w []float64, steps int, precision float64) float64 {
	largest := 0.0
	for _, v := range w {
		largest = max(largest, math.Abs(v))
	}
	return largest * (precision + 0x1p-52*math.Sqrt(float64(steps)))
}

// bootstrapStdErr is the standard deviation of logMeanExp over resamples of w.
func bootstrapStdErr(w []float64, resamples int, src rand.Source) float64 {
	if len(w) < 2 {
		return math.NaN()
	}
	r := rand.New(src)
	top := logMeanExp(w)
	e := make([]float64, len(w))
	for i, v := range w {
		e[i] = math.Exp(v - top)
	}
	logs := make([]float64, resamples)
	for b := range logs {
		sum := 0.0
		for range w {
			sum += e[r.IntN(len(e))]
		}
		logs[b] = math.Log(sum / float64(len(e)))
	}
	_, stderr := meanStdErr(logs)
	return stderr * math.Sqrt(float64(resamples))
}
