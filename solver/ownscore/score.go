package ownscore

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"

	"hbar/solver"
)

// Score is a fitted c and ρ. It is a likelihood.Correction.
type Score struct {
	Schedule solver.Schedule
	D        int
	H        float64
	// Knots are values of λ, ascending. Between them weights are linear, beyond them constant.
	Knots []float64
	// Weights are those of the features at each knot, nil for c = 0. Their number and meaning is that of the kind (Kind).
	Weights [][]float64
	// Features is what c is made of.
	Features Kind
	// Shape is that of a point of the kind Filters: positions in one or two directions, and channels.
	Shape []int
	// Omega (m×D) and Phase (m) make the cosines cos(ω·y + b) of the kind Cosines.
	Omega, Phase []float64
	// Cap is the largest |σ c|; 0 for none.
	Cap float64
	// LogRho is log ρ at the knots.
	LogRho []float64
	// Chain is what the paths were of: sampler, grid and steps.
	Chain string
}

// at are the neighbours of λ and the share of the second.
func at(knots []float64, l float64) (i int, f float64) {
	i = min(max(sort.SearchFloat64s(knots, l)-1, 0), len(knots)-2)
	return i, min(max((l-knots[i])/(knots[i+1]-knots[i]), 0), 1)
}

// weights are those at t.
func (c *Score) weights(t float64) []float64 {
	i, f := at(c.Knots, c.Schedule.Lambda(t))
	w := make([]float64, len(c.Weights[0]))
	for k := range w {
		w[k] = (1-f)*c.Weights[i][k] + f*c.Weights[i+1][k]
	}
	return w
}

// Variance is ρ at t.
func (c *Score) Variance(t float64) float64 {
	if c.LogRho == nil {
		return 1
	}
	i, f := at(c.Knots, c.Schedule.Lambda(t))
	return math.Exp((1-f)*c.LogRho[i] + f*c.LogRho[i+1])
}

// scales are σ and 1/√(α² + σ²) at t.
func scales(s solver.Schedule, t float64) (sigma, norm float64) {
	sigma = s.Sigma(t)
	return sigma, 1 / math.Hypot(s.Alpha(t), sigma)
}

// Write writes c (n×D) at the points x with the model's score s there, all at the time t.
func (c *Score) Write(dst, x, s []float64, t float64) {
	clear(dst)
	if c.Weights == nil {
		return
	}
	sigma, norm := scales(c.Schedule, t)
	w, d := c.weights(t), c.D
	phi := make([]float64, c.features())
	for i := range len(x) / d {
		row := dst[i*d : (i+1)*d]
		c.row(row, phi, w, point{x: x[i*d : (i+1)*d], s: s[i*d : (i+1)*d], norm: norm, sigma: sigma, one: 1})
		size := 0.0
		for _, v := range row {
			size += v * v
		}
		scale := 1 / sigma
		if size = math.Sqrt(size); c.Cap > 0 && size > c.Cap {
			scale *= c.Cap / size
		}
		for j := range row {
			row[j] *= scale
		}
	}
}

// Validate refuses a score whose parts do not fit together.
func (c *Score) Validate() error {
	k := len(c.Knots)
	switch {
	case k < 2 || !slices.IsSorted(c.Knots) || c.Knots[0] == c.Knots[k-1]:
		return fmt.Errorf("ownscore: %d knots in λ; want two or more, ascending", k)
	case len(c.LogRho) != 0 && len(c.LogRho) != k:
		return fmt.Errorf("ownscore: %d values of ρ for %d knots", len(c.LogRho), k)
	case c.Weights != nil && len(c.Weights) != k:
		return fmt.Errorf("ownscore: weights at %d knots, of %d", len(c.Weights), k)
	}
	if err := c.checkKind(); err != nil {
		return err
	}
	want := c.weightsAtKnot()
	for _, w := range c.Weights {
		if len(w) != want {
			return fmt.Errorf("ownscore: %d weights at a knot; want %d", len(w), want)
		}
	}
	for _, list := range append([][]float64{c.Knots, c.LogRho, c.Omega, c.Phase, {c.Cap}}, c.Weights...) {
		for _, v := range list {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return errors.New("ownscore: a number is not finite")
			}
		}
	}
	return nil
}
