package fokkerplanck

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"hbar/solver"
	"hbar/solver/exact"
)

func schedule(t testing.TB, name string) solver.Schedule {
	t.Helper()
	s, err := solver.ParseSchedule(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func gaussian(t testing.TB, name string, mean, variance []float64, epsilon float64) *exact.Gaussian {
	t.Helper()
	g, err := exact.NewGaussian(schedule(t, name), mean, variance, epsilon)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func solve(t testing.TB, m solver.Model, s solver.Schedule, hs []float64, o *Options) []*Solution {
	t.Helper()
	sols, err := Solve(context.Background(), m, s, hs, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sols {
		if s.Err != nil {
			t.Fatal(s.Err)
		}
	}
	return sols
}

// deviates returns points at 0, ±1 and ±2.5 standard deviations of m in every dimension.
func deviates(m exact.Moments) []float64 {
	var x []float64
	for _, z := range []float64{0, 1, -1, 2.5, -2.5} {
		for i, v := range m.Var {
			x = append(x, m.Mean[i]+z*math.Sqrt(v)*float64(1-2*i))
		}
	}
	return x
}

// check compares a solution with log densities and returns the largest error found.
func check(t *testing.T, what string, s *Solution, x []float64, want func(x []float64) float64, tol float64) (worst float64) {
	t.Helper()
	v, err := s.LogQ(x)
	if err != nil {
		t.Fatal(err)
	}
	d := len(x) / len(v)
	for i, v := range v {
		p := x[i*d : (i+1)*d]
		diff := math.Abs(v.LogQ - want(p))
		if v.Status != OK || !(diff <= tol) {
			t.Errorf("%s: log q%.3g = %g ± %.1g (%v), off by %.2g; want %.1g", what, p, v.LogQ, v.Err, v.Status, diff, tol)
		}
		// The reported error is the coarser solution's, so that the true one should be smaller.
		if !(diff <= v.Err+1e-9) {
			t.Errorf("%s: log q%.3g is off by %.2g, its error is given as %.2g", what, p, diff, v.Err)
		}
		worst = max(worst, diff)
	}
	return worst
}

// TestGaussian: the closed form of q^h for a wrong score, for all schedules; the box is found by the pilot.
func TestGaussian(t *testing.T) {
	hs := []float64{0.02, 0.3, 1, 3}
	names := solver.ScheduleNames()
	if testing.Short() {
		names = names[:1]
	}
	for _, name := range names {
		for _, dims := range []int{1, 2} {
			if dims == 2 && name != "ve" {
				continue
			}
			g := gaussian(t, name, []float64{0.4, -1}[:dims], []float64{0.5, 0.2}[:dims], 0.1)
			worst := 0.0
			for _, s := range solve(t, g, g.Schedule, hs, &Options{Tolerance: 1e-7}) {
				m := g.At(s.H, g.Schedule.Tmin())
				// The box ends where the density is about 10⁻⁷ of its maximum.
				worst = max(worst, check(t, fmt.Sprintf("%s, h = %g", name, s.H), s, deviates(m), m.LogDensity, 2e-6))
			}
			t.Logf("%s, D = %d: off by at most %.1g", name, dims, worst)
		}
	}
}

// strict are settings for the last digits of a Gaussian.
var strict = Options{Center: []float64{0.4}, Radius: []float64{9}, Limit: 40, Margin: 9, Tolerance: 1e-13, Spacing: 0.03, Courant: 0.25}

func TestGaussianToTheLastDigits(t *testing.T) {
	g := gaussian(t, "cosine", []float64{0.4}, []float64{0.5}, 0.1)
	for _, s := range solve(t, g, g.Schedule, []float64{0.05, 1}, &strict) {
		m := g.At(s.H, g.Schedule.Tmin())
		check(t, fmt.Sprintf("h = %g", s.H), s, deviates(m), m.LogDensity, 2e-9) // what the strict tolerance of 1e-13 of the maximum leaves of a logarithm in the tails
	}
}

// TestIntermediateTime stops half-way.
func TestIntermediateTime(t *testing.T) {
	g := gaussian(t, "simple", []float64{0.4}, []float64{0.5}, 0.1)
	o := strict
	o.Time = 0.3
	for _, s := range solve(t, g, g.Schedule, []float64{0.5}, &o) {
		m := g.At(s.H, 0.3)
		check(t, "t = 0.3", s, deviates(m), m.LogDensity, 1e-8) // the same, with fewer steps to where it stops
	}
}

// TestOrderInTime measures the order of the steps against a much finer solution with the same tables.
func TestOrderInTime(t *testing.T) {
	g := gaussian(t, "simple", []float64{0.4}, []float64{0.5}, 0.3)
	x := []float64{-0.5, 0.2, 0.6}
	var values [][]Value
	for _, n := range []int{16, 2, 4} {
		o := strict
		o.Radius, o.Margin, o.Limit = []float64{4}, 6, 20
		o.MinN, o.MaxN, o.Spacing, o.Unchecked, o.substeps = 64, 64, 0.2, true, n
		v, err := solve(t, g, g.Schedule, []float64{0.5}, &o)[0].LogQ(x)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	for i := range x {
		e2, e4 := values[1][i].LogQ-values[0][i].LogQ, values[2][i].LogQ-values[0][i].LogQ
		order := math.Log2(math.Abs(e2 / e4))
		t.Logf("x = %g: errors %.2g, %.2g, order %.2f", x[i], e2, e4, order)
		if !(order > 3.7 && order < 4.6) {
			t.Errorf("x = %g: errors %.2g and %.2g at 2 and 4 steps a node: order %.2f, want 4", x[i], e2, e4, order)
		}
	}
}

// TestGridConverges: a spectral method's error falls faster than any power of N.
func TestGridConverges(t *testing.T) {
	g := gaussian(t, "simple", []float64{0.4}, []float64{0.02}, 0.1)
	m := g.At(0.2, g.Schedule.Tmin())
	var errs []float64
	for _, n := range []int{64, 96, 128} {
		o := Options{Center: []float64{0.4}, Radius: []float64{2}, MinN: n, MaxN: n, Unchecked: true}
		v, err := solve(t, g, g.Schedule, []float64{0.2}, &o)[0].LogQ(m.Mean)
		if err != nil {
			t.Fatal(err)
		}
		errs = append(errs, math.Abs(v[0].LogQ-m.LogDensity(m.Mean)))
	}
	t.Logf("errors at N = 64, 96, 128: %.2g", errs)
	if !(errs[1] < errs[0]/20 && errs[2] < errs[1]/20) {
		t.Errorf("errors at N = 64, 96, 128: %.2g; want a factor of 20 each", errs)
	}
}

// TestMass: the mode that is the mass has rate zero, so it stays what the prior had in the box.
func TestMass(t *testing.T) {
	g := gaussian(t, "simple", []float64{0.4, 0}, []float64{0.5, 0.3}, 0.2)
	s := solve(t, g, g.Schedule, []float64{0.3}, &Options{Unchecked: true, Spacing: 0.2})[0]
	tail := math.Erfc(6.5 / math.Sqrt2)
	if got := s.Density.Run.Mass; !(math.Abs(got-1) < 3*tail) {
		t.Errorf("mass %.12f, want 1 less the prior's tail of %.1g in either dimension", got, tail)
	}
	if r := s.Density.Run; !(r.MostNegative > -1e-9 && r.Boundary < 1e-6 && r.Tail < 1e-7) { // of the maximum; the grid reaches to 6.5 standard deviations, where the density is 7e-10 of it
		t.Errorf("a Gaussian well inside its grid gave %+v", r)
	}
}

// TestExactScore: with the score of the data nothing depends on h, and q is the data's density.
func TestExactScore(t *testing.T) {
	if testing.Short() {
		t.Skip("three solutions in two dimensions")
	}
	sch := schedule(t, "cosine")
	m, err := exact.NewMixture(sch, []float64{1, 2, 1}, [][]float64{{-1, 0.5}, {0.8, 0.3}, {0, -0.9}},
		[][]float64{{0.05}, {0.1, 0.03}, {0.2}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{-1, 0.5, 0.7, 0.2, 0, -0.5, 0.3, 0.3, -0.4, 0}
	want := make([]float64, len(x)/2)
	if err := m.LogP(context.Background(), want, x, []float64{sch.Tmin()}); err != nil {
		t.Fatal(err)
	}
	for _, s := range solve(t, m, sch, []float64{0.05, 0.3, 1}, &Options{Tolerance: 1e-4}) {
		v, err := s.LogQ(x)
		if err != nil {
			t.Fatal(err)
		}
		for i := range v {
			// The prior is N(0, I), the noised data at Tmax are not quite: α(Tmax) = 0.0016.
			if diff := v[i].LogQ - want[i]; !(math.Abs(diff) < 2e-3) || !(v[i].Err < 1e-3) {
				t.Errorf("h = %g: log q%v is off by %.2g, error %.2g", s.H, x[2*i:2*i+2], diff, v[i].Err)
			}
		}
	}
}

// TestUnresolvedIsFlagged: on a grid that is too coarse the errors say so.
func TestUnresolvedIsFlagged(t *testing.T) {
	g := gaussian(t, "simple", []float64{0}, []float64{0.002}, 0)
	s := solve(t, g, g.Schedule, []float64{0.1}, &Options{Center: []float64{0}, Radius: []float64{3}, MinN: 96, MaxN: 96})[0]
	m := g.At(0.1, g.Schedule.Tmin())
	sd := math.Sqrt(m.Var[0])
	x := []float64{0, sd, 2 * sd, 4 * sd, 6 * sd, 10, math.NaN()}
	v, err := s.LogQ(x)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range v[:5] {
		if diff := math.Abs(v.LogQ - m.LogDensity(x[i:i+1])); v.Status == OK && !(diff <= v.Err) {
			t.Errorf("x = %.3g: off by %.2g, its error is given as %.2g", x[i], diff, v.Err)
		}
	}
	if v[4].Status != Unresolved || v[5].Status != Outside || v[6].Status != Invalid || !math.IsNaN(v[4].LogQ) {
		t.Errorf("far points: %v", v[4:])
	}
}

func TestImage(t *testing.T) {
	g := gaussian(t, "simple", []float64{0.4, -0.2}, []float64{0.5, 0.2}, 0.1)
	s := solve(t, g, g.Schedule, []float64{0.5}, &Options{Unchecked: true, Spacing: 0.2})[0]
	q := s.Density
	axis := func(i int) []float64 {
		lo, hi := q.Box(i)
		x := make([]float64, 80)
		for j := range x {
			x[j] = lo + (hi-lo)*float64(j)/80
		}
		return x
	}
	x1, x2 := axis(0), axis(1)
	im, err := q.Image(x1, x2)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, v := range im {
		sum += v * (x1[1] - x1[0]) * (x2[1] - x2[0])
	}
	if !(math.Abs(sum-1) < 1e-8) { // the trapezoidal rule is exact for a periodic polynomial with fewer modes
		t.Errorf("the image integrates to %.10f", sum)
	}
	v := make([]float64, 1)
	if err := q.Values(v, []float64{x1[41], x2[33]}); err != nil {
		t.Fatal(err)
	}
	if got := im[33*80+41]; !(math.Abs(got-v[0]) < 1e-14) { // a rounding
		t.Errorf("image has %g where the density is %g", got, v[0])
	}
	if _, err := q.Image(x1, nil); err == nil {
		t.Error("one axis for two dimensions accepted")
	}
}

// TestWorkers: results do not depend on the number of goroutines.
func TestWorkers(t *testing.T) {
	g := gaussian(t, "simple", []float64{0.4, -0.2}, []float64{0.5, 0.2}, 0.1)
	x := []float64{0.3, 0.2}
	var got []float64
	for _, n := range []int{1, 3} {
		v, err := solve(t, g, g.Schedule, []float64{0.5}, &Options{Unchecked: true, Spacing: 0.2, Workers: n})[0].LogQ(x)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v[0].LogQ)
	}
	if got[0] != got[1] {
		t.Errorf("1 worker gave %v, 3 gave %v", got[0], got[1])
	}
}

// broken has a score that is NaN to the right of x = 1.
type broken struct{ solver.Model }

func (b broken) Score(ctx context.Context, dst, x, t []float64) error {
	err := b.Model.Score(ctx, dst, x, t)
	for i := range dst {
		if x[i] > 1 {
			dst[i] = math.NaN()
		}
	}
	return err
}

func TestBadInput(t *testing.T) {
	g := gaussian(t, "simple", []float64{0}, []float64{0.5}, 0)
	three := gaussian(t, "simple", []float64{0, 0, 0}, []float64{0.5}, 0)
	one := []float64{1}
	for _, c := range []struct {
		m    solver.Model
		hs   []float64
		o    *Options
		want string
	}{
		{three, one, nil, "3 dimensions"},
		{g, nil, nil, "no value of h"},
		{g, []float64{0.1, 0}, nil, "probability flow"},
		{g, []float64{-1}, nil, "want h > 0"},
		{g, []float64{math.NaN()}, nil, "want h > 0"},
		{g, []float64{math.Inf(1)}, nil, "want h > 0"},
		{g, one, &Options{Time: 2}, "outside [0.01, 1)"},
		{g, one, &Options{MinN: 100}, "2^k or 3·2^k"},
		{g, one, &Options{MaxN: 8}, "2^k or 3·2^k"},
		{g, one, &Options{Tolerance: -1}, "Tolerance"},
		{g, one, &Options{Center: []float64{1, 2}, Radius: []float64{1, 2}}, "need 1 values"},
		{g, one, &Options{Center: []float64{0}, Radius: []float64{0}}, "radius 0"},
		{broken{g}, one, nil, "not finite"},
		{broken{g}, one, &Options{Center: []float64{0}, Radius: []float64{3}, Limit: 8}, "not finite at x ="},
	} {
		_, err := Solve(context.Background(), c.m, g.Schedule, c.hs, c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("h = %v, %+v: error %v, want one with %q", c.hs, c.o, err, c.want)
		}
	}
}

// The error of a model that fails is not one of wrong settings.
func TestNotFiniteError(t *testing.T) {
	g := gaussian(t, "simple", []float64{0}, []float64{0.5}, 0)
	var bad *NotFiniteError
	if _, err := Solve(context.Background(), broken{g}, g.Schedule, []float64{0.5}, nil); !errors.As(err, &bad) {
		t.Errorf("broken model: %v", err)
	}
	if _, err := Solve(context.Background(), g, g.Schedule, []float64{0.5}, &Options{MinN: 100}); err == nil || errors.As(err, &bad) {
		t.Errorf("wrong setting: %v", err)
	}
}

func TestCancel(t *testing.T) {
	g := gaussian(t, "simple", []float64{0}, []float64{0.5}, 0)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	calls := -1
	o := &Options{Progress: func(done, total int) {
		if calls++; done != calls || done > total {
			t.Errorf("part %d of %d came as number %d", done, total, calls)
		}
		if calls == 20 {
			cancel()
		}
	}}
	if _, err := Solve(ctx, g, g.Schedule, []float64{1}, o); !errors.Is(err, context.Canceled) || calls != 20 {
		t.Errorf("after %d parts: error %v, want %v at the 20th", calls, err, context.Canceled)
	}
	calls = -1 << 20
	total := 0
	o.Progress = func(done, n int) { calls, total = done, n }
	if _, err := Solve(context.Background(), g, g.Schedule, []float64{1}, o); err != nil || calls != total || total == 0 {
		t.Errorf("error %v, last report %d of %d", err, calls, total)
	}
}
