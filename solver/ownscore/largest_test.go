package ownscore

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"hbar/solver"
	"hbar/solver/likelihood"
)

// The quantile is that of all values sorted, with infinities, equal values and what is not a number among them.
func TestLargest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 999, 1000, 1001, 5000} {
		all, kept := make([]float64, n), newLargest(n)
		for i := range all {
			switch all[i] = math.Floor(1e4 * r.Float64()); r.IntN(2000) {
			case 0:
				all[i] = math.NaN()
			case 1:
				all[i] = math.Inf(1)
			}
			kept.add(all[i])
		}
		slices.Sort(all)
		if got, want := kept.least(), all[n*999/1000]; got != want && (got == got || want == want) {
			t.Errorf("of %d values %g, want %g", n, got, want)
		}
		if len(kept.values) > 1+n/1000 {
			t.Errorf("of %d values %d are kept", n, len(kept.values))
		}
	}
}

// The variances of many steps are found without a list of the sizes of all paths at all of them.
func TestVariancesMemory(t *testing.T) {
	const d, n = 1, 100
	g, s := gaussian(t, d)
	taken := func(steps int) float64 {
		rows, err := table(s, 1, d, likelihood.PathOptions{Grid: solver.GridLambda, Steps: steps, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		w := &walk{model: g, s: s, rows: rows, n: n, seed: 1}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, _, err := w.variances(ctx, &Score{Schedule: s, D: d, H: 1, Features: Scalars, Knots: knots(s, 2)}); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return float64(after.TotalAlloc-before.TotalAlloc) / 8
	}
	few, many := taken(20), taken(220)
	t.Logf("%.0f numbers for 20 steps, %.0f for 220", few, many)
	// 200 more steps take 31 000 numbers, those of the model's scores; with a list of all values, which grows by doubling, 133 000
	if many-few > 3*n*200 {
		t.Errorf("%.0f numbers for 20 steps, %.0f for 220, of %d paths", few, many, n)
	}
}
