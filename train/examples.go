package train

import (
	"hbar/data"
	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/simd"
)

// examples draws the rows of batches for networks of images and sequences, as kernels.Batches says, from data that may be
// bytes; with labels, flips, dequantisation and stratified times. It is the fit.Source of such a run.
//
// Further numbers of a training sample come from its counter's blocks above kernels.ChoiceBlock: the next one decides on label
// and flip, those after it are the noise of dequantisation.
type examples struct {
	set     *data.Dataset
	o       Options
	times   times
	impl    *simd.Impl
	scratch [][]float32 // normals and a data row, by worker
}

func newExamples(set *data.Dataset, o Options, t times) *examples {
	return &examples{set: set, o: o, times: t, impl: simd.Best(), scratch: make([][]float32, o.Workers)}
}

// Fill draws rows Lo … Hi−1 of a step's batch.
func (b *examples) Fill(t *fit.Tile) {
	n, d := t.Hi-t.Lo, b.set.D
	ld := (d + 3) / 4 * 4
	if len(b.scratch[t.Worker]) < n*ld+d {
		b.scratch[t.Worker] = make([]float32, n*ld+d)
	}
	z, x0 := b.scratch[t.Worker][:n*ld], b.scratch[t.Worker][n*ld:n*ld+d]
	first := uint64(t.Step)*uint64(b.o.Batch) + uint64(t.Lo)
	for j := 0; j < d; j += 4 {
		b.impl.Normals4(z[j:], ld, b.o.Seed, kernels.StreamBatch, uint32(j/4), first, n)
	}
	for i := range n {
		sample := first + uint64(i)
		row, u := kernels.Choose(b.o.Seed, sample, uint64(b.set.N()))
		if b.o.Stratify {
			u = min((float64(t.Lo+i)+u)/float64(b.o.Batch), 1-0x1p-53) // rounding may give 1, which is beyond the last time
		}
		e := b.times.draw(u)
		b.row(x0, sample, int(row))
		if t.Label != nil {
			t.Label[i] = b.label(sample, int(row))
		}
		zi := z[i*ld:][:d]
		in, target := t.X[i*d:][:d], t.Target[i*d:][:d]
		for j, v := range x0 {
			in[j] = e.x0*v + e.z*zi[j]
			target[j] = e.targetX0*v + e.targetZ*zi[j]
		}
		t.Tau[i], t.Weight[i] = e.tau, e.weight
	}
}

// choice is the block of a sample's numbers that decides on label and flip.
func (b *examples) choice(sample uint64) [4]uint32 {
	return kernels.Block(b.o.Seed, kernels.StreamBatch, sample, kernels.ChoiceBlock+1)
}

// row writes data row i as training sample has it.
func (b *examples) row(dst []float32, sample uint64, i int) {
	b.set.NormalisedRow(dst, i)
	if b.o.Dequantise && b.set.Bytes != nil {
		b.dequantise(dst, sample)
	}
	if b.o.Flip && len(b.set.Shape) == 3 && b.choice(sample)[1]&1 == 1 {
		flip(dst, b.set.Shape)
	}
}

// dequantise adds noise, uniform on a step of the data, which is 1.
func (b *examples) dequantise(x []float32, sample uint64) {
	scale := b.set.Norm.Scale
	for j := 0; j < len(x); j += 4 {
		w := kernels.Block(b.o.Seed, kernels.StreamBatch, sample, kernels.ChoiceBlock+2+uint32(j/4))
		for k := j; k < min(j+4, len(x)); k++ {
			s := 1.0
			if len(scale) > 0 {
				s = scale[k%len(scale)]
			}
			x[k] += float32(float64(w[k-j]>>8) * 0x1p-24 / s)
		}
	}
}

// flip mirrors an image from left to right.
func flip(x []float32, shape []int) {
	w, c := shape[1], shape[2]
	for r := range shape[0] {
		row := x[r*w*c : (r+1)*w*c]
		for a, z := 0, w-1; a < z; a, z = a+1, z-1 {
			for k := range c {
				row[a*c+k], row[z*c+k] = row[z*c+k], row[a*c+k]
			}
		}
	}
}

// label is the label of data row i as the training sample has it; the number of classes stands for none.
func (b *examples) label(sample uint64, i int) float64 {
	if b.set.Labels == nil || float64(b.choice(sample)[0]) < b.o.LabelDropout*(1<<32) {
		return float64(b.set.Classes)
	}
	return float64(b.set.Labels[i])
}
