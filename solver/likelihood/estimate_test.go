package likelihood

import (
	"math"
	"testing"

	"hbar/solver"
	"hbar/solver/exact"
)

// lopsided is a two-dimensional mixture with a wrong score: nothing vanishes by symmetry.
func lopsided(t testing.TB, s solver.Schedule) *exact.Mixture {
	t.Helper()
	m, err := exact.NewMixture(s, []float64{1, 2, 1}, [][]float64{{0.8, 0.2}, {-0.6, 0.3}, {0, -0.9}}, [][]float64{{0.1}, {0.2, 0.3}, {0.15}}, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

type estimateFunc func(o EstimateOptions, x []float64) ([]Estimate, error)

func estimators(m solver.Model, s solver.Schedule) map[string]estimateFunc {
	return map[string]estimateFunc{
		"dual":  func(o EstimateOptions, x []float64) ([]Estimate, error) { return EstimateDual(ctx, m, s, x, o) },
		"times": func(o EstimateOptions, x []float64) ([]Estimate, error) { return EstimateTimes(ctx, m, s, x, o) },
	}
}

// Unbiased, with honest errors: the values scatter about the exact ones as their standard errors say. Normal probes have
// heavy tails, and errors from a few dozen of them are not to be trusted.
func TestEstimatesAgreeWithExpansion(t *testing.T) {
	x := []float64{0.5, 0.4, -0.9, 0.1, 0.1, -0.5, 0.9, -0.3, -0.2, 0.6, 0.4, -1}
	names := []string{"simple", "edm"}
	if testing.Short() {
		x, names = x[:4], names[:1]
	}
	for _, name := range names {
		s := schedule(t, name)
		m := lopsided(t, s)
		want, err := Expand(ctx, m, s, x, ExpandOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for mode, f := range estimators(m, s) {
			for _, o := range []EstimateOptions{{Probes: 41, Inner: 1}, {Probes: 201, Inner: 1, Kind: Normal}, {Probes: 41}} {
				got, err := f(o, x)
				if err != nil {
					t.Fatal(err)
				}
				z2 := 0.0
				for i, e := range got {
					if e.Status != OK {
						t.Fatalf("%s %s: %+v", name, mode, e)
					}
					z := (e.L1 - want[i].L1) / (e.StdErr + 2e-3*math.Abs(want[i].L1)) // tolerance 10⁻³ of the integration
					z2 += z * z / float64(len(got))
					zs := (e.DivTerm - want[i].DivTerm) / (e.DivTermStdErr + 2e-3*math.Abs(want[i].DivTerm))
					zd := (e.GradTerm - want[i].GradTerm) / (e.GradTermStdErr + 2e-3*math.Abs(want[i].GradTerm))
					if !(math.Abs(z) < 4.5 && math.Abs(zs) < 4.5 && math.Abs(zd) < 4.5) {
						t.Errorf("%s %s %+v point %d: %+v, exact %g = %g + %g", name, mode, o, i, e, want[i].L1, want[i].DivTerm, want[i].GradTerm)
					}
				}
				if !(z2 < 3) {
					t.Errorf("%s %s %+v: mean squared deviation %.2f", name, mode, o, z2)
				}
			}
		}
	}
}

// D orthogonal probes inside and orthogonal groups of D tangents leave nothing to chance: the value is exact. The errors are
// those of the integration.
func TestOrthogonalProbesAreExact(t *testing.T) {
	g, m := loadGolden(t, "simple"), network(t, "simple")
	points := 8
	if testing.Short() {
		points = 1
	}
	got, err := EstimateDual(ctx, m, m.Schedule(), g.X[:2*points], EstimateOptions{Options: Options{Tol: 1e-4}, Probes: 4, Seed: 8})
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range got {
		if e.Status != OK || !(e.StdErr < 5e-3*max(1, math.Abs(e.L1))) { // nothing is left to chance, but groups differ by their integrations
			t.Errorf("point %d: %+v", i, e)
		}
		near(t, "ℓ₁ of the network", e.L1, g.L1[i], 2e-3) // the tolerance of 1e-4 of the integration, which ℓ₁ enlarges by its derivatives
	}
	// In ten dimensions a Gaussian: ℓ₁ is a sum over the dimensions.
	s := schedule(t, "vp")
	mean, variance := make([]float64, 10), make([]float64, 10)
	x := make([]float64, 10)
	for i := range mean {
		mean[i], variance[i], x[i] = 0.1*float64(i), 0.3+0.1*float64(i), 0.5-0.1*float64(i)
	}
	big, err := exact.NewGaussian(s, mean, variance, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	want := big.Expand(x, s.Tmin())
	for mode, f := range estimators(big, s) {
		got, err := f(EstimateOptions{Options: Options{Tol: 1e-6}, Probes: 20}, x)
		if err != nil {
			t.Fatal(err)
		}
		// 10⁻⁴: a Gaussian's third derivatives vanish, so that only v is random.
		if e := got[0]; !(math.Abs(e.L1-want.L1) < 4*e.StdErr+1e-4*math.Abs(want.L1)) {
			t.Errorf("%s in 10 dimensions: %+v, exact %g", mode, e, want.L1)
		}
	}
}

func TestEstimatesDoNotDependOnTheBatch(t *testing.T) {
	s := schedule(t, "simple")
	m := lopsided(t, s)
	x := []float64{0.5, 0.4, -0.9, 0.1}
	for mode, f := range estimators(m, s) {
		both, err := f(EstimateOptions{Probes: 4, Seed: 2}, x)
		if err != nil {
			t.Fatal(err)
		}
		second, err := f(EstimateOptions{Probes: 4, Seed: 2, Sample0: 1}, x[2:])
		if err != nil {
			t.Fatal(err)
		}
		if mode == "dual" { // which does not know it: NaN
			both[1].Trust, second[0].Trust = 0, 0
		}
		if both[1] != second[0] {
			t.Errorf("%s: in a batch %+v, alone %+v", mode, both[1], second[0])
		}
	}
}
