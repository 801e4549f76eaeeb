package loglik

import (
	"fmt"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/model"
	"hbar/solver"
)

// The names of --precision.
const (
	fp32 = "fp32"
	fp64 = "fp64"
)

// DefaultPrecision is float32: its rounding is about the default tolerance of the paths.
const DefaultPrecision = fp32

// DefineRun makes the options of the group Run.
func DefineRun(f *model.Flags, g *flags.Group) {
	f.DefineRun(g, []string{fp32, fp64}, "arithmetic inside the network along the paths of flow, on a GPU as on the CPU: fp32, which is good for errors of log q of 10⁻⁵, or fp64. Whatever it is, wkb is fp64 up to D = 3, the other methods are fp32, and states and sums are fp64")
	g.Refuse("precision", "f16", "half precision has too few digits for a density")
}

// ParsePrecision reads --precision.
func ParsePrecision(name string) (solver.Precision, error) {
	switch name {
	case fp32:
		return solver.Float32, nil
	case fp64:
		return solver.Float64, nil
	}
	return 0, fmt.Errorf("precision %q unknown; have %s, %s", name, fp32, fp64)
}
