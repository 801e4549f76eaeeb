package cpu

import (
	"hbar/kernels"
	"hbar/kernels/simd"
)

// Dropout writes y = x·mask/(1 - P): with probability P an element becomes zero. The backward form is the same, of dy.
//
// Element i of sample s uses word i mod 4 of the Philox block with counter (Block + i/4, Stream, sample Sample0 + s) and
// the seed as key (kernels.Block); it is kept if the word is at least P·2³². So a mask depends on nothing but these
// numbers. Layers and steps of one network differ in Block or in Sample0.
type Dropout struct {
	kernels.Noise
	Block uint32
	P     float64
}

// Apply works on n samples of w elements; y may be x.
func (d Dropout) Apply(t *Team, y, x []float32, n, w int) {
	want("Dropout", "x", len(x), n*w)
	want("Dropout", "y", len(y), n*w)
	if !(d.P >= 0 && d.P < 1) {
		panic("cpu: Dropout: P is at least 0 and less than 1")
	}
	limit := uint32(d.P * (1 << 32))
	scale := float32(1 / (1 - d.P))
	const part = 1 << 12
	parts := (w + part - 1) / part
	t.Run(n*parts, func(_, task int) {
		s := task / parts
		lo := task % parts * part
		hi := min(w, lo+part)
		for i := lo; i < hi; i += 4 {
			words := simd.Philox4x32([4]uint32{d.Block + uint32(i/4), d.Stream, uint32(d.Sample0 + uint64(s)), uint32((d.Sample0 + uint64(s)) >> 32)},
				[2]uint32{uint32(d.Seed), uint32(d.Seed >> 32)})
			for j := i; j < min(hi, i+4); j++ {
				v := float32(0)
				if words[j-i] >= limit {
					v = scale * x[s*w+j]
				}
				y[s*w+j] = v
			}
		}
	})
}
