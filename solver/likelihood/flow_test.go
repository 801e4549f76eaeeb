package likelihood

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"hbar/kernels"
	"hbar/solver"
	"hbar/solver/exact"
	"hbar/solver/likelihood/ode"
)

// Closed forms for every schedule, clock and method.
func TestFlowGaussians(t *testing.T) {
	for _, name := range solver.ScheduleNames() {
		s := schedule(t, name)
		g, err := exact.NewGaussian(s, []float64{0.3, -0.5, 0.1, 0}, []float64{0.5, 0.2, 1.5, 0.7}, -0.1)
		if err != nil {
			t.Fatal(err)
		}
		x := []float64{0.6, 0.1, -0.9, -0.4}
		for _, o := range []Options{{}, {Clock: ClockTime}, {Method: ode.DormandPrince}, {Method: ode.RK4, Steps: 300}} {
			got, err := Flow(ctx, g, s, x, FlowOptions{Options: o})
			if err != nil {
				t.Fatal(err)
			}
			if p := got[0]; p.Status != OK || p.StdErr != 0 || p.Evals == 0 {
				t.Fatalf("%s: %+v", name, p)
			}
			near(t, name+" log q", got[0].LogQ, g.LogQ(x, 0, s.Tmin()), 3e-5) // three times the tolerance
		}
	}
}

// Fixed steps converge with the order of the method.
func TestFlowOrder(t *testing.T) {
	s := schedule(t, "cosine")
	m := lopsided(t, s)
	x := []float64{0.3, -0.4}
	logQ := func(o Options) float64 {
		got, err := Flow(ctx, m, s, x, FlowOptions{Options: o})
		if err != nil {
			t.Fatal(err)
		}
		return got[0].LogQ
	}
	want := logQ(Options{Tol: 1e-10})
	for _, m := range []*ode.Tableau{ode.RK4, ode.DormandPrince} {
		coarse := logQ(Options{Method: m, Steps: 60}) - want
		fine := logQ(Options{Method: m, Steps: 120}) - want
		if order := math.Log2(math.Abs(coarse / fine)); !(order > float64(m.Order)-0.5 && order < float64(m.Order)+1.2) {
			t.Errorf("%s: errors %g, %g: order %.2f", m.Name, coarse, fine, order)
		}
	}
}

