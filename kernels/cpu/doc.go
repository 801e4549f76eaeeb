// Package cpu holds the CPU's kernels for general networks: plain functions over float32 slices, above the inner loops
// of package simd. Images are [n, H, W, C], channels last, sequences [n, T, C]; all matrices are row-major.
//
// Results do not depend on the number of workers, on the batch, or on how a batch is cut into parts: each sum has a
// fixed order, and how a layer is computed follows from its shape alone. They may differ between instruction sets.
//
// # Who computes what
//
// A Team of workers shares the work on one layer, and all wait for its end. An Executor that has samples for all workers gives each of them a lane
// instead, an executor of its own, in which it takes its samples through the whole program. docs/benchmarks.md says what that is worth.
//
// # Dense layers and convolutions
//
// Both are products by panels of 16 outputs (simd.Product) with weights packed once for each change of them. A Conv is
// computed in one of four ways:
//
//	1×1, stride 1, no padding            a Dense layer over pixels
//	3×3, stride 1, channels by sixteens  Winograd's F(2×2, 3×3): 16 products of channels in place of 36, forward and for both gradients
//	stride 1, to a few channels          narrow: each pixel's contributions by one product, then summed tap by tap
//	anything else                        im2col: the pixels under the kernel gathered a tile at a time, then a product
//
// Tiles of Winograd's transforms and rows of products are numbered through the batch, so that small images share a product.
// Where rows are few, the panels of outputs are shared out as well, so that one sample occupies all workers. Memory besides
// the weights is bounded: about one megabyte for each worker, and for gradients of weights four that the team shares, or what 128 tiles
// of Winograd's take if that is more (8 MB for 512 channels).
//
// Sums over inputs run in chains of 64 terms in the transform domain and of 256 elsewhere, whose results are added up. Sums over rows, for gradients of
// weights, are one chain in float32 for each part of a batch. A convolution of
// 128 channels is off by 2.8·10⁻⁷ of its root mean square, with F(2×2, 3×3) as with direct sums.
//
// Shares of the multiply-add peak with direct multiply-adds counted, one core of an EPYC of family 25 (Zen 4, 117 GFLOP/s with
// both instruction sets), medians of go test -bench 'Conv|Dense', of several runs beside other work the least disturbed one:
//
//	                                   AVX2: forward, dx, dw    AVX-512
//	3×3, 32×32, 128 → 128              206, 205, 185 %          199, 189, 189 %
//	3×3, 16×16, 256 → 256, n = 1       198, 199, 181            208, 207, 181
//	3×3, 8×8, 256 → 256, n = 8         201, 197, 166            204, 196, 178
//	3×3, 4×4, 256 → 256, n = 8         191, 192, 168            205, 207, 170
//	3×3, 28×28, 64 → 64                192, 189, 159            181, 177, 158
//	3×3, 7×7, 128 → 128 (8×8 computed) 160, 154, 151            149, 156, 142
//	3×3, stride 2, 32×32, 128 → 128    101, 81, 75              92, 83, 92
//	1×1, 16×16, 256 → 256              105, 99, 92              93, 96, 83
//	3×3, 32×32, 3 → 128; 128 → 3       71, 41, 46; 38, 43, 34   68, 51, 40; 46, 41, 38
//	dense 384 → 384; 192 → 768         99, 97, 90; 97, 97, 90   93, 97, 91; 99, 99, 91
package cpu
