package ownscore

import (
	"context"
	"math"
	"testing"

	"hbar/solver"
	"hbar/solver/exact"
	"hbar/solver/likelihood"
)

var ctx = context.Background()

func gaussian(t *testing.T, d int) (*exact.Gaussian, solver.Schedule) {
	t.Helper()
	s, err := solver.NewSchedule("simple", nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := exact.NewGaussian(s, fill(0, d), fill(0.5, d), 0.1)
	if err != nil {
		t.Fatal(err)
	}
	return g, s
}

func fill(v float64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = v
	}
	return out
}

// The targets are those of the chain: their slope on x at Tmin is that of the Gaussian that the chain makes there, within 4.5 standard
// errors, with no leaning on s.
func TestTargets(t *testing.T) {
	const d, n = 8, 800
	g, s := gaussian(t, d)
	for _, h := range []float64{0.1, 1} {
		o := likelihood.PathOptions{Grid: solver.GridLambda, Steps: 100, Seed: 1}
		rows, err := table(s, h, d, o)
		if err != nil {
			t.Fatal(err)
		}
		w := &walk{model: g, s: s, rows: rows, n: n, seed: 1}
		var xx, xy float64
		var each []float64
		err = w.run(ctx, func(k int, x, _, y []float64) error {
			if k > 0 {
				return nil
			}
			for i := range n {
				sum := 0.0
				for j := i * d; j < (i+1)*d; j++ {
					xx += x[j] * x[j]
					xy += x[j] * y[j]
					sum += x[j] * y[j]
				}
				each = append(each, sum)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		tab, err := solver.NewTable(s, solver.Prediction{}, solver.TableOptions{Grid: o.Grid, Steps: o.Steps, H: h})
		if err != nil {
			t.Fatal(err)
		}
		m, err := g.Chain(tab.Rows)
		if err != nil {
			t.Fatal(err)
		}
		slope, want := xy/xx, -1/m.Var[0]
		spread := 0.0
		for _, v := range each {
			spread += (v - xy/n) * (v - xy/n)
		}
		stderr := math.Sqrt(spread) / xx
		t.Logf("h = %g: slope %.4f ± %.4f, exact %.4f", h, slope, stderr, want)
		// 4.5 standard errors; an error above 2 % of the slope would let a wrong one pass
		if !(math.Abs(slope-want) < 4.5*stderr) || !(stderr < 0.02*math.Abs(want)) {
			t.Errorf("h = %g: slope %.4f ± %.4f, exact %.4f", h, slope, stderr, want)
		}
	}
}

// enclose are the mean gaps log q − L and U − log q of generated points.
func enclose(t *testing.T, m solver.Model, s solver.Schedule, h float64, n int, o likelihood.PathOptions) (lower, upper float64) {
	t.Helper()
	made, err := likelihood.Generate(ctx, m, s, n, h, o)
	if err != nil {
		t.Fatal(err)
	}
	o.Own = made.LogW
	got, err := likelihood.PathIntegral(ctx, m, s, made.X, []float64{h}, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range got {
		lower += e[0].Lower / float64(n)
		upper += e[0].Upper / float64(n)
	}
	return lower, upper
}

// Of a Gaussian with a score a tenth wrong the fit closes more than half of the gap between the bounds, on points and paths that it has
// not seen, for the score of the chain is linear.
func TestFitGaussian(t *testing.T) {
	const d = 64
	g, s := gaussian(t, d)
	for _, h := range []float64{0.1, 1} {
		path := likelihood.PathOptions{Grid: solver.GridLambda, Steps: 100, Paths: 4, Seed: 3}
		c, report, err := Fit(ctx, g, s, h, Options{Path: path, Paths: 200})
		if err != nil {
			t.Fatal(err)
		}
		path.Sample0 = 1 << 20
		lower, upper := enclose(t, g, s, h, 30, path)
		path.Corrections = []likelihood.Correction{c}
		lowerOwn, upperOwn := enclose(t, g, s, h, 30, path)
		t.Logf("h = %g: %s, loss %.4f of %.4f; width %.3f, with own score %.3f", h, report.Chosen, report.Loss, report.Zero, upper-lower, upperOwn-lowerOwn)
		if !(upperOwn < upper && lowerOwn > lower && upperOwn-lowerOwn < (upper-lower)/2) {
			t.Errorf("h = %g: bounds %.3f and %.3f, with own score %.3f and %.3f", h, lower, upper, lowerOwn, upperOwn)
		}
	}
}

// The flow of the chain's own score is nearer to its density than that of s is, by more than half: 300 paths leave the rest.
func TestFlow(t *testing.T) {
	g, s := gaussian(t, 2)
	const h = 0.5
	path := likelihood.PathOptions{Grid: solver.GridLambda, Steps: 200, Seed: 3}
	if _, _, err := Fit(ctx, g, s, h, Options{Path: path, Cosines: -1}); err == nil {
		t.Error("−1 cosines")
	}
	c, _, err := Fit(ctx, g, s, h, Options{Path: path, Paths: 300, Cosines: 8})
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{0.1, -0.9, 0.5, 0.4, 1.2, 0}
	own, err := likelihood.Flow(ctx, Flow(g, c), s, x, likelihood.FlowOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var square, plain float64
	for i, p := range own {
		at := x[2*i : 2*i+2]
		want := g.LogQ(at, h, s.Tmin())
		square += (p.LogQ - want) * (p.LogQ - want)
		plain += (g.LogQ(at, 0, s.Tmin()) - want) * (g.LogQ(at, 0, s.Tmin()) - want)
	}
	if !(square < plain/4) {
		t.Errorf("rms %.4f, of the flow of s %.4f", math.Sqrt(square/3), math.Sqrt(plain/3))
	}
}
