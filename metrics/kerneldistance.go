package metrics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
)

// kernel is a function of the squared distance of two points.
type kernel func(r2 float64) float64

// Discrepancy is an unbiased estimate of a squared distance of distributions. It may be negative when the distance is
// near 0.
type Discrepancy struct {
	Squared   Estimate `json:"squared"`
	Bandwidth float64  `json:"bandwidth,omitempty"` // of MMD
}

// MMD is the squared maximum mean discrepancy with the kernel exp(−|x−y|²/(2b²)) between x (n×d) and y (m×d), as the
// unbiased U-statistic (Gretton et al., JMLR 13, 723, 2012, eq. 3): E k(x,x') + E k(y,y') − 2 E k(x,y). Bandwidth b ≤ 0
// takes the median distance of pooled points.
//
// The standard error is the jackknife's. It describes samples of different distributions; for equal ones the statistic
// is not normal: use PermutationTest. Cost: (n+m)² kernel values.
func MMD(ctx context.Context, x, y []float64, d int, bandwidth float64) (*Discrepancy, error) {
	if _, _, err := check(x, y, d); err != nil {
		return nil, err
	}
	if bandwidth <= 0 {
		bandwidth = medianDistance(x, y, d)
	}
	if !(bandwidth > 0) || math.IsInf(bandwidth, 0) {
		return nil, fmt.Errorf("metrics: MMD needs a bandwidth; the median distance of the points is %g", bandwidth)
	}
	e, err := uStatistic(ctx, x, y, d, gaussian(bandwidth))
	return &Discrepancy{e, bandwidth}, err
}

// Energy is the squared energy distance 2 E|x−y| − E|x−x'| − E|y−y'| (Székely and Rizzo, J. Stat. Plan. Inference 143, 1249,
// 2013) between x (n×d) and y (m×d), as the unbiased U-statistic. Standard error and cost are as in MMD.
func Energy(ctx context.Context, x, y []float64, d int) (*Discrepancy, error) {
	if _, _, err := check(x, y, d); err != nil {
		return nil, err
	}
	e, err := uStatistic(ctx, x, y, d, minusDistance)
	return &Discrepancy{Squared: e}, err
}

func gaussian(bandwidth float64) kernel {
	f := -1 / (2 * bandwidth * bandwidth)
	return func(r2 float64) float64 { return math.Exp(f * r2) }
}

func minusDistance(r2 float64) float64 { return -math.Sqrt(r2) }

// medianDistance is the median over the pairs of up to 500 points of each sample.
func medianDistance(x, y []float64, d int) float64 {
	const most = 500
	n, m := len(x)/d, len(y)/d
	z := slices.Concat(stride(x, d, n, min(n, most)), stride(y, d, m, min(m, most)))
	k := len(z) / d
	row := make([]float64, k)
	all := make([]float64, 0, k*(k-1)/2)
	for i := range k {
		squaredDistances(row, z[i*d:(i+1)*d], z)
		all = append(all, row[i+1:]...)
	}
	slices.Sort(all)
	return math.Sqrt(all[len(all)/2])
}

// uStatistic is E k(x,x') + E k(y,y') − 2 E k(x,y) without the pairs of a point with itself, and its jackknife error.
func uStatistic(ctx context.Context, x, y []float64, d int, k kernel) (Estimate, error) {
	n, m := len(x)/d, len(y)/d
	if n < 3 || m < 3 {
		return Estimate{}, errors.New("metrics: samples of fewer than three points")
	}
	xx, xy, err := kernelSums(ctx, x, x, y, d, k)
	if err != nil {
		return Estimate{}, err
	}
	yy, yx, err := kernelSums(ctx, y, y, x, d, k)
	if err != nil {
		return Estimate{}, err
	}
	for i := range xx {
		xx[i] -= k(0)
	}
	for j := range yy {
		yy[j] -= k(0)
	}
	N, M := float64(n), float64(m)
	sxx, syy, sxy := sum(xx), sum(yy), sum(xy)
	value := sxx/(N*(N-1)) + syy/(M*(M-1)) - 2*sxy/(N*M)
	without := make([]float64, n)
	for i := range n {
		without[i] = (sxx-2*xx[i])/((N-1)*(N-2)) - 2*(sxy-xy[i])/((N-1)*M)
	}
	variance := jackknife(without)
	without = make([]float64, m)
	for j := range m {
		without[j] = (syy-2*yy[j])/((M-1)*(M-2)) - 2*(sxy-yx[j])/(N*(M-1))
	}
	return normal(value, math.Sqrt(variance+jackknife(without))), nil
}

// jackknife is the variance from the values without one point each (without what they share).
func jackknife(without []float64) float64 {
	n := float64(len(without))
	_, v := meanVar(without)
	return v * (n - 1) * (n - 1) / n
}

// kernelSums are Σ_j k(z_i, a_j) and Σ_j k(z_i, b_j) for each point z_i.
func kernelSums(ctx context.Context, z, a, b []float64, d int, k kernel) (sa, sb []float64, err error) {
	n := len(z) / d
	sa, sb = make([]float64, n), make([]float64, n)
	buf := buffers(max(len(a), len(b)) / d)
	err = eachRow(ctx, n, func(w, i int) {
		p := z[i*d : (i+1)*d]
		sa[i] = kernelSum(buf[w][:len(a)/d], p, a, k)
		sb[i] = kernelSum(buf[w][:len(b)/d], p, b, k)
	})
	return sa, sb, err
}

func kernelSum(buf, p, a []float64, k kernel) float64 {
	squaredDistances(buf, p, a)
	var s float64
	for _, r2 := range buf {
		s += k(r2)
	}
	return s
}

func sum(x []float64) float64 {
	var s float64
	for _, v := range x {
		s += v
	}
	return s
}
