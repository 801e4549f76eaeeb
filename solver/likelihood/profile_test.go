package likelihood

import (
	"math"
	"strings"
	"testing"

	"hbar/solver"
	"hbar/solver/exact"
)

func profile(t *testing.T, knots ...solver.Knot) solver.Strength {
	t.Helper()
	p, err := solver.Profile(knots...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestProfilePathIntegral: a profile that is the same everywhere gives the bits of the constant, and one that varies gives the density of the
// chain that solver.Sample runs with it, which is known in closed form for a Gaussian with a wrong score.
func TestProfilePathIntegral(t *testing.T) {
	s := schedule(t, "cosine")
	g, err := exact.NewGaussian(s, []float64{0.3, 0, -0.2}, []float64{0.5, 1, 0.3}, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{0.4, 0.2, -0.3, -0.5, 1.2, 0.1}
	for _, sampler := range []solver.Sampler{solver.EulerMaruyama, solver.Exponential} {
		o := PathOptions{Sampler: sampler, Grid: solver.GridLambda, Steps: 40, Paths: 2000, Seed: 3}
		run := func(p solver.Strength, h float64) [][]PathEstimate {
			q := o
			q.Profile = p
			got, err := PathIntegral(ctx, g, s, x, []float64{h}, q)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		flat, constant := run(profile(t, solver.Knot{H: 0.7, Lambda: -1}, solver.Knot{H: 0.7, Lambda: 2}), math.NaN()), run(solver.Strength{}, 0.7)
		varying := profile(t, solver.Knot{H: 0.2, Lambda: -2}, solver.Knot{H: 1.5, Lambda: 1}, solver.Knot{H: 0.6, Lambda: 3})
		table, err := solver.NewTable(s, solver.Prediction{}, solver.TableOptions{Sampler: sampler, Grid: solver.GridLambda, Steps: 40}.WithStrength(varying, s))
		if err != nil {
			t.Fatal(err)
		}
		want, err := g.Chain(table.Rows)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range run(varying, math.NaN()) {
			if flat[i][0].LogQ != constant[i][0].LogQ || flat[i][0].StdErr != constant[i][0].StdErr {
				t.Errorf("%v, point %d: %g of a flat profile, %g of the constant", sampler, i, flat[i][0].LogQ, constant[i][0].LogQ)
			}
			exact := want.LogDensity(x[3*i : 3*i+3])
			if v := e[0]; v.Status != OK || !(math.Abs(v.LogQ-exact) < 4.5*v.StdErr) || !(v.StdErr < 0.05) {
				t.Errorf("%v, point %d: log q = %g ± %g, exact %g", sampler, i, v.LogQ, v.StdErr, exact)
			}
		}
	}
	_, err = PathIntegral(ctx, g, s, x, []float64{1}, PathOptions{Profile: profile(t, solver.Knot{H: 0, Lambda: -4}, solver.Knot{H: 1, Lambda: 3}), Paths: 2, Steps: 4})
	if err == nil || !strings.Contains(err.Error(), "every knot's h must be above 0") {
		t.Errorf("a knot without noise: %v", err)
	}
}
