package train

import (
	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/simd"
)

// batches draws the rows of training batches, as kernels.Batches says; it is the fit.Source of a run.
type batches struct {
	x       []float32 // data in network units, n×D
	n       uint64
	d       int
	batch   uint64
	seed    uint64
	times   times
	impl    *simd.Impl
	scratch [][]float32 // normals, by worker
}

func newBatches(x []float32, d int, o Options, t times) *batches {
	return &batches{x: x, n: uint64(len(x) / d), d: d, batch: uint64(o.Batch), seed: o.Seed, times: t,
		impl: simd.Best(), scratch: make([][]float32, o.Workers)}
}

// Fill draws rows Lo … Hi−1 of a step's batch.
func (b *batches) Fill(t *fit.Tile) {
	n, d := t.Hi-t.Lo, b.d
	ld := (d + 3) / 4 * 4 // normals come in fours
	if len(b.scratch[t.Worker]) < n*ld {
		b.scratch[t.Worker] = make([]float32, n*ld)
	}
	z := b.scratch[t.Worker]
	first := uint64(t.Step)*b.batch + uint64(t.Lo)
	for j := 0; j < d; j += 4 {
		b.impl.Normals4(z[j:], ld, b.seed, kernels.StreamBatch, uint32(j/4), first, n)
	}
	for i := range n {
		row, u := kernels.Choose(b.seed, first+uint64(i), b.n)
		e := b.times.draw(u)
		x0 := b.x[row*uint64(d):][:d]
		zi := z[i*ld:][:d]
		in, target := t.X[i*d:][:d], t.Target[i*d:][:d]
		for j, v := range x0 {
			in[j] = e.x0*v + e.z*zi[j]
			target[j] = e.targetX0*v + e.targetZ*zi[j]
		}
		t.Tau[i], t.Weight[i] = e.tau, e.weight
	}
}

// describe returns the same batches as tables, for executors that draw them themselves.
func (b *batches) describe() *kernels.Batches {
	return &kernels.Batches{X: b.x, Seed: b.seed, Times: b.times.table()}
}
