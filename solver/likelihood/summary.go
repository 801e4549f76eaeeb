package likelihood

import (
	"math"
	"slices"
)

// Summary describes values over points. Those that are not OK are left out of the mean and the median and counted: if
// there are any, the mean is that of the points that worked, not of the data.
type Summary struct {
	N       int // values that are OK
	Mean    float64
	StdErr  float64 // of the mean, over the points
	Median  float64
	Failed  int
	Reasons map[Status]int // of the failures, by status
}

// Summarize describes values[i] where status[i] is OK. The numbers are NaN if there are too few values.
func Summarize(values []float64, status []Status) Summary {
	s := Summary{Reasons: map[Status]int{}, Mean: math.NaN(), StdErr: math.NaN(), Median: math.NaN()}
	var good []float64
	for i, v := range values {
		if status[i] != OK {
			s.Failed++
			s.Reasons[status[i]]++
			continue
		}
		good = append(good, v)
	}
	if s.N = len(good); s.N == 0 {
		return s
	}
	s.Mean, s.StdErr = meanStdErr(good)
	slices.Sort(good)
	s.Median = (good[(s.N-1)/2] + good[s.N/2]) / 2
	return s
}
