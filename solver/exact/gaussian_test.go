package exact

import (
	"context"
	"math"
	"testing"

	"hbar/solver"
	"hbar/solver/likelihood/ode"
)

func schedule(t *testing.T, name string) solver.Schedule {
	t.Helper()
	s, err := solver.ParseSchedule(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func gaussian(t *testing.T, s solver.Schedule, mean, variance, epsilon float64) *Gaussian {
	t.Helper()
	g, err := NewGaussian(s, []float64{mean}, []float64{variance}, epsilon)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func close(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol*max(1, math.Abs(want))) {
		t.Errorf("%s: got %.12g, want %.12g", what, got, want)
	}
}

// Figures from an independent integration of the variance's equation: V to one unit of the last digit given, V1 (there by
// differences in h) to 10⁻⁷.
func TestCheckedFigures(t *testing.T) {
	for _, c := range []struct {
		schedule string
		v        map[float64]float64
		v1       float64
	}{
		{"simple", map[float64]float64{0: 0.17183199938, 0.1: 0.26610128768, 0.3: 0.35071125811, 1: 0.41708334873}, 1.26593140},
		{"cosine", map[float64]float64{0: 0.12829806296, 0.1: 0.25320100591, 1: 0.41676947336}, 1.79821034},
	} {
		s := schedule(t, c.schedule)
		g := gaussian(t, s, 0, 0.5, 0.1)
		for h, want := range c.v {
			close(t, c.schedule+" V(h)", g.At(h, s.Tmin()).Var[0], want, 1.1e-11) // half of the last digit that is written here, and roundings
		}
		_, v := g.Series(s.Tmin())
		close(t, c.schedule+" V1", v[0][1], c.v1, 3e-7) // the figures are of differences in h
	}
}

// The moments and their h-derivatives against the differential equations that define them, integrated in λ:
// dM/dt = aM + c g²(M − αm)/v, dV/dt = 2(a + c g²/v) V − h g², c = (1+h)(1+ε)/2, with first and second sensitivities in h.
func TestClosedFormsSolveTheEquations(t *testing.T) {
	for _, name := range solver.ScheduleNames() {
		s := schedule(t, name)
		for _, p := range []struct{ mean, v0, eps, h float64 }{
			{0, 0.5, 0.1, 0}, {0.7, 0.5, 0.1, 0.3}, {-1.2, 0.03, -0.2, 0}, {0.4, 2, 0, 0}, {0.4, 2, 0, 1}, {1, 1, 0.3, 1.5}, {1, 0.2, -1, 0.5}} {
			g := gaussian(t, s, p.mean, p.v0, p.eps)
			k := (1 + p.eps) / 2
			sys := ode.System{Width: 6, Eval: func(_ context.Context, dst, y, lambda []float64, _ []int) error {
				for i, l := range lambda {
					tt := s.TimeOfLambda(l)
					al, s2, g2 := s.Alpha(tt), s.Sigma2(tt), s.Diffusion2(tt)
					v := al*al*p.v0 + s2
					a, b := s.Drift(tt), k*g2/v
					c := (1 + p.h) * b
					y, dst := y[6*i:6*i+6], dst[6*i:6*i+6]
					dt := -2 * s2 / g2
					dst[0] = a*y[0] + c*(y[0]-al*p.mean)
					dst[1] = a*y[1] + c*y[1] + b*(y[0]-al*p.mean)
					dst[2] = a*y[2] + c*y[2] + b*y[1] // coefficient of h²: half the second derivative
					dst[3] = 2*(a+c)*y[3] - p.h*g2
					dst[4] = 2*(a+c)*y[4] + 2*b*y[3] - g2
					dst[5] = 2*(a+c)*y[5] + 2*b*y[4]
					for j := range dst {
						dst[j] *= dt
					}
				}
				return nil
			}}
			sd := s.PriorStd()
			y := []float64{0, 0, 0, sd * sd, 0, 0}
			res, err := ode.Solve(context.Background(), sys, y, []float64{s.Lambda(s.Tmax())}, []float64{s.Lambda(s.Tmin())}, ode.Settings{Tol: 1e-13})
			if err != nil || res[0].Status != ode.OK {
				t.Fatal(err, res)
			}
			m := g.At(p.h, s.Tmin())
			const tol = 5e-12 // some hundred steps at 1e-13, whose errors add up where the variance shrinks from 2500 (VE)
			close(t, name+" mean", m.Mean[0], y[0], tol)
			close(t, name+" variance", m.Var[0], y[3], tol)
			if p.h == 0 {
				mean, variance := g.Series(s.Tmin())
				for j := range 3 {
					close(t, name+" mean series", mean[0][j], y[j], tol)
					close(t, name+" variance series", variance[0][j], y[3+j], tol)
				}
			}
		}
	}
}

// log q^h − (log q⁰ + h ℓ₁ + h² ℓ₂) must fall with the third power of h.
func TestExpansion(t *testing.T) {
	for _, name := range solver.ScheduleNames() {
		s := schedule(t, name)
		g, err := NewGaussian(s, []float64{0.3, -0.5}, []float64{0.5, 0.2}, 0.1)
		if err != nil {
			t.Fatal(err)
		}
		x := []float64{0.6, 0.1}
		e := g.Expand(x, s.Tmin())
		rest := func(h float64) float64 { return g.LogQ(x, h, s.Tmin()) - (e.LogQ0 + h*e.L1 + h*h*e.L2) }
		if order := math.Log2(math.Abs(rest(2e-3) / rest(1e-3))); !(math.Abs(order-3) < 0.2) { // the next term, h⁴, is a few per cent of h³ here
			t.Errorf("%s: remainder of order %.2f: %g, %g", name, order, rest(2e-3), rest(1e-3))
		}
		const d = 1e-5 // central differences err by d² = 1e-10 times a third derivative, and by rounding, 1e-16/d
		lap := 0.0
		for i := range x {
			p, m := append([]float64(nil), x...), append([]float64(nil), x...)
			p[i] += d
			m[i] -= d
			up, down := g.LogQ(p, 0, s.Tmin()), g.LogQ(m, 0, s.Tmin())
			close(t, name+" gradient", e.Grad[i], (up-down)/(2*d), 1e-9)
			lap += (up + down - 2*e.LogQ0) / (d * d)
		}
		close(t, name+" Laplacian", e.Laplacian, lap, 1e-5) // the same of second differences, whose rounding is 1e-16/d² = 1e-6
	}
}

// The discrete chain tends to the continuous process at the order of its sampler.
func TestChainConverges(t *testing.T) {
	s := schedule(t, "simple")
	g := gaussian(t, s, 0.3, 0.5, 0.1)
	for _, c := range []struct {
		sampler solver.Sampler
		h       float64
		order   float64
	}{{solver.EulerMaruyama, 0.3, 1}, {solver.Exponential, 0.3, 1}, {solver.Exponential2, 0, 2}, {solver.Heun, 0.3, 2}} {
		errAt := func(steps int) float64 {
			table, err := solver.NewTable(s, solver.Prediction{}, solver.TableOptions{Sampler: c.sampler, Grid: solver.GridLambda, Steps: steps, H: c.h})
			if err != nil {
				t.Fatal(err)
			}
			m, err := g.Chain(table.Rows)
			if err != nil {
				t.Fatal(err)
			}
			return math.Abs(m.Var[0] - g.At(c.h, s.Tmin()).Var[0])
		}
		coarse, fine := errAt(400), errAt(800)
		if order := math.Log2(coarse / fine); !(math.Abs(order-c.order) < 0.2) { // terms of the next order, at 400 steps
			t.Errorf("%v: order %.2f in the variance (%g, %g), want %g", c.sampler, order, coarse, fine, c.order)
		}
	}
}

func TestGaussianDistances(t *testing.T) {
	p, q := Moments{[]float64{1}, []float64{4}}, Moments{[]float64{3}, []float64{1}}
	const rounding = 1e-15
	close(t, "W2²", p.W2Squared(q), 4+1, rounding)
	close(t, "entropy", p.CrossEntropy(p), (1+math.Log(2*math.Pi*4))/2, rounding)
	close(t, "cross entropy", p.CrossEntropy(q), (5.0/4+math.Log(2*math.Pi*4))/2, rounding)
}
