package likelihood

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"hbar/solver"
	"hbar/solver/exact"
)

// A path integral that is stopped keeps the points that are done; their values are those of a call that was left alone.
func TestPathIntegralInterrupted(t *testing.T) {
	s := schedule(t, "simple")
	g, err := exact.NewGaussian(s, []float64{0.3, -0.2}, []float64{0.5, 0.8}, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{0.1, -0.9, 0.5, 0.4, 0, 0}
	o := PathOptions{Steps: 1, Paths: rowsAtOnce(2), Seed: 3} // a point at a time
	whole, err := PathIntegral(ctx, g, s, x, []float64{0.5}, o)
	if err != nil {
		t.Fatal(err)
	}
	stopped, stop := context.WithCancel(ctx)
	defer stop()
	o.Progress = func(done, _ int) {
		if done > o.Paths {
			stop()
		}
	}
	got, err := PathIntegral(stopped, g, s, x, []float64{0.5}, o)
	if !errors.Is(err, context.Canceled) || len(got) != 3 {
		t.Fatalf("%d points, %v", len(got), err)
	}
	if got[0][0] != whole[0][0] || got[2][0].Status != Interrupted || got[2][0].H != 0.5 {
		t.Errorf("points %+v", got)
	}
}

// The tables of a schedule of matrices are minutes of work where they have millions of steps: they end with the context.
func TestBlockStepsInterrupted(t *testing.T) {
	g := newBlockGaussian(t, "cld", 0.5, 0)
	p, err := newProblem(g.model, g.s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	stopped, stop := context.WithCancel(ctx)
	stop()
	o := PathOptions{Sampler: solver.Exponential, Grid: solver.GridLambda, Steps: 4, Paths: 2}
	if _, err := p.blockSteps(stopped, o, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	got, err := PathIntegral(stopped, g.model, g.s, []float64{0.4}, []float64{1}, o)
	if !errors.Is(err, context.Canceled) || len(got) != 1 || got[0][0].Status != Interrupted || got[0][0].H != 1 {
		t.Errorf("points %+v, error %v", got, err)
	}
}

// A flow that is stopped within a network's mesh keeps the pieces that are done, and marks the others.
func TestFlowInterrupted(t *testing.T) {
	points := 1024 * runtime.GOMAXPROCS(0) // some pieces
	s := schedule(t, "simple")
	m := single(t, network(t, "simple").Engine(), s)
	x := make([]float64, 2*points)
	for i := range x {
		x[i] = 0.4 * float64(i%7-3)
	}
	stopped, stop := context.WithCancel(ctx)
	defer stop()
	o := FlowOptions{Options: Options{Steps: 8, Progress: func(done, _ int) {
		if done > 200*runtime.GOMAXPROCS(0) {
			stop()
		}
	}}}
	got, err := Flow(stopped, m, s, x, o)
	if !errors.Is(err, context.Canceled) || len(got) != points {
		t.Fatalf("%d points, %v", len(got), err)
	}
	count := map[Status]int{}
	for _, p := range got {
		count[p.Status]++
	}
	if got[0].Status != OK || got[points-1].Status != Interrupted || count[OK]+count[Interrupted] != points {
		t.Errorf("points by status: %v", count)
	}
}

// Extrapolation reports its two chains as one work, from its beginning to its end.
func TestExtrapolatedProgress(t *testing.T) {
	s := schedule(t, "simple")
	g, err := exact.NewGaussian(s, []float64{0.3, -0.2}, []float64{0.5, 0.8}, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	last, first := 0, -1
	o := PathOptions{Steps: 4, Paths: 10, Progress: func(done, total int) {
		if total != 3*2*10 || done < last {
			t.Errorf("%d of %d after %d", done, total, last)
		}
		if last = done; first < 0 {
			first = done
		}
	}}
	if _, err := PathIntegralExtrapolated(ctx, g, s, []float64{0.1, -0.9, 0.5, 0.4}, []float64{0.5}, o); err != nil {
		t.Fatal(err)
	}
	if first > 20 || last != 60 {
		t.Errorf("from %d to %d of 60", first, last)
	}
}
