// Package kernels holds what every executor of a score network shares: chains of dense layers, step tables, the tables of
// flows and expansions, and the counter-based random numbers. The packages below it do the work:
//
//	kernels/simd    the inner loops (generic Go, AVX2, AVX-512) behind one dispatch
//	kernels/infer   runs a Chain forward: values, tangents, Taylor jets, whole trajectories
//	kernels/fit     what trainers share: options, state, batches, results
//	kernels/learn   runs a Chain forward and backward with Adam: one training step
//
// Legend: n samples, d (or D) dimensions of a sample, w units of a layer; all matrices row-major.
package kernels
