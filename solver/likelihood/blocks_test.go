package likelihood

import (
	"context"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"hbar/solver"
	"hbar/solver/exact"
	"hbar/solver/likelihood/ode"
)

// blockGaussian is data N(0, v) of one coordinate under a schedule of matrices, with a score that is wrong by the factor 1+ε.
type blockGaussian struct {
	s     *solver.Blocks
	model *exact.Gaussian
	b     int
}

func newBlockGaussian(t *testing.T, name string, v, epsilon float64) *blockGaussian {
	t.Helper()
	s, err := solver.ParseSchedule(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := exact.NewGaussian(s, []float64{0}, []float64{v}, epsilon)
	if err != nil {
		t.Fatal(err)
	}
	return &blockGaussian{solver.BlocksOf(s), m, solver.BlocksOf(s).Size()}
}

// covariance is that of q^h at Tmin, exactly: the score is linear, and V' = β[(A − ((1+h)/2)Q M)V + V(…)ᵀ − h Q] from the prior.
func (g *blockGaussian) covariance(t *testing.T, h float64) *mat.Dense {
	t.Helper()
	b := g.b
	ctx := context.Background()
	lifted := solver.Lift(g.model, g.s)
	aa, qq, _ := g.s.Matrices()
	a, q := mat.NewDense(b, b, aa), mat.NewDense(b, b, qq)
	sys := ode.System{Width: b * b, Eval: func(_ context.Context, dst, y, at []float64, _ []int) error {
		for i, tau := range at {
			time := math.Exp(tau)
			score := mat.NewDense(b, b, nil) // M, a column for each unit vector
			for j := range b {
				unit, s := make([]float64, b), make([]float64, b)
				unit[j] = 1
				if err := lifted.Score(ctx, s, unit, []float64{time}); err != nil {
					return err
				}
				score.SetCol(j, s)
			}
			var k, v mat.Dense
			k.Mul(q, score)
			k.Scale(-(1+h)/2, &k)
			k.Add(&k, a)
			v.Mul(&k, mat.NewDense(b, b, append([]float64(nil), y[i*b*b:(i+1)*b*b]...)))
			for r := range b {
				for c := range b {
					dst[(i*b+r)*b+c] = time * g.s.Beta() * (v.At(r, c) + v.At(c, r) - h*q.At(r, c))
				}
			}
		}
		return nil
	}}
	y := g.s.Prior()
	res, err := ode.Solve(ctx, sys, y, []float64{math.Log(g.s.Tmax())}, []float64{math.Log(g.s.Tmin())}, ode.Settings{Tol: 1e-11})
	if err != nil || res[0].Status != ode.OK {
		t.Fatal(res, err)
	}
	return mat.NewDense(b, b, y)
}

// logDensity of a state, or with one number of its position.
func logDensity(t *testing.T, v *mat.Dense, z []float64) float64 {
	t.Helper()
	n := len(z)
	var full []float64
	for i := range n {
		for j := range n {
			full = append(full, v.At(i, j))
		}
	}
	law, err := newBlockLaw(full, n)
	if err != nil {
		t.Fatal(err)
	}
	return law.logDensity(z, n, 1)
}

// Log q⁰ of points is that of the Gaussian that the flow makes, the velocities integrated out; with the exact score it is that of the data
// after the noise at Tmin.
func TestFlowOfBlocks(t *testing.T) {
	for _, name := range solver.BlockScheduleNames()[:2] {
		for _, epsilon := range []float64{0, 0.1} {
			if name == "cld3" && epsilon == 0 {
				continue
			}
			g := newBlockGaussian(t, name, 0.5, epsilon)
			v := g.covariance(t, 0)
			x := []float64{-1.3, 0.8}
			got, err := Flow(context.Background(), g.model, g.s, x, FlowOptions{Options: Options{Tol: 1e-6, Velocities: 16}, Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range got {
				want := logDensity(t, v, x[i:i+1])
				// 16 draws of one velocity leave little: r(v|x) is nearly q(v|x)
				if p.Status != OK || math.Abs(p.LogQ-want) > 4*p.StdErr+1e-5 || p.StdErr > 0.2 {
					t.Errorf("%s, ε = %g, x = %g: log q = %.5f ± %.5f (%s), want %.5f", name, epsilon, x[i], p.LogQ, p.StdErr, p.Status, want)
				}
			}
			fixed, err := FlowFixed(context.Background(), g.model, g.s, x, FlowOptions{Options: Options{Steps: 100, Velocities: 16}, Seed: 1})
			if err != nil || math.Abs(fixed[0].LogQ-got[0].LogQ) > math.Abs(fixed[0].Halving)/10 { // order four

				t.Errorf("%s: on a fixed mesh log q is %v, %v; want %v", name, fixed[0], err, got[0].LogQ)
			}
			part, err := Flow(context.Background(), g.model, g.s, x[1:2], FlowOptions{Options: Options{Tol: 1e-6, Velocities: 16}, Seed: 1, Sample0: 1})
			if err != nil || part[0].LogQ != got[1].LogQ {
				t.Errorf("%s: a point by itself has log q %v, %v; with others %v", name, part[0].LogQ, err, got[1].LogQ)
			}
		}
	}
}

// ℓ₁ of a state is d log q^h/dh at h = 0, to seven digits; of a point it is the mean over its velocities.
func TestFirstOfBlocks(t *testing.T) {
	g := newBlockGaussian(t, "cld", 0.5, 0.1)
	const dh = 0.0005
	// the fourth-order difference of log q^h, with h < 0 too, where the equation of V is as good
	weights := map[float64]float64{-2 * dh: 1, -dh: -8, dh: 8, 2 * dh: -1}
	slope := func(z []float64) (sum float64) {
		for h, w := range weights {
			sum += w * logDensity(t, g.covariance(t, h), z) / (12 * dh)
		}
		return sum
	}
	p, err := newProblem(g.model, g.s, Options{Tol: 1e-10})
	if err != nil {
		t.Fatal(err)
	}
	z := []float64{0.7, -0.2, -0.4, 0.3}
	states, err := p.estimates(context.Background(), z, EstimateOptions{Options: Options{Tol: 1e-9}, Probes: 4, Inner: 2, Kind: Rademacher}, true, (*estimator).dual)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range states {
		if want := slope(z[2*i : 2*i+2]); e.Status != OK || math.Abs(e.L1-want) > 5e-7*math.Abs(want) { // the tolerance of 1e-9 a step over a few hundred steps
			t.Errorf("state %v: ℓ₁ = %.9f (%s), want %.9f", z[2*i:2*i+2], e.L1, e.Status, want)
		}
	}
	x := []float64{0.7}
	for name, f := range map[string]func(context.Context, solver.Model, solver.Schedule, []float64, EstimateOptions) ([]Estimate, error){"dual": EstimateDual, "times": EstimateTimes} {
		got, err := f(context.Background(), g.model, g.s, x, EstimateOptions{Options: Options{Tol: 1e-4, Velocities: 16}, Probes: 4, Inner: 2, Seed: 3})
		if err != nil {
			t.Fatal(err)
		}
		want := slope(x)
		if e := got[0]; e.Status != OK || math.Abs(e.L1-want) > 4*e.StdErr || e.StdErr > 0.5*math.Abs(want) {
			t.Errorf("%s: ℓ₁ of a point = %.4f ± %.4f (%s), want %.4f", name, e.L1, e.StdErr, e.Status, want)
		}
	}
}

// How far ℓ₁ of a point holds is not known from its states; 0 would say that it holds nowhere.
func TestFirstOfBlocksTrust(t *testing.T) {
	for _, status := range []Status{OK, NotFinite} {
		if e := meanFirst([]FlowPoint{{Status: OK}}, []Estimate{{Status: status, Trust: 0.1}}, []float64{0}); !math.IsNaN(e.Trust) {
			t.Errorf("%s: trusts to h = %g", status, e.Trust)
		}
	}
}

// The path integral gives log q of the chain, whose effective sample size grows with the number of steps; the exact score's density is that
// of the data, to the order of the step.
func TestPathsOfBlocks(t *testing.T) {
	g := newBlockGaussian(t, "cld", 0.5, 0)
	want := logDensity(t, g.covariance(t, 1), []float64{0.4})
	for _, c := range []struct {
		steps int
		ess   float64 // of the paths; they lose about 50/steps
	}{{100, 0.52}, {400, 0.86}, {1600, 0.96}} {
		steps := c.steps
		got, err := PathIntegral(context.Background(), g.model, g.s, []float64{0.4}, []float64{1}, PathOptions{Sampler: solver.Exponential, Grid: solver.GridLambda, Steps: steps, Paths: 200, Seed: 2})
		if err != nil {
			t.Fatal(err)
		}
		e := got[0][0]
		if e.Status != OK || math.Abs(e.ESS/200-c.ess) > 0.08 { // the noise of 200 paths' weights
			t.Errorf("%d steps: the effective sample size is %.2f of the paths (%s), want %.2f", steps, e.ESS/200, e.Status, c.ess)
		}
		// the chain's variance is short by 0.0444 of 0.5 at 100 steps (TestBlockSamplerOrders), 0.04 in log q
		if bias := 6.0 / float64(steps); math.Abs(e.LogQ-want) > 4*e.StdErr+bias {
			t.Errorf("%d steps: log q = %.4f ± %.4f, want %.4f", steps, e.LogQ, e.StdErr, want)
		}
	}
}

func TestBlocksRefused(t *testing.T) {
	g := newBlockGaussian(t, "cld", 0.5, 0)
	ctx, x := context.Background(), []float64{0.4}
	_, em := PathIntegral(ctx, g.model, g.s, x, []float64{1}, PathOptions{})
	_, taylor := Expand(ctx, g.model, g.s, x, ExpandOptions{})
	_, made := Generate(ctx, g.model, g.s, 1, 1, PathOptions{})
	for want, err := range map[string]error{"sampler exp": em, "schedules of scalars": taylor, "the upper bound": made} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