// Hutchinson's estimates scatter about the exact value as their errors say.
func TestHutchinson(t *testing.T) {
	s := schedule(t, "simple")
	m := lopsided(t, s)
	x := []float64{0.5, 0.4, -0.9, 0.1, 0.1, -0.5, 0.9, -0.3, -0.2, 0.6, 0.4, -1}
	want, err := Flow(ctx, m, s, x, FlowOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []Probe{Rademacher, Normal} {
		got, err := Flow(ctx, m, s, x, FlowOptions{Divergence: kind, Probes: 64, Seed: 4})
		if err != nil {
			t.Fatal(err)
		}
		z2 := 0.0
		for i, p := range got {
			z := (p.LogQ - want[i].LogQ) / p.StdErr
			z2 += z * z / float64(len(got))
			if !(p.StdErr > 1e-4 && math.Abs(z) < 4.5) { // 4.5 standard errors; probes do have an error
				t.Errorf("%v: %+v, exact %g", kind, p, want[i].LogQ)
			}
		}
		if !(z2 < 3) {
			t.Errorf("%v: mean squared deviation %.2f", kind, z2)
		}
		one, err := Flow(ctx, m, s, x[10:], FlowOptions{Divergence: kind, Seed: 4, Sample0: 5})
		if err != nil {
			t.Fatal(err)
		}
		again, err := Flow(ctx, m, s, x, FlowOptions{Divergence: kind, Seed: 4})
		if err != nil {
			t.Fatal(err)
		}
		if one[0].LogQ != again[5].LogQ || !math.IsNaN(one[0].StdErr) {
			t.Errorf("%v: one probe: alone %+v, in a batch %+v", kind, one[0], again[5])
		}
	}
}

// With the exact score of the 25 Gaussians log q^h is log p at Tmin for every h, by every method.
func TestExactScoreMakesAllMethodsAgree(t *testing.T) {
	names, x := []string{"simple", "cosine"}, []float64{0.70, -0.72, 0.02, 0.03, -1.40, 0.69, 0.1, 0.1}
	if testing.Short() {
		names, x = names[:1], x[:4]
	}
	for _, name := range names {
		s := schedule(t, name)
		m := exact.TwentyFiveGaussians(s)
		truth := make([]float64, len(x)/2)
		if err := m.LogP(ctx, truth, x, []float64{s.Tmin()}); err != nil {
			t.Fatal(err)
		}
		// The chain starts at the prior N(0, I), not at p at Tmax: log q differs by that much.
		const prior = 2e-3
		flow, err := Flow(ctx, m, s, x, FlowOptions{})
		if err != nil {
			t.Fatal(err)
		}
		wkb, err := Expand(ctx, m, s, x, ExpandOptions{Order: 2})
		if err != nil {
			t.Fatal(err)
		}
		dual, err := EstimateDual(ctx, m, s, x, EstimateOptions{Probes: 4})
		if err != nil {
			t.Fatal(err)
		}
		hs := []float64{0.05, 0.3, 1}
		paths, err := PathIntegralExtrapolated(ctx, m, s, x, hs, PathOptions{Sampler: solver.Exponential, Grid: solver.GridLambda, Steps: 200, Paths: 150})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range truth {
			near(t, name+" flow", flow[i].LogQ, want, prior)
			near(t, name+" expansion", wkb[i].LogQ, want, prior)
			near(t, name+" ℓ₁", wkb[i].L1, 0, 5e-2) // differences of numbers of order 10³, times the prior's error
			near(t, name+" ℓ₁, estimated", dual[i].L1, 0, 2e-1)
			if !(wkb[i].Mismatch < 1e-2) {
				t.Errorf("%s point %d: mismatch %g of an exact score", name, i, wkb[i].Mismatch)
			}
			for j, e := range paths[i] {
				if e.Status == OK && !(math.Abs(e.LogQ-want) < 4.5*e.StdErr+prior) {
					t.Errorf("%s point %d h=%g: %.4f ± %.4f, true %.4f", name, i, hs[j], e.LogQ, e.StdErr, want)
				}
			}
		}
	}
}

// broken is one-dimensional; its score depends on where it is asked: fine at x < 5, growing without bound to 15, NaN beyond.
type broken struct{}

func (broken) Dim() int { return 1 }

func (b broken) Score(ctx context.Context, dst, x, t []float64) error {
	return b.ScoreJets(ctx, dst, x, t, 0)
}

func (b broken) ScoreDiv(ctx context.Context, s, div, x, t []float64) error {
	jets := make([]float64, 2*len(x))
	err := b.ScoreJets(ctx, jets, x, t, 1)
	for i := range x {
		s[i], div[i] = jets[2*i], jets[2*i+1]
	}
	return err
}

func (b broken) ScoreJVP(ctx context.Context, s, jv, x, v []float64, k int, t []float64) error {
	div := make([]float64, len(x))
	err := b.ScoreDiv(ctx, s, div, x, t)
	for i := range jv {
		jv[i] = v[i] * div[i/k]
	}
	return err
}

func (b broken) ScoreVJP(ctx context.Context, s, vj, x, u, t []float64) error {
	if s == nil {
		s = make([]float64, len(x))
	}
	return b.ScoreJVP(ctx, s, vj, x, u, 1, t)
}

func (b broken) ScoreAdjoint(_ context.Context, q *kernels.Adjoint[float64], _ []float64) error {
	for _, dst := range [][]float64{q.Grad, q.S, q.SV, q.SW, q.SVW} {
		for i := range dst {
			dst[i] = -q.X[i]
		}
	}
	return nil
}

func (broken) ScoreJets(_ context.Context, dst, x, _ []float64, order int) error {
	n := order + 1
	clear(dst)
	for i, v := range x {
		j := dst[i*n : (i+1)*n]
		switch {
		case v < 5:
			j[0] = -v
			if order > 0 {
				j[1] = -1
			}
		case v < 15 || v > 100:
			j[0] = -v * v * v
			if order > 0 {
				j[1] = -3 * v * v
			}
		default:
			j[0] = math.NaN()
		}
	}
	return nil
}

// Points that cannot be done say why, and the others do not notice.
func TestFailuresAreReported(t *testing.T) {
	s := schedule(t, "simple")
	x := []float64{0.5, math.NaN(), 20, 8, math.Inf(-1), 120}
	want := []Status{OK, BadPoint, NotFinite, "failure", BadPoint, "failure"}
	check := func(method string, i int, st Status, value float64) {
		t.Helper()
		if want[i] == "failure" && st != OK && st != BadPoint && st != "" || st == want[i] {
			if (st == OK) == math.IsNaN(value) {
				t.Errorf("%s, x = %v: %s with value %v", method, x[i], st, value)
			}
			return
		}
		t.Errorf("%s, x = %v: status %q, want %q", method, x[i], st, want[i])
	}
	flow, err := Flow(ctx, broken{}, s, x, FlowOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wkb, err := Expand(ctx, broken{}, s, x, ExpandOptions{Order: 2})
	if err != nil {
		t.Fatal(err)
	}
	pub, err := Published(ctx, broken{}, s, x, PublishedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range x {
		check("flow", i, flow[i].Status, flow[i].LogQ)
		check("expansion", i, wkb[i].Status, wkb[i].L1)
		check("published", i, pub[i].Status, pub[i].L1)
	}
	for mode, f := range estimators(broken{}, s) {
		got, err := f(EstimateOptions{Probes: 2}, x)
		if err != nil {
			t.Fatal(err)
		}
		for i := range x[:3] {
			check(mode, i, got[i].Status, got[i].L1)
		}
	}
	few, err := Flow(ctx, broken{}, s, x[:1], FlowOptions{Options: Options{MaxSteps: 2}})
	if err != nil {
		t.Fatal(err)
	}
	if few[0].Status != TooManySteps {
		t.Errorf("two steps: %+v", few[0])
	}
}

// A flow that carries points away exponentially overflows nothing, and still has no density to speak of.
func TestDivergingPathsAreReported(t *testing.T) {
	s := schedule(t, "cosine")
	g, err := exact.NewGaussian(s, []float64{0}, []float64{0.5}, 10)
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{0, 1}
	flow, err := Flow(ctx, g, s, x, FlowOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wkb, err := Expand(ctx, g, s, x, ExpandOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dual, err := EstimateDual(ctx, g, s, x, EstimateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Status{OK, Diverged} {
		if flow[i].Status != want || wkb[i].Status != want || dual[i].Status != want {
			t.Errorf("x = %g: %q, %q, %q, want %q", x[i], flow[i].Status, wkb[i].Status, dual[i].Status, want)
		}
	}
}

// scoreOnly is a model without any of the optional interfaces.
type scoreOnly struct{ d int }

func (m scoreOnly) Dim() int { return m.d }

func (m scoreOnly) Score(_ context.Context, dst, x, _ []float64) error {
	for i, v := range x {
		dst[i] = -v
	}
	return nil
}

func TestErrorsNameTheProblem(t *testing.T) {
	s := schedule(t, "simple")
	g4, err := exact.NewGaussian(s, make([]float64, 4), []float64{1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	g2 := lopsided(t, s)
	four, two := make([]float64, 4), make([]float64, 2)
	for _, c := range []struct {
		what string
		say  string
		run  func() error
	}{
		{"three coordinates in two dimensions", "2 dimensions", func() error { _, err := Flow(ctx, g2, s, make([]float64, 3), FlowOptions{}); return err }},
		{"no divergence", "solver.Diverger", func() error { _, err := Flow(ctx, scoreOnly{2}, s, two, FlowOptions{}); return err }},
		{"no JVP", "solver.JVPer", func() error {
			_, err := Flow(ctx, scoreOnly{2}, s, two, FlowOptions{Divergence: Rademacher})
			return err
		}},
		{"no jets", "solver.Jetter", func() error { _, err := Expand(ctx, scoreOnly{2}, s, two, ExpandOptions{}); return err }},
		{"four dimensions", "3 dimensions", func() error { _, err := Expand(ctx, g4, s, four, ExpandOptions{}); return err }},
		{"third order", "have 1 and 2", func() error { _, err := Expand(ctx, g2, s, two, ExpandOptions{Order: 3}); return err }},
		{"no VJP", "solver.VJPer", func() error { _, err := EstimateDual(ctx, scoreOnly{2}, s, two, EstimateOptions{}); return err }},
		{"too many inner probes", "D = 2", func() error { _, err := EstimateTimes(ctx, g2, s, two, EstimateOptions{Inner: 3}); return err }},
		{"published in four dimensions", "3 dimensions", func() error { _, err := Published(ctx, g4, s, four, PublishedOptions{}); return err }},
		{"h < 0", "h > 0", func() error { _, err := PathIntegral(ctx, g2, s, two, []float64{-0.1}, PathOptions{}); return err }},
		{"h = 0", "probability flow", func() error { _, err := PathIntegral(ctx, g2, s, two, []float64{0}, PathOptions{}); return err }},
		{"h = NaN", "h > 0", func() error {
			_, err := PathIntegral(ctx, g2, s, two, []float64{math.NaN()}, PathOptions{})
			return err
		}},
		{"a sampler without density", "em and exp", func() error {
			_, err := PathIntegral(ctx, g2, s, two, []float64{1}, PathOptions{Sampler: solver.Heun})
			return err
		}},
		{"an odd number of steps", "even", func() error {
			_, err := PathIntegralExtrapolated(ctx, g2, s, two, []float64{1}, PathOptions{Steps: 7})
			return err
		}},
		{"tolerance", "tolerance", func() error {
			_, err := Flow(ctx, g2, s, two, FlowOptions{Options: Options{Tol: -1}})
			return err
		}},
		{"probes", "rademacher", func() error { _, err := ParseProbe("cauchy"); return err }},
	} {
		if err := c.run(); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v; want it to say %q", c.what, err, c.say)
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Expand(cancelled, g2, s, two, ExpandOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
