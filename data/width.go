package data

import "math"

// Bounds within which float32 holds samples in data units.
const (
	float32Offset = 1 << 10 // a mean, in standard deviations: float32 rounds at 2⁻²⁴ of it, so at 2⁻¹⁴ of a standard deviation
	float32Large  = 1e36    // what may lie 30 standard deviations out stays finite
	float32Small  = 1e-34   // a standard deviation: below 1e-38 float32 loses digits
)

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
