package data

import (
	"math"

	"hbar/kernels"
)

// draw gives the random numbers of one sample of a synthetic set, in float64. It keeps to arithmetic of our own
// (no math/rand distributions), so that a set is the same under every Go release.
type draw struct {
	sample uint64 // its number
	src    *kernels.Source
	spare  float64
	have   bool
}

func newDraw(seed, sample uint64) draw {
	return draw{sample: sample, src: kernels.NewSource(seed, kernels.StreamData, sample)}
}

// uniform is in the open interval (0, 1), on a grid of 2⁻⁵³.
func (r *draw) uniform() float64 {
	return (float64(r.src.Uint64()>>11) + 0.5) * 0x1p-53
}

// below is uniform on 0 … n−1, for n far below 2³² (the bias is n/2⁶⁴).
func (r *draw) below(n int) int {
	return int(r.uniform() * float64(n))
}

// normal is a standard normal, by Box–Muller.
func (r *draw) normal() float64 {
	if r.have {
		r.have = false
		return r.spare
	}
	radius := math.Sqrt(-2 * math.Log(r.uniform()))
	sin, cos := math.Sincos(2 * math.Pi * r.uniform())
	r.spare, r.have = radius*sin, true
	return radius * cos
}
