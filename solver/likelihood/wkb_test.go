package likelihood

import (
	"context"
	"math"
	"testing"

	"hbar/solver"
	"hbar/solver/exact"
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
