package likelihood

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"hbar/solver"
	"hbar/solver/exact"
)

func repeat(v float64, n int) []float64 { return fill(v, n) }

// chainOf is the exact density of the chain of em.
func chainOf(t *testing.T, g *exact.Gaussian, s solver.Schedule, o PathOptions, h float64) exact.Moments {
	t.Helper()
	table, err := solver.NewTable(s, solver.Prediction{}, solver.TableOptions{Sampler: o.Sampler, Grid: o.Grid, Steps: o.Steps, H: h})
	if err != nil {
		t.Fatal(err)
	}
	chain, err := g.Chain(table.Rows)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// On points that the chain made, log q lies between the bounds, in the mean over points and within 4.5 standard errors of the
// differences. Where a score is a tenth wrong the gap grows with D, and the effective sample size falls to 1.
func TestBoundsEncloseTheChain(t *testing.T) {
	s := schedule(t, "simple")
	for _, c := range []struct {
		d, n, steps, paths int
	}{{2, 400, 50, 16}, {64, 100, 100, 8}, {784, 12, 100, 4}} {
		g, err := exact.NewGaussian(s, repeat(0.2, c.d), repeat(0.5, c.d), 0.1)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range []float64{0.1, 1} {
			o := PathOptions{Sampler: solver.Exponential, Grid: solver.GridLambda, Steps: c.steps, Paths: c.paths, Seed: 2}
			made, err := Generate(ctx, g, s, c.n, h, o)
			if err != nil {
				t.Fatal(err)
			}
			o.Own = made.LogW
			got, err := PathIntegral(ctx, g, s, made.X, []float64{h}, o)
			if err != nil {
				t.Fatal(err)
			}
			chain := chainOf(t, g, s, o, h)
			var below, above, ess []float64
			for i, e := range got {
				truth := chain.LogDensity(made.X[i*c.d : (i+1)*c.d])
				below, above, ess = append(below, truth-e[0].Lower), append(above, e[0].Upper-truth), append(ess, e[0].ESS)
			}
			lo, loErr := meanStdErr(below)
			hi, hiErr := meanStdErr(above)
			mean, _ := meanStdErr(ess)
			t.Logf("D = %d, h = %g: log q − L = %.3f ± %.3f, U − log q = %.3f ± %.3f, ESS %.1f of %d", c.d, h, lo, loErr, hi, hiErr, mean, c.paths)
			if !(lo > -4.5*loErr) || !(hi > -4.5*hiErr) {
				t.Errorf("D = %d, h = %g: log q − L = %.3f ± %.3f, U − log q = %.3f ± %.3f", c.d, h, lo, loErr, hi, hiErr)
			}
		}
	}
}

// The points are distributed as the chain says, and E[q/w] = 1 over points and their own paths, which fails for any other weight: both
// within 4.5 standard errors. The points are those of solver.Sample to the rounding of float64.
func TestGenerated(t *testing.T) {
	s := schedule(t, "simple")
	g, err := exact.NewGaussian(s, []float64{0.3, -0.2}, []float64{0.5, 0.8}, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	for _, sampler := range []solver.Sampler{solver.EulerMaruyama, solver.Exponential} {
		const n, h = 3000, 0.5
		o := PathOptions{Sampler: sampler, Grid: solver.GridLambda, Steps: 60, Seed: 5}
		made, err := Generate(ctx, g, s, n, h, o)
		if err != nil {
			t.Fatal(err)
		}
		chain := chainOf(t, g, s, o, h)
		ratio, square := make([]float64, n), make([]float64, n)
		for i := range ratio {
			x := made.X[2*i : 2*i+2]
			ratio[i] = math.Exp(chain.LogDensity(x) - made.LogW[i])
			z := (x[0] - chain.Mean[0]) / math.Sqrt(chain.Var[0])
			square[i] = z * z
		}
		for name, v := range map[string][]float64{"q/w": ratio, "squared deviation": square} {
			if mean, stderr := meanStdErr(v); !(math.Abs(mean-1) < 4.5*stderr) || !(stderr < 0.1) {
				t.Errorf("%v: mean %s %.4f ± %.4f", sampler, name, mean, stderr)
			}
		}
		_, err = solver.Sample(ctx, g, s, solver.Options{TableOptions: solver.TableOptions{Sampler: sampler, Grid: solver.GridLambda, Steps: 60, H: h}, N: 20, Seed: 5, Reference: true},
			func(c solver.Chunk) error {
				for i, v := range c.X {
					near(t, "sample", made.X[2*c.Start+i], v, 1e-14) // roundings
				}
				return nil
			})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// On the 2-D network the lower bound is below an independent Fokker–Planck solution, in the mean over its points, within 4.5 standard errors and
// the 0.03 nats that 200 steps leave; the lower bound of one path is below that of 16.
func TestLowerBoundBesideFokkerPlanck(t *testing.T) {
	raw, err := os.ReadFile("testdata/truth_sr_simple.json")
	if err != nil {
		t.Fatal(err)
	}
	var truth struct {
		H    []float64
		LogQ [][]float64 `json:"log_q"`
	}
	if err := json.Unmarshal(raw, &truth); err != nil {
		t.Fatal(err)
	}
	m := network(t, "simple")
	x := loadGolden(t, "simple").X
	for j, h := range truth.H {
		if h != 0.1 && h != 1 {
			continue
		}
		got, err := PathIntegral(ctx, m, m.Schedule(), x, []float64{h}, PathOptions{Grid: solver.GridLambda, Steps: 200, Paths: 16, Seed: 4})
		if err != nil {
			t.Fatal(err)
		}
		var gap, one []float64
		for i, e := range got {
			gap, one = append(gap, truth.LogQ[j][i]-e[0].Lower), append(one, e[0].Lower-e[0].Bound)
		}
		mean, stderr := meanStdErr(gap)
		tighter, _ := meanStdErr(one)
		t.Logf("h = %g: log q − L = %.3f ± %.3f, L of 16 paths above that of one by %.3f", h, mean, stderr, tighter)
		if !(mean > -4.5*stderr-0.03) || !(mean < 0.3) || !(tighter > 0) { // a lower bound but for the error of the mean and of the chain; 16 paths leave a gap below 0.3
			t.Errorf("h = %g: log q − L = %.3f ± %.3f, tighter by %.3f", h, mean, stderr, tighter)
		}
	}
}
