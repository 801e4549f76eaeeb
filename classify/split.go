package classify

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"hbar/data"
	"hbar/kernels"
)

// Split takes test of the samples out of a set at random, by the seed, and returns the rest and those.
func Split(set *data.Dataset, test int, seed uint64) (rest, tests *data.Dataset, err error) {
	n := set.N()
	if test < 1 || test >= n {
		return nil, nil, fmt.Errorf("classify: %d samples held out of %d; want at least one, and one that is left", test, n)
	}
	order := rand.New(kernels.NewSource(seed, kernels.StreamResample, 0)).Perm(n)
	slices.Sort(order[:test])
	slices.Sort(order[test:])
	return subset(set, order[test:]), subset(set, order[:test]), nil
}

// subset is a copy of some samples.
func subset(set *data.Dataset, at []int) *data.Dataset {
	s := *set
	s.Choose(at)
	return &s
}
