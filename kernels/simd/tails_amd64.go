//go:build !noasm

package simd

// Elements of one call of an elementwise kernel, and samples of one call for normals: about ten microseconds.
const (
	maxElems   = 1 << 13
	maxNormals = 1 << 10
)

// constants is the step in the order of the kernels (kernels/_asm, adam).
func (s *AdamStep) constants() [10]float32 {
	return [10]float32{1 - s.Beta1, s.Beta2, 1 - s.Beta2, s.C1, s.C2, s.Eps, s.Decay, -s.LR, 1 - s.EMA, s.Scale}
}

// peak runs n rounds in calls of a few microseconds.
func peak(f func(n int), n int) {
	for ; n > 0; n -= 1 << 10 {
		f(min(n, 1<<10))
	}
}
