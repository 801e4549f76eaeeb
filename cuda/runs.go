package cuda

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"hbar/program"
	"hbar/program/ops"
)

// Runs reports why a program cannot run on a GPU, or nil: the operations that have no kernel there, by name. Chains of dense
// layers run as a whole (NewEngine) and are not asked for here.
func Runs(p *program.Program) error {
	var missing []string
	for _, in := range p.Instrs {
		switch in.Op.(type) {
		case ops.Dense, ops.Unary, ops.Concat, ops.Add, ops.Fourier:
			continue
		}
		if name := in.Op.Name(); !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	if missing == nil {
		return errors.New("cuda: the GPU runs chains of dense layers only, which this network is not; the CPU runs it")
	}
	return fmt.Errorf("cuda: no kernels for %s; the CPU has them", strings.Join(missing, ", "))
}
