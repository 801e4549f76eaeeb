package kernels

import "math"

// Fill writes the Width() features of one time τ = c_noise(t) to dst. The phase f·τ is reduced in float64, so that large
// frequencies lose no accuracy: each sine and cosine is within one unit in the last place of its float32.
func (f TimeFeature) Fill(dst []float32, tau float64) {
	if f.Freqs == nil {
		dst[0] = float32(tau)
		return
	}
	n := len(f.Freqs)
	sin, cos := dst[:n], dst[n:2*n]
	for i, q := range f.Freqs {
		s, c := sincosTurns(float64(q) * tau)
		sin[i], cos[i] = float32(s), float32(c)
	}
}

// sincosTurns is sin 2πx and cos 2πx by Taylor series on an eighth of a turn to either side of the next quarter; the
// terms left out are below 2·10⁻¹⁰.
func sincosTurns(x float64) (sin, cos float64) {
	quarter := math.RoundToEven(4 * x)
	a := 2 * math.Pi * (x - quarter/4)
	b := a * a
	s := a * (1 - b*(1./6)*(1-b*(1./20)*(1-b*(1./42)*(1-b*(1./72)*(1-b*(1./110))))))
	c := 1 - b*(1./2)*(1-b*(1./12)*(1-b*(1./30)*(1-b*(1./56)*(1-b*(1./90)))))
	// In odd quarters sine and cosine change places; sines change sign in quarters 2 and 3, cosines in 1 and 2.
	q, u, v := uint64(int64(quarter)), math.Float64bits(s), math.Float64bits(c)
	swap := (u ^ v) & -(q & 1)
	return math.Float64frombits(u ^ swap ^ q&2<<62), math.Float64frombits(v ^ swap ^ (q+1)&2<<62)
}
