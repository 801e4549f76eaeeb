package loglik

import (
	"fmt"
	"slices"

	"hbar/solver"
)

// ForSchedule adapts the options to a schedule of matrices. wide says that the methods were chosen by a word such as all, chosen that the
// sampler was named: what does not apply is left out, or refused where it was asked for by name.
func (o *Options) ForSchedule(s solver.Schedule, wide, chosen bool) error {
	b := solver.BlocksOf(s)
	if b == nil {
		return nil
	}
	if slices.Contains(o.Methods, FokkerPlanck) {
		if !wide {
			return fmt.Errorf("method fokkerplanck needs a grid over all dimensions of a state, and schedule %s has %d for each of the data; use pathintegral", b.Name(), b.Size())
		}
		o.Methods = slices.DeleteFunc(o.Methods, func(m Method) bool { return m == FokkerPlanck })
	}
	if !slices.Contains(o.Methods, PathIntegral) {
		return nil
	}
	if !chosen {
		o.Path.Sampler = solver.Exponential
	}
	if o.Path.Sampler != solver.Exponential {
		return fmt.Errorf("method pathintegral under schedule %s has the density of the chain of --sampler exp, not of %s", b.Name(), o.Path.Sampler)
	}
	return nil
}
