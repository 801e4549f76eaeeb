// Package infer runs a kernels.Chain forward on the CPU: values, directional derivatives, divergences, Taylor jets,
// first- and second-order adjoints, whole sampling trajectories, path-integral weights, and probability flows and WKB
// expansions on a mesh that all samples share.
//
// Samples are cut in tiles of some tens of rows. A tile passes through all layers (and, in Trajectory, PathWeights, Flow
// and Taylor, through all steps) while its activations and one panel of weights stay in cache; the workers take tiles from a
// common counter and do not wait for each other. Every number is the result of the same sequence of operations, whatever the
// tile, the worker or the position in the batch. So results are bit-identical for any Options.Workers, Options.Tile and any
// split of a batch. They differ by rounding between the implementations of package simd.
//
// Legend: n samples, D dimensions of a sample, k directions, τ (tau) the network's time input, w units of a layer,
// ld the row stride of a buffer (w padded to whole panels); all matrices row-major. n(x, τ) is the raw network: scores
// and preconditioning are the caller's.
//
// The first layer sees [x, φ(τ)], φ being the program's time feature. Its time part is accumulated first: the vector
// b + W_τ φ(τ) is made once for a τ that the whole batch shares (once for each row of a table) and serves as the bias
// of a product with D columns; with a τ for each sample the same sums are made in the tile. Both give the same bits.
package infer
