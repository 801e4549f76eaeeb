// Package ops has the operations of programs, a file for each family: shape rule, float64 reference, derivative rules, cost.
//
// Shapes are those of one sample: [H, W, C] images, [T, C] sequences, [C] vectors. Weights are [out, in] for dense layers
// and [out, kh, kw, in] for convolutions. Add and Mul broadcast as NumPy does.
//
// The types (Dense, Conv, …) are operations; the functions that take an Emitter emit one or a few of them.
package ops
