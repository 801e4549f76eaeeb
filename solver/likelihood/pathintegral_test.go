package likelihood

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"testing"

	"context"

	"hbar/kernels"
	"hbar/solver"
	"hbar/solver/exact"
)

// The estimate against the exact density of the same discrete chain. With 8 values of each of some 50 settings, 4.5
// standard errors are passed by chance once in 400 runs, and the seed is fixed; the squared deviations must also average
// to one, or the errors were not what they say.
func TestPathIntegralIsExactForTheChain(t *testing.T) {
	x := []float64{0.1, -0.9, 0.5, 0.4}
	var z2 []float64
	for _, name := range solver.ScheduleNames() {
		s := schedule(t, name)
		g, err := exact.NewGaussian(s, []float64{0.3, -0.2}, []float64{0.5, 0.8}, 0.1)
		if err != nil {
			t.Fatal(err)
		}
		for _, sampler := range []solver.Sampler{solver.EulerMaruyama, solver.Exponential} {
			for _, grid := range []solver.Grid{solver.GridLambda, solver.GridTime} {
				if grid == solver.GridTime && name != "simple" && name != "vp" {
					continue // uniform t is too coarse elsewhere at this number of steps
				}
				hs := []float64{0.02, 0.1, 0.3, 1}
				o := PathOptions{Sampler: sampler, Grid: grid, Steps: 100, Paths: 400, Seed: 3}
				got, err := PathIntegral(ctx, g, s, x, hs, o)
				if err != nil {
					t.Fatal(err)
				}
				for j, h := range hs {
					table, err := solver.NewTable(s, solver.Prediction{}, solver.TableOptions{Sampler: sampler, Grid: grid, Steps: 100, H: h})
					if err != nil {
						t.Fatal(err)
					}
					chain, err := g.Chain(table.Rows)
					if err != nil {
						t.Fatal(err)
					}
					for i := range got {
						e := got[i][j]
						want := chain.LogDensity(x[2*i : 2*i+2])
						if e.Status != OK && e.Status != LowESS || e.H != h {
							t.Fatalf("%s %v %v h=%g: %+v", name, sampler, grid, h, e)
						}
						if e.Status == LowESS {
							t.Logf("%s %v %v h=%g: ESS %.0f, %.3f ± %.3f, exact %.3f", name, sampler, grid, h, e.ESS, e.LogQ, e.StdErr, want)
							continue
						}
						z := (e.LogQ - want) / e.StdErr
						z2 = append(z2, z*z)
						if !(math.Abs(z) < 4.5) {
							t.Errorf("%s %v %v h=%g: %.4f ± %.4f (ESS %.0f), exact %.4f", name, sampler, grid, h, e.LogQ, e.StdErr, e.ESS, want)
						}
						if !(e.Bound < e.LogQ) {
							t.Errorf("bound %g above the estimate %g", e.Bound, e.LogQ)
						}
					}
				}
			}
		}
	}
	mean, stderr := meanStdErr(z2)
	if !(len(z2) > 80 && math.Abs(mean-1) < 5*stderr) {
		t.Errorf("%d squared deviations average %.2f ± %.2f", len(z2), mean, stderr)
	}
}

