package data

import "math"

// Bounds within which float32 holds samples in data units.
const (
	float32Offset = 1 << 10 // a mean, in standard deviations: float32 rounds at 2⁻²⁴ of it, so at 2⁻¹⁴ of a standard deviation
	float32Large  = 1e36    // what may lie 30 standard deviations out stays finite
	float32Small  = 1e-34   // a standard deviation: below 1e-38 float32 loses digits
)

// Digits is the number of significant digits, from 4 to 17, in which numbers between low and high differ: four of the distance between
// these, after the digits that both have.
func Digits(low, high float64) int {
	size, half := max(math.Abs(low), math.Abs(high)), high/2-low/2 // a difference of halves does not overflow
	if !(half > 0) || math.IsInf(size, 0) {
		return 6
	}
	return min(17, 4+max(0, int(math.Ceil(math.Log10(size)-math.Log10(half)))))
}

// DType is the type of array that holds samples of d coordinates in data units: Float32, or Float64 where float32 rounds away some of
// what the network says of a coordinate.
func (no Normalisation) DType(d int) DType {
	for j := range d {
		mean, scale := math.Abs(at(no.Mean, j, 0)), at(no.Scale, j, 1)
		if mean > float32Offset*scale || mean > float32Large || scale > float32Large || scale < float32Small {
			return Float64
		}
	}
	return Float32
}
