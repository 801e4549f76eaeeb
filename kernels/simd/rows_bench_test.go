package simd

import (
	"testing"
)

// BenchmarkRows runs the loops over rows on blocks of 64 rows of 128 channels, 32 KiB an array; softmax on rows of 256.
func BenchmarkRows(b *testing.B) {
	const rows, w = 64, 128
	m := func() []float32 { return random[float32](rows * w) }
	v := func() []float32 { return random[float32](w) }
	x, y, z, u := m(), m(), m(), m()
	a, c, d, e, s, s2 := v(), v(), v(), v(), v(), v()
	s64 := [2][]float64{make([]float64, w), make([]float64, w)}
	for _, job := range []struct {
		name string
		run  func(im *Impl)
	}{
		{"affine", func(im *Impl) { im.Affine(Identity, y, x, a, c, d) }},
		{"affineSilu", func(im *Impl) { im.Affine(SiLU, y, x, a, c, d) }},
		{"affineGradSilu", func(im *Impl) { im.AffineGrad(SiLU, y, z, x, a, c, d, s, s2) }},
		{"combine", func(im *Impl) { im.Combine(y, z, x, a, c, d, e) }},
		{"gate", func(im *Impl) { im.Gate(y, x, z, a) }},
		{"columnSums", func(im *Impl) { im.ColumnSums(s, x) }},
		{"moments64", func(im *Impl) { im.Moments64(s64[0], s64[1], x, a) }},
		{"layerNorm", func(im *Impl) { im.LayerNorm(y, x, a, c, 1e-6) }},
		{"layerNormGradSums", func(im *Impl) { im.LayerNormGrad(y, z, x, a, s, s2, 1e-6) }},
		{"add", func(im *Impl) { im.Add(y, x, z) }},
		{"sum4", func(im *Impl) { im.Sum4(y, x, z, u, z, 0.25) }},
		{"softmax256", func(im *Impl) {
			im.Softmax(y, x, 256, 256, rows*w/256, 1)
		}},
		{"softmaxGrad256", func(im *Impl) {
			im.SoftmaxGrad(y, x, z, 256, 256, rows*w/256, 1)
		}},
		{"packT", func(im *Impl) { im.PackT(y, x, 128, 64, 128) }},
	} {
		b.Run(job.name, func(b *testing.B) {
			benchEach(b, func(b *testing.B, im *Impl) {
				measure(b, func() { job.run(im) }, nil, rows*w, "Gelem", 0)
			})
		})
	}
}
