package nets

import (
	"hbar/program"
)

// Param describes a parameter.
type Param struct {
	Name string
	// Shape is that in the program.
	Shape []int
	// Published is the shape in published files. In a weight of a convolution the input's channels come second there; in the
	// program they come last.
	Published []int
	// Fixed parameters are not trained: positions, and frequencies of the time's embedding.
	Fixed bool

	// spatial is the number of values between a channel and the next in a published convolution; 0: no convolution, and the
	// values have one order in both layouts.
	spatial int
	init    draw
}

// Size is the number of values.
func (p *Param) Size() int { return program.Size(p.Shape) }

// SameLayout reports whether the values have one order in the program and in published files.
func (p *Param) SameLayout() bool { return p.spatial <= 1 || p.Published[1] == 1 }

// FromPublished returns values in the program's order for values in the published order. It is v itself where they are the
// same.
func (p *Param) FromPublished(v []float32) []float32 {
	if p.SameLayout() {
		return v
	}
	return transposed(v, p.Published[0], p.Published[1], p.spatial)
}

// ToPublished is the inverse of FromPublished.
func (p *Param) ToPublished(v []float32) []float32 {
	if p.SameLayout() {
		return v
	}
	return transposed(v, p.Published[0], p.spatial, p.Published[1])
}

// transposed turns each of n matrices [rows, cols] into [cols, rows].
func transposed(v []float32, n, rows, cols int) []float32 {
	out := make([]float32, len(v))
	for k := range n {
		a, b := v[k*rows*cols:(k+1)*rows*cols], out[k*rows*cols:(k+1)*rows*cols]
		for i := range rows {
			for j, x := range a[i*cols : (i+1)*cols] {
				b[j*rows+i] = x
			}
		}
	}
	return out
}
