package metrics

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// DefaultGroups is the default number of groups of the delete-a-group jackknife.
const DefaultGroups = 20

// Resampled is a distance of two samples with its bias and standard error by the delete-a-group jackknife (Kott, J. Official Stat.
// 17, 521, 2001). Group g is the g-th of G equal parts of consecutive points of the first sample, together with the g-th part of the
// second, if that is a sample and no file of moments. So points must be in random order. If the classes of points alternate, each group must hold all classes equally.
type Resampled struct {
	// Plain is the distance between all points. It exceeds that of the distributions by a bias of order 1/n.
	Plain float64 `json:"plain"`
	// Estimate is free of the bias of order 1/n: G·Plain − (G − 1)·(mean distance without a group), which extrapolates in 1/n. Its
	// standard error is that of the mean of Pseudo, its interval Student's with G − 1 degrees of freedom.
	Estimate Estimate `json:"estimate"`
	// Bias is Plain − Estimate.
	Bias float64 `json:"bias"`
	// Pseudo are the G pseudo-values G·Plain − (G − 1)·(distance without group g). Those of two samplers that share their noise
	// can be compared in pairs.
	Pseudo []float64 `json:"pseudo_values"`
}

// resample makes a Resampled of distances of a first sample of n points: without(−1) is that of all points, without(g) that without group g.
// Groups may differ by a point (Busing, Stat. Comput. 9, 3, 1999).
func resample(ctx context.Context, n, groups int, without func(g int) (float64, error)) (*Resampled, error) {
	values := make([]float64, groups+1)
	errs := make([]error, groups+1)
	if err := eachRow(ctx, groups+1, func(_, i int) { values[i], errs[i] = without(i - 1) }); err != nil {
		return nil, err
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	r := &Resampled{Plain: values[0]}
	value := 0.0
	for g, v := range values[1:] {
		lo, hi := group(g, groups, n)
		share := float64(hi-lo) / float64(n)
		r.Pseudo = append(r.Pseudo, (r.Plain-(1-share)*v)/share)
		value += share * r.Pseudo[g]
	}
	r.Estimate = meanEstimate(r.Pseudo)
	r.centre(value)
	return r, nil
}

// centre moves the estimate and its interval to the value, and sets the bias.
func (r *Resampled) centre(value float64) {
	e := &r.Estimate
	by := value - e.Value
	e.Value, e.Lo, e.Hi = value, e.Lo+by, e.Hi+by
	r.Bias = r.Plain - value
}

// widened adds, in quadrature, the standard error of a part of the distance that is the same for all groups.
func (r *Resampled) widened(stderr float64) {
	e := &r.Estimate
	e.StdErr = math.Hypot(e.StdErr, stderr)
	half := e.StdErr * distuv.StudentsT{Sigma: 1, Nu: float64(len(r.Pseudo) - 1)}.Quantile(0.975)
	e.Lo, e.Hi = e.Value-half, e.Value+half
}

// group is the range of group g of n points: none for g = −1.
func group(g, groups, n int) (lo, hi int) {
	if g < 0 {
		return 0, 0
	}
	return g * n / groups, (g + 1) * n / groups
}

// orDefault is the number of groups.
func orDefault(groups int) int {
	if groups == 0 {
		return DefaultGroups
	}
	return groups
}

// checkGroups sets the default and refuses what the samples are too small for.
func checkGroups(groups, n, m int) (int, error) {
	groups = orDefault(groups)
	if groups < 2 || n < 2*groups || m < 2*groups {
		return 0, fmt.Errorf("metrics: samples of %d and %d points in %d groups; want at least two groups, and two points in each: %d points", n, m, groups, 2*groups)
	}
	return groups, nil
}
