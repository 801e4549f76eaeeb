package infer

import (
	"hbar/kernels"
	"hbar/kernels/simd"
)

// normals draws the standard normals of a tile's steps: those that kernels.Normals defines, a Philox block at a time.
// Where two steps share a block (⌈D/2⌉ odd) it is kept for the second.
type normals struct {
	impl    *simd.Impl
	noise   kernels.Noise
	d       int
	block   []float32 // the four normals of each sample in block last
	last    uint64
	sample0 uint64
	m       int
}

const noBlock = 1<<64 - 1

// start prepares for samples lo to lo+m of the run.
func (z *normals) start(lo, m int) {
	z.last, z.sample0, z.m = noBlock, z.noise.Sample0+uint64(lo), m
	z.block = grow(z.block, 4*m)
}

// fill writes the normals of one step to dst, m×D.
func (z *normals) fill(dst []float32, step uint32) {
	d, pairs := z.d, uint64((z.d+1)/2)
	first := uint64(step) * pairs
	if d%4 == 0 {
		for j := 0; j < d; j += 4 {
			z.impl.Normals4(dst[j:], d, z.noise.Seed, z.noise.Stream, uint32((first+uint64(j/2))/2), z.sample0, z.m)
		}
		return
	}
	for j := 0; j < d; j += 2 {
		pair := first + uint64(j/2)
		if pair/2 != z.last {
			z.last = pair / 2
			z.impl.Normals4(z.block, 4, z.noise.Seed, z.noise.Stream, uint32(z.last), z.sample0, z.m)
		}
		from := z.block[2*(pair%2):]
		if j+1 == d {
			for i := range z.m {
				dst[i*d+j] = from[4*i]
			}
			continue
		}
		for i := range z.m {
			dst[i*d+j], dst[i*d+j+1] = from[4*i], from[4*i+1]
		}
	}
}
