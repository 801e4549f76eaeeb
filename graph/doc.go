// Package graph builds networks and their losses as Gorgonia expression graphs, has gorgonia.Grad differentiate them, and reads
// the result back as programs.
//
// The operations are those of package program/ops, wrapped as Gorgonia's: a node's gradient is emitted by the operation's own
// rule. Differentiate does so for any program. A Network is a chain of dense layers, which fused executors train; Machine runs
// its loss and gradient as a gorgonia.VM, on the CPU or a GPU.
//
// The nodes compute too, by the operations' references and slowly, so that gorgonia.NewTapeMachine runs the same graph: the
// check of everything that the transforms and kernels do.
//
// Legend: n samples of a batch, D coordinates of a sample, F time features; matrices are [rows, columns], row-major;
// weights are [out, in] as in PyTorch.
package graph

// Gorgonia panics at start unless this version of the module is linked in.
import _ "go4.org/unsafe/assume-no-moving-gc"
