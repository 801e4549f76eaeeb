package metrics

import (
	"encoding/json"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// z95 is the 97.5 % quantile of the standard normal: intervals cover 95 %.
const z95 = 1.959963984540054

// Estimate is a number with its standard error and a 95 % confidence interval. What cannot be estimated (the error of one
// number) is NaN, and null in JSON.
type Estimate struct {
	Value, StdErr, Lo, Hi float64
}

// MarshalJSON writes NaN and Inf, which JSON lacks, as null.
func (e Estimate) MarshalJSON() ([]byte, error) {
	finite := func(v float64) *float64 {
		if v-v != 0 {
			return nil
		}
		return &v
	}
	return json.Marshal(struct {
		Value  *float64 `json:"value"`
		StdErr *float64 `json:"stderr"`
		Lo     *float64 `json:"lo"`
		Hi     *float64 `json:"hi"`
	}{finite(e.Value), finite(e.StdErr), finite(e.Lo), finite(e.Hi)})
}

// normal is an estimate with a symmetric interval.
func normal(value, stderr float64) Estimate {
	return Estimate{value, stderr, value - z95*stderr, value + z95*stderr}
}

// atLeast0 cuts the interval of a number that is not negative.
func (e Estimate) atLeast0() Estimate {
	e.Lo, e.Hi = max(e.Lo, 0), max(e.Hi, 0)
	return e
}

// sqrt is the estimate of the root: the interval's ends are those of the square; the standard error is to first order,
// and NaN at 0.
func (e Estimate) sqrt() Estimate {
	root := math.Sqrt(max(e.Value, 0))
	return Estimate{root, e.StdErr / (2 * root), math.Sqrt(max(e.Lo, 0)), math.Sqrt(max(e.Hi, 0))}
}

// scaled is the estimate of a multiple, by a factor > 0.
func (e Estimate) scaled(f float64) Estimate {
	return Estimate{e.Value * f, e.StdErr * f, e.Lo * f, e.Hi * f}
}

// meanVar is the mean and the unbiased variance; the variance of one number is NaN.
func meanVar(x []float64) (mean, variance float64) {
	for _, v := range x {
		mean += v
	}
	mean /= float64(len(x))
	for _, v := range x {
		variance += (v - mean) * (v - mean)
	}
	return mean, variance / float64(len(x)-1)
}

// meanEstimate is the mean of independent numbers with Student's interval.
func meanEstimate(x []float64) Estimate {
	m, v := meanVar(x)
	se := math.Sqrt(v / float64(len(x)))
	half := math.NaN()
	if n := len(x); n > 1 {
		half = se * distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(n - 1)}.Quantile(0.975)
	}
	return Estimate{m, se, m - half, m + half}
}
