package likelihood

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"hbar/solver"
	"hbar/solver/exact"
)

// Closed forms for every schedule; what halving the steps changed bounds the error.
func TestFlowFixedGaussians(t *testing.T) {
	for _, name := range solver.ScheduleNames() {
		s := schedule(t, name)
		g, err := exact.NewGaussian(s, []float64{0.3, -0.5, 0.1, 0}, []float64{0.5, 0.2, 1.5, 0.7}, -0.1)
		if err != nil {
			t.Fatal(err)
		}
		x := []float64{0.6, 0.1, -0.9, -0.4, math.NaN(), 0, 0, 0}
		for _, steps := range []int{50, 200} {
			got, err := FlowFixed(ctx, g, s, x, FlowOptions{Options: Options{Steps: steps}})
			if err != nil {
				t.Fatal(err)
			}
			p := got[0]
			if p.Status != OK || p.StdErr != 0 || p.Steps != steps || got[1].Status != BadPoint {
				t.Fatalf("%s: %+v, %s", name, p, got[1].Status)
			}
			off := math.Abs(p.LogQ - g.LogQ(x[:4], 0, s.Tmin()))
			t.Logf("%s, %d steps: off by %.1e, halving %.1e", name, steps, off, p.Halving)
			if !(off <= math.Abs(p.Halving)+1e-9) || steps == 200 && off > 1e-4 { // the change by halving bounds the error but for rounding
				t.Errorf("%s, %d steps: off by %g, and halving the steps changed %g", name, steps, off, p.Halving)
			}
		}
	}
}

// The mesh converges with the fourth order.
func TestFlowFixedOrder(t *testing.T) {
	s := schedule(t, "cosine")
	m := lopsided(t, s)
	x := []float64{0.3, -0.4}
	at := func(steps int) float64 {
		got, err := FlowFixed(ctx, m, s, x, FlowOptions{Options: Options{Steps: steps}})
		if err != nil {
			t.Fatal(err)
		}
		return got[0].LogQ
	}
	want := at(2000)
	if order := math.Log2(math.Abs((at(60) - want) / (at(120) - want))); !(order > 3.5 && order < 5.2) {
		t.Errorf("order %.2f", order)
	}
}

// Probes are those of Flow, and a point's values do not depend on the others of the call.
func TestFlowFixedProbes(t *testing.T) {
	s := schedule(t, "cosine")
	m := lopsided(t, s)
	x := []float64{0.3, -0.4, -1, 0.2, 0.1, 0.9}
	for _, kind := range []Probe{Rademacher, Normal} {
		o := FlowOptions{Options: Options{Steps: 200}, Divergence: kind, Probes: 3, Seed: 5, Sample0: 7}
		got, err := FlowFixed(ctx, m, s, x, o)
		if err != nil {
			t.Fatal(err)
		}
		adaptive := o
		adaptive.Options = Options{}
		want, err := Flow(ctx, m, s, x, adaptive)
		if err != nil {
			t.Fatal(err)
		}
		one := o
		one.Samples = []uint64{8}
		alone, err := FlowFixed(ctx, m, s, x[2:4], one)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			// The same probes: what is left are the errors of fixed and of adaptive steps. Measured 7e-8.
			near(t, "log q", got[i].LogQ, want[i].LogQ, 1e-6)
			near(t, "standard error", got[i].StdErr, want[i].StdErr, 1e-6)
		}
		near(t, "log q alone", alone[0].LogQ, got[1].LogQ, 1e-14) // a point does not depend on the others
	}
}

func TestFlowFixedErrors(t *testing.T) {
	s := schedule(t, "cosine")
	m := lopsided(t, s)
	for want, o := range map[string]FlowOptions{
		"want an even number":    {Options: Options{Steps: 3}},
		"0 steps":                {},
		"2 numbers for 1 points": {Options: Options{Steps: 4}, Samples: []uint64{1, 2}},
		"-1 probes of kind 1":    {Options: Options{Steps: 4}, Divergence: Rademacher, Probes: -1},
	} {
		if _, err := FlowFixed(ctx, m, s, []float64{0, 0}, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := FlowFixed(stopped, m, s, []float64{0, 0}, FlowOptions{Options: Options{Steps: 4}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
