package cuda

import (
	"hbar/cuda/programs"
	"hbar/program"
)

// Runs reports why a program cannot run on a GPU, or nil: an operation that has no kernel there nor a fallback of operations that have
// one, by name.
func Runs(p *program.Program) error { return programs.Runs(p) }
