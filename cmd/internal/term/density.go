package term

import (
	"image"
	"image/color"
	"math"
	"slices"
)

// Range is a stretch of an axis.
type Range struct{ Low, High float64 }

// holds reports whether a value is in the range; NaN is not.
func (r Range) holds(v float64) bool { return v >= r.Low && v <= r.High }

// cell is the number of the one of n equal parts of the range that v is in. Halves do not overflow.
func (r Range) cell(v float64, n int) int {
	return min(int((v/2-r.Low/2)/(r.High/2-r.Low/2)*float64(n)), n-1)
}

// trimmed is the share of values at either end of an axis that may be outside of it, so that a few far ones do not make all others
// one point.
const trimmed = 0.001

// equal is the relative difference below which values are drawn as if they were one.
const equal = 1e-9

// axis is a range that holds nearly all finite ones of the values. Without any it is −1 … 1.
func axis(values []float64) Range {
	values = slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	if len(values) == 0 {
		return Range{-1, 1}
	}
	slices.Sort(values)
	skip := int(trimmed * float64(len(values)))
	r := Range{values[skip], values[len(values)-1-skip]}
	if largest := max(math.Abs(r.Low), math.Abs(r.High)); !(r.High-r.Low > equal*largest) {
		centre, width := r.Low/2+r.High/2, max(largest, 1)
		return Range{centre - width/2, centre + width/2}
	}
	return r
}

// Density is how dense points in the plane are: the square root of their number in a cell, which shows thin parts too, as a colour of
// ramp, whose argument goes from 0 to 1. side is the number of cells in each direction. It returns the ranges of the axes and how many
// points are not finite or outside.
func Density(x, y []float64, side int, ramp func(float64) color.NRGBA) (m *image.NRGBA, xs, ys Range, outside int) {
	xs, ys = axis(x), axis(y)
	count := make([]float64, side*side)
	for i := range x {
		if !xs.holds(x[i]) || !ys.holds(y[i]) {
			outside++
			continue
		}
		count[(side-1-ys.cell(y[i], side))*side+xs.cell(x[i], side)]++
	}
	most := max(slices.Max(count), 1)
	m = image.NewNRGBA(image.Rect(0, 0, side, side))
	for i, n := range count {
		m.SetNRGBA(i%side, i/side, ramp(math.Sqrt(n/most)))
	}
	return m, xs, ys, outside
}

// Grey is the ramp of a picture without colours.
func Grey(v float64) color.NRGBA {
	g := uint8(math.Round(255 * v))
	return color.NRGBA{g, g, g, 0xff}
}

// Enlarge makes each pixel a square of them.
func Enlarge(m *image.NRGBA, by int) *image.NRGBA {
	r := m.Bounds()
	out := image.NewNRGBA(image.Rect(0, 0, r.Dx()*by, r.Dy()*by))
	for y := range r.Dy() * by {
		for x := range r.Dx() * by {
			out.SetNRGBA(x, y, m.NRGBAAt(r.Min.X+x/by, r.Min.Y+y/by))
		}
	}
	return out
}
