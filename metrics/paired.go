package metrics

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Paired compares two measurements of the same things, such as log densities of the same points at two values of h.
type Paired struct {
	N       int `json:"n"`       // pairs of finite values
	Dropped int `json:"dropped"` // the others

	Mean   Estimate `json:"mean"` // of a − b; the interval is Student's
	Median float64  `json:"median"`
	// P values, two-sided. PT is the paired t test's, for the mean. PWilcoxon is the signed-rank test's (normal
	// approximation with corrections for ties and continuity, zeros left out), for a shift of the median; it is
	// robust against heavy tails. 1 if all differences are 0.
	PT        float64 `json:"p_t"`
	PWilcoxon float64 `json:"p_wilcoxon"`
}

// ErrFewPairs is the error of a comparison without two pairs of finite values.
var ErrFewPairs = errors.New("metrics: fewer than two pairs of finite values")

// Compare tests a against b, pair by pair.
func Compare(a, b []float64) (*Paired, error) {
	if len(a) != len(b) {
		return nil, fmt.Errorf("metrics: %d values against %d; pairs need equal numbers", len(a), len(b))
	}
	var diff []float64
	for i := range a {
		if q := a[i] - b[i]; q-q == 0 { // finite
			diff = append(diff, q)
		}
	}
	n := len(diff)
	if n < 2 {
		return nil, ErrFewPairs
	}
	p := &Paired{N: n, Dropped: len(a) - n, Mean: meanEstimate(diff), Median: Median(diff), PT: 1, PWilcoxon: wilcoxon(diff)}
	switch m, se := p.Mean.Value, p.Mean.StdErr; {
	case se > 0:
		p.PT = 2 * distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(n - 1)}.Survival(math.Abs(m)/se)
	case m != 0:
		p.PT = 0 // every difference the same
	}
	return p, nil
}

// wilcoxon is the two-sided P value of the signed-rank test.
func wilcoxon(diff []float64) float64 {
	d := slices.DeleteFunc(slices.Clone(diff), func(v float64) bool { return v == 0 })
	if len(d) == 0 {
		return 1
	}
	slices.SortFunc(d, func(a, b float64) int { return cmp.Compare(math.Abs(a), math.Abs(b)) })
	n := float64(len(d))
	var plus, ties float64
	for i := 0; i < len(d); {
		j := i
		for j < len(d) && math.Abs(d[j]) == math.Abs(d[i]) {
			j++
		}
		rank := float64(i+j+1) / 2 // the mean of ranks i+1 … j
		for _, v := range d[i:j] {
			if v > 0 {
				plus += rank
			}
		}
		t := float64(j - i)
		ties += t*t*t - t
		i = j
	}
	mean := n * (n + 1) / 4
	sd := math.Sqrt(n*(n+1)*(2*n+1)/24 - ties/48)
	z := max(math.Abs(plus-mean)-0.5, 0) / sd
	return math.Erfc(z / math.Sqrt2)
}
