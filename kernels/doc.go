// Package kernels holds what every executor of a score network shares: the program a network is lowered to, the rows
// of a step table, and the counter-based random numbers. It computes nothing in bulk itself:
//
//	kernels/simd    the inner loops (generic Go, AVX2, AVX-512) behind one dispatch
//	kernels/infer   runs a Chain forward: values, tangents, Taylor jets, whole trajectories
//	kernels/fit     what trainers share: options, state, batches, results
//	kernels/learn   runs a Chain forward and backward with Adam: one training step
//
// Legend: n samples, d (or D) dimensions of a sample, w units of a layer; all matrices row-major.
package kernels
