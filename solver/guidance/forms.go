package guidance

import (
	"fmt"
	"math"
)

// Forms is r(x) = Σ_i A_i x_i − ½ Σ_j W_j (⟨F_j, x⟩ − C_j)²: linear forms of a sample that were measured with noise of variance 1/W_j, such as
// the means of blocks of pixels. Known coordinates are forms of one coordinate (FormsOf).
type Forms struct {
	A    []float64   // D
	F    [][]float64 // forms, D numbers each
	C, W []float64   // one for each form; W > 0
}

// FormsOf is a quadratic reward whose squares all have a minus as forms.
func FormsOf(q *Quadratic) (*Forms, error) {
	d := len(q.A)
	f := &Forms{A: q.A}
	for i, w := range q.W {
		if w < 0 {
			return nil, fmt.Errorf("guidance: the square of x%d has a plus: its expectation may be infinite, and has no closed form", i)
		}
		if w > 0 {
			row := make([]float64, d)
			row[i] = 1
			f.F, f.C, f.W = append(f.F, row), append(f.C, q.C[i]), append(f.W, w)
		}
	}
	return f, nil
}

// Value implements Reward.
func (f *Forms) Value(x []float64) float64 {
	r := dot(f.A, x)
	for j, row := range f.F {
		e := dot(row, x) - f.C[j]
		r -= 0.5 * f.W[j] * e * e
	}
	return r
}

// Grad implements Reward.
func (f *Forms) Grad(dst, x []float64) {
	copy(dst, f.A)
	for j, row := range f.F {
		c := f.W[j] * (dot(row, x) - f.C[j])
		for i, v := range row {
			dst[i] -= c * v
		}
	}
}

// Validate checks sizes and that the reward is finite.
func (f *Forms) Validate(d int) error {
	if len(f.A) != d || len(f.C) != len(f.F) || len(f.W) != len(f.F) {
		return fmt.Errorf("guidance: a reward of %d coordinates with %d forms, %d values and %d weights, for a model of %d", len(f.A), len(f.F), len(f.C), len(f.W), d)
	}
	for j, row := range f.F {
		if len(row) != d {
			return fmt.Errorf("guidance: form %d has %d numbers; the model has %d coordinates", j, len(row), d)
		}
		sum := f.C[j]
		for _, v := range row {
			sum += v
		}
		if math.IsNaN(sum) || math.IsInf(sum, 0) || !(f.W[j] > 0) || math.IsInf(f.W[j], 0) {
			return fmt.Errorf("guidance: form %d is not finite, or its weight %g is not positive", j, f.W[j])
		}
	}
	for i, v := range f.A {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("guidance: the factor of x%d is %g", i, v)
		}
	}
	return nil
}

// Scaled is the reward as a function of z for x_i = mean_i + scale_i z_i, but for a constant.
func (f *Forms) Scaled(mean, scale func(i int) float64) *Forms {
	d := len(f.A)
	out := &Forms{A: make([]float64, d), C: make([]float64, len(f.F)), W: f.W}
	for i, v := range f.A {
		out.A[i] = v * scale(i)
	}
	for j, row := range f.F {
		z := make([]float64, d)
		out.C[j] = f.C[j]
		for i, v := range row {
			z[i] = v * scale(i)
			out.C[j] -= v * mean(i)
		}
		out.F = append(out.F, z)
	}
	return out
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}
