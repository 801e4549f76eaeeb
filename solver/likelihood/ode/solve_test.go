package ode

import (
	"context"
	"errors"
	"math"
	"testing"
)

// rotation is y” = -ω² y with a different ω for each sample, and a third component dτ: y = (cos ωτ, -sin ωτ, τ²/2).
func rotation() System {
	return System{Width: 3, Eval: func(_ context.Context, dst, y, tau []float64, rows []int) error {
		for i, r := range rows {
			w := 1 + float64(r)
			dst[3*i], dst[3*i+1], dst[3*i+2] = w*y[3*i+1], -w*y[3*i], tau[i]
		}
		return nil
	}}
}

func solveRotation(t *testing.T, set Settings, n int) (worst float64, res []Result) {
	t.Helper()
	y, from, to := make([]float64, 3*n), make([]float64, n), make([]float64, n)
	for i := range n {
		y[3*i] = 1
		to[i] = 2
		if i%2 == 1 {
			to[i] = -2
		}
	}
	res, err := Solve(context.Background(), rotation(), y, from, to, set)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		w := 1 + float64(i)
		s, c := math.Sincos(w * to[i])
		if res[i].Status != OK || res[i].Tau != to[i] {
			t.Fatalf("sample %d: %+v", i, res[i])
		}
		worst = max(worst, math.Abs(y[3*i]-c), math.Abs(y[3*i+1]+s), math.Abs(y[3*i+2]-2))
	}
	return worst, res
}

func TestMeasuredOrder(t *testing.T) {
	for _, m := range []*Tableau{RK4, DormandPrince, DOP853} {
		coarse, _ := solveRotation(t, Settings{Method: m, Steps: 6}, 2)
		fine, _ := solveRotation(t, Settings{Method: m, Steps: 12}, 2)
		order := math.Log2(coarse / fine)
		if !(math.Abs(order-float64(m.Order)) < 0.5) { // terms of the next order at 12 steps; an order is not taken for its neighbour
			t.Errorf("%s: errors %g, %g: order %.2f, want %d", m.Name, coarse, fine, order, m.Order)
		}
	}
}

// The error follows the tolerance (a factor of 30 for the accumulation over the steps), and samples keep own steps.
func TestAdaptive(t *testing.T) {
	for _, m := range []*Tableau{DormandPrince, DOP853} {
		for _, tol := range []float64{1e-4, 1e-7, 1e-10} {
			worst, res := solveRotation(t, Settings{Method: m, Tol: tol}, 8)
			if !(worst < 30*tol) {
				t.Errorf("%s at tolerance %g: error %g", m.Name, tol, worst)
			}
			if res[0].Steps >= res[7].Steps {
				t.Errorf("%s: %d steps at frequency 1, %d at 8", m.Name, res[0].Steps, res[7].Steps)
			}
			for i, r := range res {
				if want := 2 + (m.Stages()-1)*(r.Steps+r.Rejected); r.Evals != want {
					t.Errorf("%s sample %d: %d evaluations counted, want %d", m.Name, i, r.Evals, want)
				}
			}
		}
	}
}

// A sample's result does not depend on the batch it is in.
func TestSamplesAreIndependent(t *testing.T) {
	y8, y1 := make([]float64, 24), make([]float64, 3)
	to := make([]float64, 8)
	for i := range to {
		y8[3*i], to[i] = 1, 2
	}
	y1[0] = 1
	if _, err := Solve(context.Background(), rotation(), y8, make([]float64, 8), to, Settings{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Solve(context.Background(), rotation(), y1, []float64{0}, to[:1], Settings{}); err != nil {
		t.Fatal(err)
	}
	if y1[0] != y8[0] || y1[1] != y8[1] {
		t.Errorf("alone %v, in a batch %v", y1, y8[:3])
	}
}

func TestStatuses(t *testing.T) {
	sys := System{Width: 1, Eval: func(_ context.Context, dst, y, tau []float64, rows []int) error {
		for i, r := range rows {
			switch r {
			case 0: // fine
				dst[i] = -y[i]
			case 1: // a pole at τ = 1/2
				dst[i] = y[i] * y[i]
			case 2: // not a number from τ = 0.3 on
				dst[i] = -y[i]
				if tau[i] > 0.3 {
					dst[i] = math.NaN()
				}
			case 3: // a jump of infinite derivative
				dst[i] = 1 / math.Sqrt(math.Abs(tau[i]-0.3))
			case 5: // fast oscillation
				dst[i] = 1e7 * math.Cos(1e7*tau[i])
			default:
				dst[i] = -y[i]
			}
		}
		return nil
	}}
	y := []float64{1, 2, 1, 0, math.NaN(), 0, 1}
	to := []float64{1, 1, 1, 1, 1, 1, 1}
	starts := 0
	res, err := Solve(context.Background(), sys, y, make([]float64, 7), to, Settings{Tol: 1e-9,
		Skip:   func(i int) bool { return i == 6 },
		Accept: func(_ int, tau float64, _, _ []float64) { starts += map[bool]int{true: 1}[tau == 0] }})
	if err != nil {
		t.Fatal(err)
	}
	want := []Status{OK, "", NotFinite, "", NotFinite, TooManySteps, NotRun}
	for i, r := range res {
		if want[i] != "" && r.Status != want[i] {
			t.Errorf("sample %d: %+v, want %s", i, r, want[i])
		}
	}
	// Singularities end in one of the failures, short of the end.
	for _, i := range []int{1, 3} {
		if r := res[i]; r.Status != StepTooSmall && r.Status != NotFinite && r.Status != TooManySteps {
			t.Errorf("sample %d, singular: %+v", i, r)
		}
	}
	if math.Abs(y[0]-math.Exp(-1)) > 1e-10 { // the tolerance, a step
		t.Errorf("the good sample ended at %g", y[0])
	}
	if starts != 5 {
		t.Errorf("%d starts seen, want 5", starts)
	}
}

func TestErrors(t *testing.T) {
	boom := errors.New("boom")
	sys := System{Width: 1, Eval: func(context.Context, []float64, []float64, []float64, []int) error { return boom }}
	if _, err := Solve(context.Background(), sys, []float64{1}, []float64{0}, []float64{1}, Settings{}); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Solve(ctx, rotation(), make([]float64, 3), []float64{0}, []float64{1}, Settings{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	for _, set := range []Settings{{Tol: -1}, {Tol: math.NaN()}, {Steps: -1}, {MaxSteps: -1}, {Method: RK4}, {Weights: []float64{1}}} {
		if _, err := Solve(context.Background(), rotation(), make([]float64, 3), []float64{0}, []float64{1}, set); err == nil {
			t.Errorf("%+v accepted", set)
		}
	}
}

// Progress is heard after each step, so that a long solution of one sample shows that it goes on.
func TestProgressOfEachStep(t *testing.T) {
	calls, last := 0, 0
	solveRotation(t, Settings{Method: RK4, Steps: 7, Progress: func(done, total int) {
		if calls++; done < last || total != 2 {
			t.Errorf("%d of %d after %d", done, total, last)
		}
		last = done
	}}, 2)
	if calls != 7 || last != 2 {
		t.Errorf("%d calls, the last with %d; want 7, 2", calls, last)
	}
}
