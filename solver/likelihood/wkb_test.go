package likelihood

import (
	"context"
	"math"
	"testing"

	"hbar/solver"
	"hbar/solver/exact"
	"hbar/solver/fokkerplanck"
)

var ctx = context.Background()

func schedule(t testing.TB, name string) solver.Schedule {
	t.Helper()
	s, err := solver.ParseSchedule(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol*max(1, math.Abs(want))) {
		t.Errorf("%s: got %.10g, want %.10g", what, got, want)
	}
}

// Closed forms in one to three dimensions, every schedule, several ε.
func TestExpandGaussians(t *testing.T) {
	for _, name := range solver.ScheduleNames() {
		s := schedule(t, name)
		for _, eps := range []float64{0.1, 0, -0.15} {
			for d := 1; d <= 3; d++ {
				g, err := exact.NewGaussian(s, []float64{0.3, -0.5, 0}[:d], []float64{0.5, 0.2, 1.5}[:d], eps)
				if err != nil {
					t.Fatal(err)
				}
				x := []float64{0.6, 0.1, -0.9, -0.4, 1.2, 0.7}[:2*d]
				for _, clock := range []Clock{ClockLambda, ClockTime} {
					if _, discrete := s.(*solver.DDPM); discrete && clock == ClockTime {
						continue // the drift in t jumps a thousand times, where steps at this tolerance are refused
					}
					order := min(2, 4-d)
					got, err := Expand(ctx, g, s, x, ExpandOptions{Options: Options{Tol: 1e-9, Clock: clock}, Order: order})
					if err != nil {
						t.Fatal(err)
					}
					for i, e := range got {
						want := g.Expand(x[i*d:(i+1)*d], s.Tmin())
						if e.Status != OK {
							t.Fatalf("%s D=%d %v: %+v", name, d, clock, e)
						}
						const tol = 1e-6
						near(t, name+" log q", e.LogQ, want.LogQ0, tol)
						near(t, name+" l1", e.L1, want.L1, tol)
						near(t, name+" Laplacian", e.Laplacian, want.Laplacian, tol)
						for j := range d {
							near(t, name+" u", e.Grad[j], want.Grad[j], tol)
						}
						if order == 2 {
							near(t, name+" l2", e.L2, want.L2, tol)
						}
					}
				}
			}
		}
	}
}

// A model in one dimension that is not linear: the third order of the remainder against a Fokker–Planck solution checks
// ℓ₁ and ℓ₂ together.
func TestSecondOrderAgainstFokkerPlanck(t *testing.T) {
	s := schedule(t, "simple")
	m, err := exact.NewMixture(s, []float64{1, 2}, [][]float64{{0.7}, {-0.5}}, [][]float64{{0.3}, {0.4}}, 0.05)
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{-1, -0.3, 0.2, 0.9}
	e, err := Expand(ctx, m, s, x, ExpandOptions{Options: Options{Tol: 1e-8}, Order: 2})
	if err != nil {
		t.Fatal(err)
	}
	hs := []float64{0.04, 0.08}
	sol, err := fokkerplanck.Solve(ctx, m, s, hs, &fokkerplanck.Options{Tolerance: 1e-6})
	if err != nil {
		t.Fatal(err)
	}
	rest := make([][]float64, len(hs))
	for j, h := range hs {
		values, err := sol[j].LogQ(x)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			rest[j] = append(rest[j], v.LogQ-logQAt(e[i], h))
			t.Logf("h=%g x=%g: %.7f ± %.1g, expansion %.7f, ℓ₁ %.4f ℓ₂ %.4f", h, x[i], v.LogQ, v.Err, logQAt(e[i], h), e[i].L1, e[i].L2)
		}
	}
	for i := range x {
		if order := math.Log2(math.Abs(rest[1][i] / rest[0][i])); !(order > 2.4 && order < 3.4) {
			t.Errorf("x = %g: the remainder %g, %g has order %.2f", x[i], rest[0][i], rest[1][i], order)
		}
	}
}

