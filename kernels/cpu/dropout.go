package cpu

import "hbar/kernels"

// Dropout is the mask of a dropout layer: with probability drop/2³² an element is 0, otherwise Keep. Element i of the sample
// with counter s is dropped if word i mod 4 of the Philox block kernels.Block(Seed, Stream, s, i/4) is below Drop, so that a
// mask depends on nothing but these numbers.
type Dropout struct {
	Seed   uint64
	Stream uint32
	Drop   uint64
	Keep   float32
}

// Mask writes the masks of w elements of the samples with the given counters to y.
func (d Dropout) Mask(t *Team, y []float32, counters []float64, w int) {
	want("Dropout", "y", len(y), len(counters)*w)
	const part = 1 << 12
	parts := (w + part - 1) / part
	t.Run(len(counters)*parts, func(_, task int) {
		s := task / parts
		lo := task % parts * part
		hi := min(w, lo+part)
		for i := lo; i < hi; i += 4 {
			words := kernels.Block(d.Seed, d.Stream, uint64(counters[s]), uint32(i/4))
			for j := range min(4, hi-i) {
				v := d.Keep
				if uint64(words[j]) < d.Drop {
					v = 0
				}
				y[s*w+i+j] = v
			}
		}
	})
}
