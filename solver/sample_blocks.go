package solver

import (
	"context"

	"hbar/kernels"
)

// blockRun is what a run of Sample has of a schedule of matrices: the states of a chunk. The first of each block is handed on.
type blockRun struct {
	s       *Blocks
	denoise Denoise
	d       int
	z, m    []float64 // n×b×D, and n×D
	noise   []float32
}

func (r *blockRun) allocate(size, d int) {
	r.d = d
	r.z, r.m, r.noise = make([]float64, size*r.s.size*d), make([]float64, size*d), make([]float32, size*r.s.size*d)
}

// begin draws n states of the prior, with their positions in x.
func (r *blockRun) begin(x []float64, n int, no kernels.Noise) {
	b, d := r.s.size, r.d
	width := b * d
	kernels.Normals(r.noise, no, 0, n, width)
	eps := make([]float64, width)
	for i := range n {
		for j, v := range r.noise[i*width : (i+1)*width] {
			eps[j] = float64(v)
		}
		r.s.times(&r.s.prior, r.z[i*width:(i+1)*width], eps, d)
	}
	clear(r.m)
	r.positions(x, n)
}

// integrate runs steps on n states.
func (r *blockRun) integrate(ctx context.Context, x []float64, n int, steps []Propagator, no kernels.Noise, progress func(done int)) error {
	if err := Propagate(ctx, r.denoise, r.z[:n*r.s.size*r.d], r.m[:n*r.d], r.s.size, r.d, steps, no, progress); err != nil {
		return err
	}
	r.positions(x, n)
	return nil
}

func (r *blockRun) positions(x []float64, n int) {
	width := r.s.size * r.d
	for i := range n {
		copy(x[i*r.d:(i+1)*r.d], r.z[i*width:])
	}
}
