package main

import (
	"math"
	"math/rand/v2"

	"hbar/solver"
	"hbar/solver/exact"
)

// wrong is the relative error of the models' scores.
const wrong = 0.1

// gaussianOf is a Gaussian in d dimensions with unequal means and variances, and a score that is wrong.
func gaussianOf(d int) (*exact.Gaussian, solver.Schedule, error) {
	s, err := solver.NewSchedule("cosine", nil)
	if err != nil {
		return nil, nil, err
	}
	mean, variance := make([]float64, d), make([]float64, d)
	for i := range d {
		mean[i], variance[i] = 0.3*math.Sin(float64(i)), 0.2+0.8*float64(i)/float64(d)
	}
	g, err := exact.NewGaussian(s, mean, variance, wrong)
	return g, s, err
}

// mixtureOf are three Gaussians in d dimensions with a score that is wrong: nothing vanishes by symmetry.
func mixtureOf(d int) (*exact.Mixture, solver.Schedule, error) {
	s, err := solver.NewSchedule("simple", nil)
	if err != nil {
		return nil, nil, err
	}
	m, err := exact.NewMixture(s, []float64{1, 2, 1}, centres(d), [][]float64{{0.1}, {0.2}, {0.15}}, wrong)
	return m, s, err
}

func centres(d int) [][]float64 {
	out := make([][]float64, 3)
	for k := range out {
		for i := range d {
			out[k] = append(out[k], 0.8*math.Cos(float64(3*k+2*i)+float64(k*i)))
		}
	}
	return out
}

// inMixture is a point near one of the centres.
func inMixture(r *rand.Rand, d int) []float64 {
	x := centres(d)[r.IntN(3)]
	for i := range x {
		x[i] += 0.4 * r.NormFloat64()
	}
	return x
}

// drawn are n points of a Gaussian.
func drawn(r *rand.Rand, m exact.Moments, n int) []float64 {
	x := make([]float64, 0, n*len(m.Mean))
	for range n {
		for i, v := range m.Var {
			x = append(x, m.Mean[i]+math.Sqrt(v)*r.NormFloat64())
		}
	}
	return x
}

// expected is the mean of f over a Gaussian, for an f that is a sum of quadratic functions of the coordinates: the mean of its values at
// the two points that are a standard deviation from the mean in all coordinates.
func expected(m exact.Moments, f func(x []float64) float64) float64 {
	sum := 0.0
	for _, sign := range []float64{-1, 1} {
		x := make([]float64, len(m.Mean))
		for i := range x {
			x[i] = m.Mean[i] + sign*math.Sqrt(m.Var[i])
		}
		sum += f(x) / 2
	}
	return sum
}

// meanOf is the mean with its standard error.
func meanOf(x []float64) (mean, stderr float64) {
	n := float64(len(x))
	for _, v := range x {
		mean += v / n
	}
	for _, v := range x {
		stderr += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(stderr / (n * (n - 1)))
}
