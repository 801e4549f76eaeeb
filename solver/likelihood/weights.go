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

// deltaStdErr is the standard error of logMeanExp(w) less that of v on the same paths (v nil: of w alone), by the delta
// method: that of the mean of e^{w}/q_w − e^{v}/q_v. NaN of a single path.
func deltaStdErr(w, v []float64) float64 {
	k := float64(len(w))
	if k < 2 {
		return math.NaN()
	}
	lw, lv := logMeanExp(w), 0.0
	if v != nil {
		lv = logMeanExp(v)
	}
	sum := 0.0
	for i := range w {
		r := math.Exp(w[i]-lw) - 1
		if v != nil {
			r = math.Exp(w[i]-lw) - math.Exp(v[i]-lv)
		}
		sum += r * r
	}
	return math.Sqrt(sum / (k * (k - 1)))
}

// effective is the effective sample size (Σ e^w)²/Σ e^{2w}.
func effective(w []float64) float64 {
	l := logMeanExp(w)
	sum := 0.0
	for _, v := range w {
		r := math.Exp(v - l)
		sum += r * r
	}
	return float64(len(w)) * float64(len(w)) / sum
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
