package likelihood

import (
	"math"

	"hbar/solver/likelihood/ode"
)

// replicates are the results of the rows.
type replicates struct {
	divTerm, gradTerm []float64
	trust             []float64 // nil: not known
	status            []Status
	evals             []int
}

// summary averages the replicates lo to hi.
func (r *replicates) summary(lo, hi int, average func([]float64) (mean, stderr float64)) Estimate {
	e := Estimate{Status: OK, Trust: math.NaN()}
	total := make([]float64, 0, hi-lo)
	for i := lo; i < hi; i++ {
		e.Evals += r.evals[i]
		total = append(total, r.divTerm[i]+r.gradTerm[i])
		st := r.status[i]
		if st == OK && !finitePoint(total[i-lo:i-lo+1]) {
			st = NotFinite
		}
		if st != OK {
			e.Failed++
			if e.Status == OK {
				e.Status = st
			}
		}
	}
	if e.Status != OK {
		nan := math.NaN()
		e.L1, e.StdErr, e.DivTerm, e.DivTermStdErr, e.GradTerm, e.GradTermStdErr = nan, nan, nan, nan, nan, nan
		return e
	}
	e.L1, e.StdErr = average(total)
	if r.trust != nil {
		for _, v := range r.trust[lo:hi] {
			if !(e.Trust <= v) && !math.IsNaN(v) {
				e.Trust = v
			}
		}
	}
	e.DivTerm, e.DivTermStdErr = average(r.divTerm[lo:hi])
	e.GradTerm, e.GradTermStdErr = average(r.gradTerm[lo:hi])
	return e
}

// stratified is the mean of values from neighbouring strata, one each, and its standard error: with equal means nearby,
// half the sum of the squared differences of neighbours estimates the sum of the variances.
func stratified(v []float64) (mean, stderr float64) {
	mean, _ = meanStdErr(v)
	k := float64(len(v))
	if k < 2 {
		return mean, math.NaN()
	}
	sum := 0.0
	for i := range v[1:] {
		sum += (v[i+1] - v[i]) * (v[i+1] - v[i]) / 2
	}
	return mean, math.Sqrt(sum / (k * (k - 1)))
}

// groupMeans are the means of each size values.
func groupMeans(v []float64, size int) []float64 {
	means := make([]float64, len(v)/size)
	for i := range means {
		means[i], _ = meanStdErr(v[i*size : (i+1)*size])
	}
	return means
}

func newReplicates(res []ode.Result) *replicates {
	rep := &replicates{divTerm: make([]float64, len(res)), gradTerm: make([]float64, len(res))}
	for _, r := range res {
		rep.status = append(rep.status, r.Status)
		rep.evals = append(rep.evals, r.Evals)
	}
	return rep
}

// trustOf is the h at which the second order of the expansion reaches a tenth of the first, of a Gaussian in one dimension that is narrow
// beside the prior and has a score that is wrong by a factor 1 + ε (exact.Gaussian): there ratio = u²/(s u) at a time with
// λ − λ(Tmax) = span says how far the variance V of q⁰ is from that of the data noised to that time, v:
//
//	X = v/V     X = (1 + ε) ratio     log X = 2 ε span
//	log V^h = log V + h a + O(h²)     a = 2 span ((X − 1)/log X − 1) − log X
//
// and h |a| is the size of the second order beside the first. In more dimensions it is that of the directions in which log q⁰ is
// steepest. NaN where the ratio is none of a Gaussian.
func trustOf(ratio, span float64) float64 {
	x := ratio
	for range 50 { // a contraction where log ratio is small beside span, as it is for trained networks
		x = ratio * (1 + math.Log(x)/(2*span))
	}
	if !(x > 0) || !(span > 0) || math.IsInf(x, 1) {
		return math.NaN()
	}
	l := math.Log(x)
	growth := 1 + l/2 // (X − 1)/log X
	if math.Abs(l) > 1e-6 {
		growth = (x - 1) / l
	}
	return 0.1 / math.Abs(2*span*(growth-1)-l)
}
