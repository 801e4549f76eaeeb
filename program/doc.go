// Package program describes a network as a straight-line program of operations.
//
//	value      an array with a shape for one sample, a role and a rate
//	op         an operation: shape rule, reference in float64, derivatives, cost (package program/ops has one file for each)
//	program    instructions that apply ops to values, each value written once
//	transform  a function from programs to programs: derivatives (program/diff), clean-up (Simplify)
//
// The batch dimension is not part of a program. A value of rate Sample has one array for each sample of a batch, values of
// the other rates have one array for all of them. Layouts are channels last: [H, W, C] for images, [T, C] for sequences, [C]
// for vectors.
//
// Derivative rules are builders: they emit ops to an Emitter, which is a program's Builder or a Gorgonia graph. So each rule
// is written once and serves gorgonia.Grad in training and the transforms in inference.
//
// Building a program panics with *Error where an op refuses its inputs; Build turns that into an error.
package program
