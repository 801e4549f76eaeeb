package likelihood

import (
	"math"

	"hbar/solver/likelihood/ode"
)

// replicates are the results of the rows.
type replicates struct {
	spread, drift []float64
	status        []Status
	evals         []int
}

// summary averages the replicates lo to hi.
func (r *replicates) summary(lo, hi int, average func([]float64) (mean, stderr float64)) Estimate {
	e := Estimate{Status: OK}
	total := make([]float64, 0, hi-lo)
	for i := lo; i < hi; i++ {
		e.Evals += r.evals[i]
		total = append(total, r.spread[i]+r.drift[i])
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
		e.L1, e.StdErr, e.Spread, e.SpreadStdErr, e.Drift, e.DriftStdErr = nan, nan, nan, nan, nan, nan
		return e
	}
	e.L1, e.StdErr = average(total)
	e.Spread, e.SpreadStdErr = average(r.spread[lo:hi])
	e.Drift, e.DriftStdErr = average(r.drift[lo:hi])
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
	rep := &replicates{spread: make([]float64, len(res)), drift: make([]float64, len(res))}
	for _, r := range res {
		rep.status = append(rep.status, r.Status)
		rep.evals = append(rep.evals, r.Evals)
	}
	return rep
}
