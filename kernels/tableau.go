package kernels

import (
	"fmt"
	"math"
)

// checkTableau reports why a, b, e and e3 are not the tableau of an explicit Runge–Kutta method. kind names the table
// (FlowTable, TaylorTable) in the error.
func checkTableau(kind string, a [][]float64, b, e, e3 []float64) error {
	s := len(a)
	switch {
	case s == 0 || len(b) != s || len(e) > s || len(e3) > s:
		return fmt.Errorf("kernels: %s table of %d stages with %d, %d and %d weights; want as many weights, at least one, and no more for the estimates", kind, s, len(b), len(e), len(e3))
	case e == nil && e3 != nil:
		return fmt.Errorf("kernels: %s table with the second error estimate and not the first", kind)
	}
	for i, row := range a {
		if len(row) > i {
			return fmt.Errorf("kernels: stage %d of a %s table takes %d others before it; want at most %d", i, kind, len(row), i)
		}
	}
	return nil
}

// checkStep reports why step i of a table is not valid: it has not as many stages as it should, or the sum of its numbers is not
// finite.
func checkStep(kind string, i int, step any, stages, want int, sum float64) error {
	if stages != want {
		return fmt.Errorf("kernels: step %d of a %s table has %d stages; want %d", i, kind, stages, want)
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		return fmt.Errorf("kernels: step %d of a %s table holds %+v; want finite numbers", i, kind, step)
	}
	return nil
}
