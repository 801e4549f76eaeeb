// Package learn runs a kernels.ChainTraining on the CPU: one step of Adam on one batch.
//
// A step has three phases with a barrier after each:
//
//	tiles    rows [lo, hi) of the batch: draw, forward (f and f′), loss, backward to the gradients of the layers' sums
//	panels   the gradient of 16 output units of a layer, a sum over the whole batch in row order; checked to be finite
//	update   Adam on a panel, the averaged weights, the panel's copies in other layouts
//
// Every sum has a fixed order, whichever worker computes it, so results are bit-identical for any number of
// workers. Parameters are overwritten in the last phase only, after loss and gradient are known to be finite.
//
// Layout. Units are padded to multiples of 16 with zeros, which stay zero: f(0) = 0 for every activation, so padding
// has no gradient. A forward buffer has a column of ones behind its units; so a bias is one more row of its weight
// panel [out/16][in+1][16], and its gradient one more row of the product Xᵀ dZ. A last layer of at most 8 outputs is
// kept as [out][in+16] instead. Row strides are odd numbers of cache lines.
package learn
