package likelihood

import (
	"context"
	"fmt"
	"math"

	"hbar/solver"
)

// Richardson combines estimates of the chains of N and of ratio·N steps, made with independent seeds, into one of the
// continuous process: the chain's log q^h differs from it by O(1/N). The bound is that of the finer chain.
func Richardson(coarse, fine PathEstimate, ratio float64) PathEstimate {
	f := ratio / (ratio - 1)
	c := f - 1
	e := fine
	e.LogQ = f*fine.LogQ - c*coarse.LogQ
	e.StdErr = math.Hypot(f*fine.StdErr, c*coarse.StdErr)
	e.Diff = f*fine.Diff - c*coarse.Diff
	e.DiffStdErr = math.Hypot(f*fine.DiffStdErr, c*coarse.DiffStdErr)
	e.ESS = min(fine.ESS, coarse.ESS)
	e.Lost += coarse.Lost
	if fine.Status == OK {
		e.Status = coarse.Status
	}
	return e
}

// PathIntegralExtrapolated is PathIntegral with o.Steps and with half as many steps, extrapolated to infinitely many.
func PathIntegralExtrapolated(ctx context.Context, m solver.Model, s solver.Schedule, x, hs []float64, o PathOptions) ([][]PathEstimate, error) {
	if o.Steps == 0 {
		o.Steps = solver.DefaultSteps
	}
	if o.Steps < 2 || o.Steps%2 != 0 {
		return nil, fmt.Errorf("likelihood: extrapolation needs an even number of steps, not %d", o.Steps)
	}
	half := o
	half.Steps /= 2
	half.Seed ^= 0x9e3779b97f4a7c15 // other paths
	half.Own = nil
	if o.Progress != nil {
		// the coarse chains are a third of the work
		report := o.Progress
		half.Progress = func(done, total int) { report(done, 3*total) }
		o.Progress = func(done, total int) { report(total+2*done, 3*total) }
	}
	coarse, err := PathIntegral(ctx, m, s, x, hs, half)
	if err != nil {
		for i := range coarse { // nothing is extrapolated yet
			coarse[i] = nil
		}
		return interruptedPaths(coarse, hs), err
	}
	fine, err := PathIntegral(ctx, m, s, x, hs, o)
	if fine == nil {
		return nil, err
	}
	for i := range fine {
		for j := range fine[i] {
			fine[i][j] = Richardson(coarse[i][j], fine[i][j], 2)
		}
	}
	return fine, err
}
