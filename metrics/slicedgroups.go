package metrics

import (
	"context"
	"math"
)

// SlicedW2Squared is the square of SlicedW2, the mean over directions of W2² of the projections of x and y (n points each), with the error
// of the points by leaving out groups of them and of the choice of directions. groups 0: DefaultGroups.
func SlicedW2Squared(ctx context.Context, x, y []float64, d, groups int, o *SlicedOptions) (*Resampled, error) {
	o, k, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	n, err := checkEqual(x, y, d)
	if err != nil {
		return nil, err
	}
	if groups, err = checkGroups(groups, n, n); err != nil {
		return nil, err
	}
	squares := make([][]float64, k) // [direction][group + 1]
	err = eachRow(ctx, k, func(_, q int) {
		dir := direction(d, o.Seed, uint64(q))
		px, py := project(x, dir), project(y, dir)
		ox, oy := order(px), order(py)
		for g := -1; g < groups; g++ {
			lo, hi := group(g, groups, n)
			squares[q] = append(squares[q], sortedSquare(px, py, ox, oy, lo, hi))
		}
	})
	if err != nil {
		return nil, err
	}
	all := make([]float64, k)
	for q := range all {
		all[q] = squares[q][0]
	}
	r, err := resample(ctx, n, groups, func(g int) (float64, error) {
		mean := 0.0
		for q := range k {
			mean += squares[q][g+1] / float64(k)
		}
		return mean, nil
	})
	if err != nil {
		return nil, err
	}
	_, variance := meanVar(all)
	r.widened(math.Sqrt(variance / float64(k)))
	return r, nil
}

// sortedSquare is the mean squared difference of two sorted samples without the points lo … hi − 1 of each.
func sortedSquare(px, py []float64, ox, oy []int, lo, hi int) float64 {
	sum, n := 0.0, 0
	i, j := 0, 0
	outside := func(k int) bool { return k < lo || k >= hi }
	for {
		for i < len(ox) && !outside(ox[i]) {
			i++
		}
		for j < len(oy) && !outside(oy[j]) {
			j++
		}
		if i == len(ox) {
			return sum / float64(n)
		}
		t := px[ox[i]] - py[oy[j]]
		sum += t * t
		n++
		i++
		j++
	}
}
