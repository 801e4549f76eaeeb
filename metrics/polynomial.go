package metrics

import (
	"context"

	"gonum.org/v1/gonum/mat"
)

// KernelDistance is the squared maximum mean discrepancy with the kernel (x·y/d + 1)³ between n and m points in d dimensions, as the
// unbiased U-statistic. It is what is called KID on the features of an Inception network (Bińkowski 2018, arXiv:1801.01401). It
// may be negative where the distance is near 0. groups 0: DefaultGroups. Cost: (n + m)²/2 products of d numbers.
func KernelDistance(ctx context.Context, x, y []float64, d, groups int) (*Resampled, error) {
	n, m, err := check(x, y, d)
	if err != nil {
		return nil, err
	}
	if groups, err = checkGroups(groups, n, m); err != nil {
		return nil, err
	}
	// Sums of the kernel between two groups, xx without the pairs of a point with itself.
	xx, yy, xy := make([]float64, groups*groups), make([]float64, groups*groups), make([]float64, groups*groups)
	err = eachRow(ctx, 3*groups*groups, func(_, i int) {
		k, a, b := i/(groups*groups), i/groups%groups, i%groups
		switch {
		case k == 0 && a <= b:
			xx[a*groups+b] = cubeSum(x, x, d, n, n, a, b, groups, a == b)
			xx[b*groups+a] = xx[a*groups+b]
		case k == 1 && a <= b:
			yy[a*groups+b] = cubeSum(y, y, d, m, m, a, b, groups, a == b)
			yy[b*groups+a] = yy[a*groups+b]
		case k == 2:
			xy[a*groups+b] = cubeSum(x, y, d, n, m, a, b, groups, false)
		}
	})
	if err != nil {
		return nil, err
	}
	r, err := resample(ctx, n, groups, func(g int) (float64, error) {
		var sxx, syy, sxy float64
		for a := range groups {
			for b := range groups {
				if a != g && b != g {
					sxx += xx[a*groups+b]
					syy += yy[a*groups+b]
					sxy += xy[a*groups+b]
				}
			}
		}
		xlo, xhi := group(g, groups, n)
		ylo, yhi := group(g, groups, m)
		N, M := float64(n-(xhi-xlo)), float64(m-(yhi-ylo))
		return sxx/(N*(N-1)) + syy/(M*(M-1)) - 2*sxy/(N*M), nil
	})
	if err == nil {
		r.centre(r.Plain) // which has no bias
	}
	return r, err
}

// cubeSum is Σ (x_i·y_j/d + 1)³ over group a of x and group b of y; with withoutSelf, without i = j.
func cubeSum(x, y []float64, d, n, m, a, b, groups int, withoutSelf bool) float64 {
	alo, ahi := group(a, groups, n)
	blo, bhi := group(b, groups, m)
	var k mat.Dense
	k.Mul(mat.NewDense(ahi-alo, d, x[alo*d:ahi*d]), mat.NewDense(bhi-blo, d, y[blo*d:bhi*d]).T())
	sum := 0.0
	raw := k.RawMatrix()
	for i := range raw.Rows {
		for j, v := range raw.Data[i*raw.Stride : i*raw.Stride+raw.Cols] {
			if withoutSelf && i == j {
				continue
			}
			v = v/float64(d) + 1
			sum += v * v * v
		}
	}
	return sum
}
