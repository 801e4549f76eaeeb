// Package cpu holds the CPU's kernels for general networks: plain functions over float32 slices, above the inner loops
// of package simd. Images are [n, H, W, C] with the channel fastest, sequences [n, T, C]; all matrices are row-major.
//
// Results do not depend on the number of workers, on the batch, or on how a batch is cut into parts: each sum has a
// fixed order, and how a layer is computed follows from its shape alone. They may differ between instruction sets.
package cpu
