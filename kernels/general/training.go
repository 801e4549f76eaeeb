package general

import (
	"hbar/kernels"
	"hbar/program"
)

// Training is what a back end's Trainer trains: a program with inputs x, target and weight, t if the network takes a time, and y and
// counter if it has labels and dropout; outputs "losses", and the gradients of the sum of losses.
type Training struct {
	Program *program.Program
	// Params are all parameters, in the order of the program, with the numbers from which training starts.
	Params []kernels.Param
	// Gradients are the outputs that are the gradients of Params; empty for parameters that are not trained.
	Gradients []string
}
