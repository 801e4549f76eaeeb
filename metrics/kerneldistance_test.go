package metrics

import (
	"context"
	"fmt"
	"math"
	"testing"
)

func TestDiscrepanciesAgainstScipy(t *testing.T) {
	for _, c := range readGolden(t).Discrepancy {
		x := points(3, c.N*c.D)
		y := moved(points(4, c.M*c.D), 0.75, 0.25)
		e, err := Energy(ctx, x, y, c.D)
		if err != nil {
			t.Fatal(err)
		}
		const rounding = 1e-14 // of sums over all pairs, of numbers of size one
		near(t, "energy", e.Squared.Value, c.Energy, rounding)
		m, err := MMD(ctx, x, y, c.D, c.Bandwidth)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "MMD²", m.Squared.Value, c.MMD, rounding)
		for bandwidth, want := range map[float64]float64{0: c.Energy, c.Bandwidth: c.MMD} {
			p, err := PermutationTest(ctx, x, y, c.D, &TestOptions{Permutations: 9, Bandwidth: bandwidth})
			if err != nil {
				t.Fatal(err)
			}
			near(t, "the test's statistic", p.Statistic, want, 2*rounding)
		}
	}
}

// Closed forms for N(0, I) against N(s, I) in d dimensions: with k(x,y) = exp(−|x−y|²/2b²), x − y is N(−s, 2I) and
// E k = (b²/(b²+2))^{d/2} exp(−|s|²/(2(b²+2))).
func TestMMDOfGaussians(t *testing.T) {
	const n, d, b = 1500, 2, 1.5
	x, y := normals(1, n, d), moved(normals(2, n, d), 1, 0.6, -0.3)
	m, err := MMD(ctx, x, y, d, b)
	if err != nil {
		t.Fatal(err)
	}
	v := b*b + 2.0
	want := 2 * math.Pow(b*b/v, d/2.0) * (1 - math.Exp(-(0.36+0.09)/(2*v)))
	near(t, "MMD²", m.Squared.Value, want, 4*m.Squared.StdErr)
	if !(m.Squared.StdErr < 0.2*want) { // else the comparison would say little
		t.Errorf("standard error %g of %g", m.Squared.StdErr, want)
	}
}

// In one dimension E|x − y| of N(s, 2) is 2/√π exp(−s²/4) + s erf(s/2).
func TestEnergyOfGaussians(t *testing.T) {
	const n, s = 2000, 0.8
	e, err := Energy(ctx, normals(1, n, 1), moved(normals(2, n, 1), 1, s), 1)
	if err != nil {
		t.Fatal(err)
	}
	want := 2*(2/math.Sqrt(math.Pi)*math.Exp(-s*s/4)+s*math.Erf(s/2)) - 4/math.Sqrt(math.Pi)
	near(t, "energy", e.Squared.Value, want, 4*e.Squared.StdErr)
	if !(e.Squared.StdErr < 0.2*want) { // the same
		t.Errorf("standard error %g of %g", e.Squared.StdErr, want)
	}
}

// The estimators are unbiased at equality: their mean over repetitions is 0 within its error, though single values scatter.
func TestUnbiasedAtEquality(t *testing.T) {
	const reps, n = 200, 30
	for name, f := range map[string]func(x, y []float64) (*Discrepancy, error){
		"MMD":    func(x, y []float64) (*Discrepancy, error) { return MMD(ctx, x, y, 2, 1) },
		"Energy": func(x, y []float64) (*Discrepancy, error) { return Energy(ctx, x, y, 2) },
	} {
		var v []float64
		for k := range reps {
			e, err := f(normals(uint64(2*k), n, 2), normals(uint64(2*k+1), n, 2))
			if err != nil {
				t.Fatal(err)
			}
			v = append(v, e.Squared.Value)
		}
		e := meanEstimate(v)
		near(t, name+" at equality", e.Value, 0, 4*e.StdErr)
	}
}

func TestDiscrepancyIntervalsCover(t *testing.T) {
	for name, f := range map[string]func(x, y []float64) (*Discrepancy, error){
		"MMD":    func(x, y []float64) (*Discrepancy, error) { return MMD(ctx, x, y, 2, 1) },
		"Energy": func(x, y []float64) (*Discrepancy, error) { return Energy(ctx, x, y, 2) },
	} {
		_, share := coverage(t, coverageReps, func(seed uint64) Estimate {
			e, err := f(normals(2*seed, 60, 2), moved(normals(2*seed+1, 80, 2), 0.7, 0.8, 0))
			if err != nil {
				t.Fatal(err)
			}
			return e.Squared
		})
		if share < coverageLow || share > coverageHigh {
			t.Errorf("%s: the 95 %% interval covers in %.0f %% of repetitions", name, 100*share)
		}
	}
}

func TestMedianBandwidth(t *testing.T) {
	// Distances 1, 1, 1, 2, 2, 3 of the points 0, 1, 2, 3.
	m, err := MMD(ctx, []float64{0, 1, 2}, []float64{3, 3, 3}, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if m.Bandwidth != 1 { // 15 distances: 0 ×3, 1 ×5, 2 ×4, 3 ×3
		t.Errorf("bandwidth %g, want the median distance 1", m.Bandwidth)
	}
}

// Under the hypothesis P is uniform on k/20; small shifts are found.
func TestPermutationTest(t *testing.T) {
	const reps = 200
	rejected := 0
	for k := range reps {
		p, err := PermutationTest(ctx, normals(uint64(2*k), 20, 2), normals(uint64(2*k+1), 30, 2), 2, &TestOptions{Permutations: 19, Seed: uint64(k)})
		if err != nil {
			t.Fatal(err)
		}
		if p.P <= 0.2 {
			rejected++
		}
	}
	// Binomial(200, 0.2): mean 40, deviation 5.7.
	if rejected < 17 || rejected > 63 {
		t.Errorf("P ≤ 0.2 in %d of %d tests of equal distributions, want about 40", rejected, reps)
	}
	for _, bandwidth := range []float64{0, 1} {
		x, y := normals(1, 400, 2), moved(normals(2, 400, 2), 1, 0.4, 0)
		p, err := PermutationTest(ctx, x, y, 2, &TestOptions{Bandwidth: bandwidth})
		if err != nil {
			t.Fatal(err)
		}
		if p.P != 1.0/200 || p.Permutations != 199 {
			t.Errorf("a shift of 0.4 in 400 points: P = %g of %d permutations, want 1/200", p.P, p.Permutations)
		}
	}
}

func TestNoiseFloor(t *testing.T) {
	var asked []int
	f, err := NoiseFloor(ctx, 3, func(k int) ([]float64, error) {
		asked = append(asked, k)
		return []float64{float64(k * k)}, nil
	}, func(_ context.Context, x, y []float64) (float64, error) { return y[0] - x[0], nil })
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(asked) != "[0 1 2 3 4 5]" || fmt.Sprint(f.Values) != "[1 5 9]" {
		t.Errorf("draws %v, distances %v", asked, f.Values)
	}
	if f.Mean.Value != 5 || f.StdDev != 4 || f.Min != 1 || f.Max != 9 {
		t.Errorf("%+v", f)
	}
	if _, err := NoiseFloor(ctx, 1, nil, nil); err == nil {
		t.Error("one pair: no error")
	}
}
