package kernels

import "math"

// Fill writes the Width() features of one time τ = c_noise(t) to dst. The phase f·τ is reduced to a turn in float64,
// so that large frequencies lose no accuracy.
func (f TimeFeature) Fill(dst []float32, tau float64) {
	if f.Freqs == nil {
		dst[0] = float32(tau)
		return
	}
	n := len(f.Freqs)
	dst = dst[:2*n]
	for i, q := range f.Freqs {
		turn := float64(q) * tau
		s, c := math.Sincos(2 * math.Pi * (turn - math.Round(turn)))
		dst[i], dst[n+i] = float32(s), float32(c)
	}
}