// Differences in h have much smaller errors than the values, and cover the truth.
func TestCommonRandomNumbers(t *testing.T) {
	s := schedule(t, "simple")
	g, err := exact.NewGaussian(s, []float64{0}, []float64{0.5}, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	hs := []float64{0.3, 0.33}
	got, err := PathIntegral(ctx, g, s, []float64{0.7}, hs, PathOptions{Grid: solver.GridLambda, Steps: 400, Paths: 2000})
	if err != nil {
		t.Fatal(err)
	}
	want := g.LogQ([]float64{0.7}, hs[1], s.Tmin()) - g.LogQ([]float64{0.7}, hs[0], s.Tmin())
	e := got[0][1]
	if !(e.DiffStdErr < e.StdErr/3) || !(math.Abs(e.Diff-want) < 4*e.DiffStdErr+1e-3) { // 10⁻³: 400 steps
		t.Errorf("difference %.5f ± %.5f (value ± %.5f), exact %.5f", e.Diff, e.DiffStdErr, e.StdErr, want)
	}
	if d := got[0][0]; d.Diff != 0 || d.DiffStdErr != 0 {
		t.Errorf("difference of the first h from itself: %+v", d)
	}
}

// Richardson removes the error of first order in the steps.
func TestExtrapolation(t *testing.T) {
	s := schedule(t, "simple")
	g, err := exact.NewGaussian(s, []float64{0}, []float64{0.5}, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	x, h := []float64{1.2}, []float64{1.0}
	o := PathOptions{Grid: solver.GridLambda, Steps: 40, Paths: 20000}
	plain, err := PathIntegral(ctx, g, s, x, h, o)
	if err != nil {
		t.Fatal(err)
	}
	best, err := PathIntegralExtrapolated(ctx, g, s, x, h, o)
	if err != nil {
		t.Fatal(err)
	}
	want := g.LogQ(x, 1, s.Tmin())
	p, b := plain[0][0].LogQ-want, best[0][0].LogQ-want
	if !(math.Abs(p) > 5*plain[0][0].StdErr) || !(math.Abs(b) < math.Abs(p)/3) {
		t.Errorf("40 steps: off by %.4f ± %.4f, extrapolated %.4f ± %.4f", p, plain[0][0].StdErr, b, best[0][0].StdErr)
	}
}

func TestPathsDoNotDependOnTheBatch(t *testing.T) {
	s := schedule(t, "simple")
	g, err := exact.NewGaussian(s, []float64{0}, []float64{0.5}, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	o := PathOptions{Steps: 20, Paths: 50, Seed: 9}
	both, err := PathIntegral(ctx, g, s, []float64{0.3, -0.8}, []float64{0.5}, o)
	if err != nil {
		t.Fatal(err)
	}
	o.Sample0 = 1
	second, err := PathIntegral(ctx, g, s, []float64{-0.8}, []float64{0.5}, o)
	if err != nil {
		t.Fatal(err)
	}
	if both[1][0] != second[0][0] {
		t.Errorf("in a batch %+v, alone %+v", both[1][0], second[0][0])
	}
}

// The fused loop in float32 draws the same paths: weights agree to the rounding of the states, log-weights of order 10 at
// a relative 10⁻⁴.
func TestFusedAgreesWithReference(t *testing.T) {
	m := network(t, "simple")
	x := loadGolden(t, "simple").X[:8]
	for _, sampler := range []solver.Sampler{solver.EulerMaruyama, solver.Exponential} {
		o := PathOptions{Sampler: sampler, Grid: solver.GridLambda, Steps: 50, Paths: 40}
		fused, err := PathIntegral(ctx, m, m.Schedule(), x, []float64{0.05, 1}, o)
		if err != nil {
			t.Fatal(err)
		}
		o.Reference = true
		plain, err := PathIntegral(ctx, m, m.Schedule(), x, []float64{0.05, 1}, o)
		if err != nil {
			t.Fatal(err)
		}
		same := true
		for i := range fused {
			for j := range fused[i] {
				// Roundings of float32 in each step, times 1/C² of the weights, some hundred at h = 0.05.
				near(t, "fused log q", fused[i][j].LogQ, plain[i][j].LogQ, 1e-3)
				near(t, "fused bound", fused[i][j].Bound, plain[i][j].Bound, 1e-3)
				same = same && fused[i][j].LogQ == plain[i][j].LogQ
			}
		}
		if same {
			t.Error("the fused loop did not run")
		}
	}
}

// A trained network against an independent Fokker–Planck solution.
func TestPathIntegralMeetsFokkerPlanck(t *testing.T) {
	slow(t)
	raw, err := os.ReadFile("testdata/truth_sr_simple.json")
	if err != nil {
		t.Fatal(err)
	}
	var truth struct {
		H    []float64
		LogQ [][]float64 `json:"log_q"`
		Err  [][]float64
	}
	if err := json.Unmarshal(raw, &truth); err != nil {
		t.Fatal(err)
	}
	m := network(t, "simple")
	x := loadGolden(t, "simple").X[:16]
	got, err := PathIntegralExtrapolated(ctx, m, m.Schedule(), x, truth.H, PathOptions{Grid: solver.GridLambda, Steps: 200, Paths: 200, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	var z2 []float64
	for i := range got {
		for j, e := range got[i] {
			if e.H < 0.05 || e.Status != OK {
				continue
			}
			checked++
			z := (e.LogQ - truth.LogQ[j][i]) / math.Hypot(e.StdErr, truth.Err[j][i])
			z2 = append(z2, z*z)
			if !(math.Abs(z) < 4) {
				t.Errorf("point %d, h = %g: %.4f ± %.4f, Fokker–Planck %.4f", i, e.H, e.LogQ, e.StdErr, truth.LogQ[j][i])
			}
		}
	}
	mean, _ := meanStdErr(z2)
	t.Logf("%d values, mean squared deviation %.2f", checked, mean)
	if checked < 32 || !(mean < 1.7) {
		t.Errorf("%d values, mean squared deviation %.2f", checked, mean)
	}
}

// The delta method and the bootstrap agree on well-behaved weights, and both see the spread.
func TestStandardErrorsOfWeights(t *testing.T) {
	z := make([]float32, 2000)
	kernels.Normals(z, kernels.Noise{Seed: 5}, 0, 2000, 1)
	w := make([]float64, len(z))
	for i, v := range z {
		w[i] = 0.5*float64(v) + 700 // e^700 squared overflows
	}
	// weights e^{z/2}: variance e^{1/4} − 1, mean e^{1/8}
	want := math.Sqrt(math.Expm1(0.25) / 2000)
	near(t, "log mean", logMeanExp(w), 700+0.125, 1e-4)
	for _, got := range []float64{deltaStdErr(w, nil), bootstrapStdErr(w, 400, kernels.NewSource(1, kernels.StreamResample, 0))} {
		if !(math.Abs(got/want-1) < 0.15) { // chance in the variance of a sample, and in 400 resamples; measured 0.02
			t.Errorf("standard error %g, want %g", got, want)
		}
	}
	near(t, "ESS/K", effective(w)/2000, math.Exp(-0.25), 0.03)
	if got := deltaStdErr(w, w); got != 0 {
		t.Errorf("difference with itself: ± %g", got)
	}
}

func TestPathIntegralStatuses(t *testing.T) {
	s := schedule(t, "simple")
	g, err := exact.NewGaussian(s, []float64{0}, []float64{0.01}, 3)
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{math.NaN(), 0.1, math.Inf(1), 30}
	got, err := PathIntegral(ctx, g, s, x, []float64{0.3}, PathOptions{Grid: solver.GridLambda, Steps: 20, Paths: 200})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Status{BadPoint, "", BadPoint, LowESS} {
		if e := got[i][0]; want != "" && e.Status != want || want == BadPoint && !math.IsNaN(e.LogQ) {
			t.Errorf("x = %v: %+v, want %s", x[i], e, want)
		}
	}
	// A model that sends paths to infinity.
	got, err = PathIntegral(ctx, explosive{}, s, []float64{1}, []float64{0.3}, PathOptions{Steps: 200, Paths: 10})
	if err != nil {
		t.Fatal(err)
	}
	if e := got[0][0]; e.Status != NotFinite || e.Lost == 0 || !math.IsNaN(e.LogQ) {
		t.Errorf("explosive: %+v", e)
	}
	// One path: a bound, no value, and no error.
	got, err = PathIntegral(ctx, g, s, []float64{0.1}, []float64{1}, PathOptions{Steps: 50, Paths: 1})
	if err != nil {
		t.Fatal(err)
	}
	if e := got[0][0]; e.LogQ != e.Bound || e.Lower != e.Bound || !math.IsNaN(e.StdErr) || e.Status != LowESS {
		t.Errorf("one path: %+v", e)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := PathIntegral(cancelled, g, s, []float64{1}, []float64{1}, PathOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A table that takes long is left when the context ends.
func TestUnlessDone(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	begun, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	go func() { <-begun; cancel() }()
	if _, err := unlessDone(ctx, func() (int, error) { close(begun); <-release; return 1, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if v, err := unlessDone(context.Background(), func() (int, error) { return 2, nil }); v != 2 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
}

// explosive grows without bound: s = x³.
type explosive struct{}

func (explosive) Dim() int { return 1 }
func (explosive) Score(_ context.Context, dst, x, _ []float64) error {
	for i, v := range x {
		dst[i] = -v * v * v
	}
	return nil
}

// Far outside, rounding makes log-weights equal or sets one above all: the effective sample size stays between 1 and the number of
// paths, and a value that rounding decides has a status.
func TestPathIntegralFarOutside(t *testing.T) {
	s := schedule(t, "simple")
	g, err := exact.NewGaussian(s, []float64{0.3, -0.2}, []float64{0.5, 0.8}, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	var x []float64
	for k := range 16 {
		x = append(x, math.Pow(10, float64(k)), -0.5)
	}
	x = append(x, 1e150, 1e150)
	net := network(t, "simple")
	for _, m := range []solver.Model{g, net} {
		got, err := PathIntegral(ctx, m, s, x, []float64{0.3, 1}, PathOptions{Grid: solver.GridLambda, Steps: 50, Paths: 100})
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			for _, e := range got[i] {
				if e.Status == NotFinite {
					continue
				}
				if !(e.ESS >= 1 && e.ESS <= 100) {
					t.Errorf("%T at %g, h = %g: ESS %g of 100 paths", m, x[2*i], e.H, e.ESS)
				}
				if lost := math.Abs(e.LogQ)*0x1p-52 > 0.1; lost && e.Status != Rounded {
					t.Errorf("%T at %g, h = %g: log q %g, status %s", m, x[2*i], e.H, e.LogQ, e.Status)
				}
			}
		}
		if e := got[0][0]; e.Status == Rounded {
			t.Errorf("%T: %+v at (1, −½)", m, e)
		}
	}
}

func TestWeightsOfLargeSize(t *testing.T) {
	for _, base := range []float64{0, -1e5, -1e12, -1e16, -1e18, 1e300} {
		equal, one := make([]float64, 100), make([]float64, 100)
		for i := range equal {
			equal[i], one[i] = base, base
		}
		one[7] = base + math.Max(100, math.Abs(base)/1e3)
		const rounding = 1e-12 // of sums of 100 weights
		if e, o := effective(equal), effective(one); math.Abs(e-100) > rounding*100 || math.Abs(o-1) > rounding {
			t.Errorf("about %g: ESS %g of equal weights, %g of a single one", base, e, o)
		}
		if e, o := deltaStdErr(equal, nil), deltaStdErr(one, nil); e > rounding || math.Abs(o-1) > rounding {
			t.Errorf("about %g: standard errors %g and %g", base, e, o)
		}
	}
}
