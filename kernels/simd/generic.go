package simd

import (
	"fmt"
	"math"
)

var generic = &Impl{
	Name:      "generic",
	Product32: productGeneric[float32],
	Product64: productGeneric[float64],
	Act32:     actGeneric,
	Head32:    headGeneric,
	Update:    updateGeneric,
	Normals4:  normalsGeneric,
	Adam:      adamGeneric,
	Jet32:     jetGeneric[float32],
	Jet64:     jetGeneric[float64],
	Peak32:    peakGeneric[float32],
	Peak64:    peakGeneric[float64],
	Rows:      genericRows,
	Winograd:  genericWinograd,
}

// headGeneric sums in float64.
func headGeneric(out, h []float32, ld int, wt, bias []float32, m, w, outs int) {
	checkHead(out, h, ld, wt, bias, m, w, outs)
	for i := range m {
		row := h[i*ld:][:w]
		for o := range outs {
			s := float64(bias[o])
			for k, v := range wt[o*w:][:w] {
				s += float64(row[k]) * float64(v)
			}
			out[i*outs+o] = float32(s)
		}
	}
}

func checkHead(out, h []float32, ld int, wt, bias []float32, m, w, outs int) {
	if m < 0 || outs < 0 || ld < 0 || w < 0 || w%Panel32 != 0 {
		panic(fmt.Sprintf("simd: Head32: m=%d outs=%d ld=%d w=%d: sizes are not negative and w is a multiple of %d", m, outs, ld, w, Panel32))
	}
	if m == 0 || outs == 0 {
		return
	}
	need("Head32", "out", len(out), m*outs)
	need("Head32", "h", len(h), (m-1)*ld+w)
	need("Head32", "wt", len(wt), outs*w)
	need("Head32", "bias", len(bias), outs)
}

// updateGeneric adds the terms in the order of the documentation, one fma32 each after the first product.
func updateGeneric(x, s, m, z []float32, c *[8]float32) {
	checkUpdate(x, s, m, z)
	for i, xi := range x {
		a := fma32(c[1], s[i], c[0]*xi)
		b := fma32(c[5], s[i], c[4]*xi)
		if m != nil {
			a = fma32(c[2], m[i], a)
		}
		if z != nil {
			a = fma32(c[3], z[i], a)
			b = fma32(c[6], z[i], b)
		}
		x[i] = a
		if m != nil {
			m[i] = fma32(c[7], m[i], b)
		}
	}
}

func checkUpdate(x, s, m, z []float32) {
	need("Update", "s", len(s), len(x))
	if m != nil {
		need("Update", "m", len(m), len(x))
	}
	if z != nil {
		need("Update", "z", len(z), len(x))
	}
}

func adamGeneric(p, m, v, g, ema []float32, s *AdamStep) {
	checkAdam(p, m, v, g, ema)
	for i := range p {
		gi := g[i] * s.Scale
		m[i] = fma32(1-s.Beta1, gi-m[i], m[i])
		v[i] = fma32(s.Beta2, v[i], (1-s.Beta2)*(gi*gi))
		step := m[i] * s.C1 / (float32(math.Sqrt(float64(v[i]*s.C2))) + s.Eps)
		p[i] = fma32(-s.LR, fma32(s.Decay, p[i], step), p[i])
		if ema != nil {
			ema[i] = fma32(1-s.EMA, p[i]-ema[i], ema[i])
		}
	}
}

func checkAdam(p, m, v, g, ema []float32) {
	need("Adam", "m", len(m), len(p))
	need("Adam", "v", len(v), len(p))
	need("Adam", "g", len(g), len(p))
	if ema != nil {
		need("Adam", "ema", len(ema), len(p))
	}
}

// peakGeneric keeps twelve sums, each a scalar.
func peakGeneric[F Float](n int) int {
	var s [12]F
	a, b := F(0.5), F(1)
	for range n {
		for i := range s {
			s[i] = s[i]*a + b
		}
	}
	if s[0] > 2 {
		panic("simd: a sum that cannot exceed 2 did")
	}
	return 24 * n
}
