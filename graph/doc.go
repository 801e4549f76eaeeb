// Package graph builds score networks as Gorgonia expression graphs and lowers them to programs of package kernels.
//
// A Network is a graph over coarse operations of this package (concat, dense, activations, add, loss), which
// gorgonia.Grad differentiates. Gorgonia does not run it: the graph is lowered once to straight-line programs, in which
// a dense layer has absorbed its activation, its residual sum and their backward forms. Chain is the forward part, for
// kernels/infer; Training has the gradient of the loss, for kernels/learn. Machine runs the latter as a gorgonia.VM.
//
// The operations compute too (Do), in plain Go and slowly, so that gorgonia.NewTapeMachine runs the same graph: the
// check of everything that lowering and the kernels do.
//
// Legend: n samples of a batch, D coordinates of a sample, F time features; matrices are [rows, columns], row-major;
// weights are [out, in] as in PyTorch.
package graph

// Gorgonia panics at start unless this version of the module is linked in.
import _ "go4.org/unsafe/assume-no-moving-gc"
