package solver

import (
	"fmt"
	"math"
)

// Grid says how the steps divide the time from Tmax down to Tmin.
type Grid uint8

const (
	GridTime   Grid = iota // uniform in t (arXiv:2403.11262)
	GridLambda             // uniform in λ = log(α/σ)
	GridKarras             // uniform in (σ/α)^{1/7} (Karras 2022, eq. 5, ρ = 7; ends at Tmin, no further step to σ = 0)
)

var gridNames = []string{"t", "lambda", "karras"}

// GridNames lists the grids.
func GridNames() []string { return append([]string(nil), gridNames...) }

// ParseGrid returns the grid of that name.
func ParseGrid(name string) (Grid, error) {
	for i, n := range gridNames {
		if n == name {
			return Grid(i), nil
		}
	}
	return 0, unknown("grid", name, gridNames)
}

// String is the name that ParseGrid takes.
func (g Grid) String() string { return gridNames[g] }

// Times returns the steps+1 times of the grid, strictly decreasing, the first exactly Tmax and the last exactly Tmin.
func (g Grid) Times(s Schedule, steps int) ([]float64, error) {
	if steps < 1 {
		return nil, fmt.Errorf("solver: %d steps; need at least 1", steps)
	}
	const rho = 7
	hi, lo := s.Tmax(), s.Tmin()
	if g != GridTime && lo == 0 && math.IsInf(s.Lambda(0), 1) {
		return nil, fmt.Errorf("solver: grid %q needs tmin > 0 on schedule %q", g, s.Name())
	}
	lambdaHi, lambdaLo := s.Lambda(hi), s.Lambda(lo)
	rootHi, rootLo := math.Exp(-lambdaHi/rho), math.Exp(-lambdaLo/rho)
	times := make([]float64, steps+1)
	for k := 1; k < steps; k++ {
		f := float64(k) / float64(steps)
		switch g {
		case GridTime:
			times[k] = hi - f*(hi-lo)
		case GridLambda:
			times[k] = s.TimeOfLambda(lambdaHi + f*(lambdaLo-lambdaHi))
		case GridKarras:
			times[k] = s.TimeOfLambda(-rho * math.Log(rootHi+f*(rootLo-rootHi)))
		}
	}
	times[0], times[steps] = hi, lo
	return times, checkTimes(s, times)
}

// checkTimes refuses times that do not decrease from Tmax to Tmin.
func checkTimes(s Schedule, times []float64) error {
	for k := 1; k < len(times); k++ {
		if !(times[k] < times[k-1]) {
			return fmt.Errorf("solver: schedule %q: %d steps are too fine for float64: time %d is %v after %v", s.Name(), len(times)-1, k, times[k], times[k-1])
		}
	}
	return nil
}