// What Expand returns besides ℓ₁ belongs together.
func TestExpansionIsConsistent(t *testing.T) {
	s := schedule(t, "simple")
	m := lopsided(t, s)
	x := []float64{0.5, 0.4, -0.9, 0.1}
	o := ExpandOptions{Options: Options{Tol: 1e-8}, Order: 2, Theta: 0.2, Record: true}
	got, err := Expand(ctx, m, s, x, o)
	if err != nil {
		t.Fatal(err)
	}
	const step = 1e-3
	for i, e := range got {
		near(t, "parts", e.DivTerm+e.GradTerm, e.L1, 1e-6) // each is integrated by itself, with a tolerance of 1e-8 a step
		near(t, "trust", e.Trust, 0.2*math.Abs(e.L1/e.L2), 1e-14)
		near(t, "Laplacian", e.Laplacian, e.Hessian[0]+e.Hessian[3], 1e-14)
		// Gradient and Hessian against differences of log q⁰: error step²/6 f‴ of order 10⁻⁵.
		at := x[2*i : 2*i+2]
		probes := []float64{at[0] + step, at[1], at[0] - step, at[1], at[0], at[1] + step, at[0], at[1] - step}
		q, err := Expand(ctx, m, s, probes, ExpandOptions{Options: Options{Tol: 1e-8}})
		if err != nil {
			t.Fatal(err)
		}
		for j := range 2 {
			up, down := q[2*j], q[2*j+1]
			near(t, "u", e.Grad[j], (up.LogQ-down.LogQ)/(2*step), 1e-4) // ten times the error of the differences
			for k := range 2 {
				near(t, "H", e.Hessian[j*2+k], (up.Grad[k]-down.Grad[k])/(2*step), 1e-3) // u is known to 10⁻⁵ over the step
			}
		}
		// The mismatch at the end of the recorded path is the one returned; its integral over the path is Mismatch.
		last := e.Path[len(e.Path)-1]
		if last.T != s.Tmin() || e.Path[0].T != s.Tmax() {
			t.Errorf("the path goes from t = %g to %g", e.Path[0].T, last.T)
		}
		for j := range 2 {
			near(t, "mismatch", last.Diff[j], e.MismatchEnd[j], 1e-5) // a difference of scores of order 10³, with a tolerance of 1e-8
		}
		integral := 0.0
		for k := 1; k < len(e.Path); k++ {
			a, b := e.Path[k-1], e.Path[k]
			f := func(p Mismatch) float64 { return s.Diffusion2(p.T) / 2 * dot(p.Diff, p.Diff) }
			integral += (a.T - b.T) * (f(a) + f(b)) / 2
		}
		near(t, "½∫g²|s−u|²", e.Mismatch, integral, 0.2*e.Mismatch) // the trapezoid rule on the steps of a method of order 8
		near(t, "return", e.Return, 0, 1e-6)
	}
}

// The published method agrees with ours to the accuracy its authors report, and costs hundreds of times more.
func TestPublishedMethod(t *testing.T) {
	g, m := loadGolden(t, "simple"), network(t, "simple")
	got, err := Published(ctx, m, m.Schedule(), g.X[:12], PublishedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var far worst
	for i, p := range got {
		if p.Status != OK || p.Inner < 1000 {
			t.Errorf("point %d: %+v", i, p)
		}
		far.see(p.L1 - g.L1[i])
	}
	if !(far < 0.4 && far > 1e-4) { // their inner tolerance over DX², 1e-5/1e-4; an exact one would not be theirs
		t.Errorf("greatest error %.2g; want that of finite differences", float64(far))
	}
}

// logQAt is the expansion at h, to second order if that is known.
func logQAt(e Expansion, h float64) float64 {
	l := e.LogQ + h*e.L1
	if !math.IsNaN(e.L2) {
		l += h * h * e.L2
	}
	return l
}
