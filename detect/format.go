package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"hbar/kernels"
)

// lattice is the step of a regular grid that all values stand on, or 0. It needs values that repeat: a set of few values
// and many numbers.
func lattice(x []float64) float64 {
	const most = 20_000
	if len(x) > most { // evenly over the set
		part := make([]float64, most)
		for i := range part {
			part[i] = x[i*len(x)/most]
		}
		x = part
	}
	v := slices.Clone(x)
	slices.Sort(v)
	n := len(v)
	v = slices.Compact(v)
	if len(v) < 2 || 4*len(v) > n {
		return 0
	}
	step := math.Inf(1)
	for i := 1; i < len(v); i++ {
		step = math.Min(step, v[i]-v[i-1])
	}
	for _, a := range v {
		k := (a - v[0]) / step
		if math.Abs(k-math.Round(k)) > 1e-3*math.Max(1, math.Abs(k)*1e-3) {
			return 0
		}
	}
	return step
}

// CheckFormat refuses sets that differ in how they were stored: values on a grid in one and not in the other, or on grids of
// different steps. The detector would distinguish them by that alone, with an AUC of 1.
func CheckFormat(data, generated []float64) error {
	a, b := lattice(data), lattice(generated)
	say := func(step float64) string {
		if step == 0 {
			return "on no grid"
		}
		return fmt.Sprintf("on a grid of step %.4g", step)
	}
	if a == 0 && b == 0 || a > 0 && b > 0 && math.Abs(a/b-1) < 1e-3 {
		return nil
	}
	return fmt.Errorf("detect: the data's values are %s and the samples' %s, which alone tells them apart; round both alike (--quantise %.4g)", say(a), say(b), math.Max(a, b))
}

// Quantise rounds values to multiples of a step and adds uniform noise of that width, so that what a format did before is
// gone. kind separates the random numbers of different sets of rows of d numbers.
func Quantise(x []float64, step float64, seed uint64, kind uint32, d int) {
	for i := 0; i < len(x); i += d {
		rng := rand.New(kernels.NewSource(seed, kernels.StreamData, uint64(kind)<<32|uint64(i/d)))
		for j := i; j < i+d; j++ {
			x[j] = step * (math.Round(x[j]/step) + rng.Float64() - 0.5)
		}
	}
}
