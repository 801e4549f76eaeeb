// Package float16 reads numbers of half precision, IEEE 754's binary16.
package float16

import "math"

// Float32 is the value of a number's bits, a sign, 5 bits of exponent and 10 of mantissa. Every value is exact in float32.
func Float32(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exp := uint32(h>>10) & 31
	frac := uint32(h) & 1023
	switch exp {
	case 31: // Inf, NaN
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	case 0: // zero, subnormal: frac · 2⁻²⁴
		v := float32(frac) * 0x1p-24
		return math.Float32frombits(sign | math.Float32bits(v))
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}
