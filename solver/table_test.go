package solver

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"hbar/kernels"
)

var allH = []float64{0, 0.3, 1, 2.5}

func mustTable(t *testing.T, s Schedule, p Prediction, o TableOptions) *Table {
	t.Helper()
	table, err := NewTable(s, p, o)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// eachMethod runs f for every schedule, sampler and h.
func eachMethod(t *testing.T, f func(t *testing.T, s Schedule, m Sampler, h float64)) {
	for _, s := range all(t) {
		for i := range samplers {
			for _, h := range allH {
				t.Run(fmt.Sprintf("%s/%s/h=%v", s.Name(), Sampler(i), h), func(t *testing.T) { f(t, s, Sampler(i), h) })
			}
		}
	}
}

// All prediction types are one method: with the perfect network of each, folded into the table, the chain is the same.
func TestPredictionsAgree(t *testing.T) {
	g := gauss{0.7, 0.5}
	eachMethod(t, func(t *testing.T, s Schedule, m Sampler, h float64) {
		o := TableOptions{Sampler: m, Grid: GridKarras, Steps: 50, H: h}
		wantMean, wantStd := g.chain(s, Prediction{}, mustTable(t, s, Prediction{}, o))
		for _, name := range PredictionNames()[1:] {
			p, err := ParsePrediction(name)
			if err != nil {
				t.Fatal(err)
			}
			p.SigmaData = 0.8
			mean, std := g.chain(s, p, mustTable(t, s, p, o))
			// The networks' values differ by up to 10⁴ (eps and x0 at the ends), and their rounding with them.
			if !(math.Abs(mean-wantMean) < 1e-10) || !(math.Abs(std-wantStd) < 1e-10) {
				t.Errorf("%s: mean %v, std %v; by the score %v, %v", name, mean, std, wantMean, wantStd)
			}
		}
	})
}

// h = 0 draws no noise whatever the choice for the last step, and a dial that is constant is the constant.
func TestTableLimits(t *testing.T) {
	eachMethod(t, func(t *testing.T, s Schedule, m Sampler, h float64) {
		o := TableOptions{Sampler: m, Grid: GridLambda, Steps: 7, H: h}
		table := mustTable(t, s, Prediction{}, o)
		o.HOf = func(float64) float64 { return h }
		o.H = 99
		same := mustTable(t, s, Prediction{}, o)
		for i, r := range table.Rows {
			if r != same.Rows[i] {
				t.Errorf("row %d: constant h %+v, h(t) %+v", i, r, same.Rows[i])
			}
			noisy := r.Noise != 0 || r.KeepNoise != 0
			if want := h > 0 && i%table.Stride == 0; noisy != want {
				t.Errorf("row %d draws noise: %v, want %v: %+v", i, noisy, want, r)
			}
			if r.Step != uint32(i/table.Stride) {
				t.Errorf("row %d has step %d", i, r.Step)
			}
		}
		if kernels.UsesMemory(table.Rows) != (m == Heun || m == Exponential2) {
			t.Errorf("memory used: %v", !(m == Heun || m == Exponential2))
		}
		o = TableOptions{Sampler: m, Grid: GridLambda, Steps: 7, H: h, LastNoise: LastMean}
		mean := mustTable(t, s, Prediction{}, o)
		o.LastNoise = LastNone
		none := mustTable(t, s, Prediction{}, o)
		o.LastNoise, o.H = LastFull, 0
		ode := mustTable(t, s, Prediction{}, o)
		for i, r := range table.Rows {
			want, wantNone := r, r
			if i/table.Stride == 6 {
				want.Noise, want.KeepNoise = 0, 0
				wantNone = ode.Rows[i]
			}
			if mean.Rows[i] != want || none.Rows[i] != wantNone {
				t.Errorf("row %d: full %+v, mean %+v, none %+v", i, r, mean.Rows[i], none.Rows[i])
			}
		}
	})
}

// Euler–Maruyama's rows are the loop that everyone writes.
func TestEulerMaruyamaRows(t *testing.T) {
	for _, s := range all(t) {
		table := mustTable(t, s, Prediction{}, TableOptions{Steps: 10, H: 0.4})
		dt := (s.Tmax() - s.Tmin()) / 10
		for k, r := range table.Rows {
			tt := s.Tmax() - float64(k)*dt
			want := kernels.Row{Tau: tt, Cin: 1, State: 1 - s.Drift(tt)*dt, Net: 0.7 * s.Diffusion2(tt) * dt, Noise: math.Sqrt(0.4 * s.Diffusion2(tt) * dt), Step: uint32(k)}
			// t from the grid and from the loop differ by roundings of Tmax; near the end of cosine g² multiplies them by 10³
			for _, c := range [][2]float64{{r.Tau, want.Tau}, {r.State, want.State}, {r.Net, want.Net}, {r.Noise, want.Noise}, {r.Cin, 1}} {
				if !(math.Abs(c[0]-c[1]) <= 1e-12*(1+math.Abs(c[1]))) {
					t.Errorf("%s row %d: %+v, want %+v", s.Name(), k, r, want)
				}
			}
		}
	}
}

// DDIM: with the noise prediction ε and h = 0, x' = (α'/α) x + (σ' − (α'/α) σ) ε (Song 2020, arXiv:2010.02502, eq. 12),
// and DPM-Solver++ of first order, x' = (σ'/σ) x − α' (e^{−Δ} − 1) x̂0 (Lu 2022, arXiv:2211.01095, eq. 9), for h = 0; its SDE
// version, x' = (σ'/σ) e^{−Δ} x + α' (1 − e^{−2Δ}) x̂0 + σ' √(1 − e^{−2Δ}) z (eq. 18), for h = 1.
func TestDDIM(t *testing.T) {
	for _, s := range all(t) {
		o := TableOptions{Sampler: Exponential, Grid: GridLambda, Steps: 20}
		eps := mustTable(t, s, Prediction{Target: PredictEps}, o)
		x0 := mustTable(t, s, Prediction{Target: PredictX0}, o)
		o.H = 1
		sde := mustTable(t, s, Prediction{Target: PredictX0}, o)
		for k := range eps.Rows {
			t0, t1 := eps.Times[k], eps.Times[k+1]
			a, a1, g, g1 := s.Alpha(t0), s.Alpha(t1), s.Sigma(t0), s.Sigma(t1)
			d := s.Lambda(t1) - s.Lambda(t0)
			for _, c := range []struct {
				what      string
				got, want float64
			}{
				{"DDIM A", eps.Rows[k].State, a1 / a},
				{"DDIM B", eps.Rows[k].Net, g1 - a1/a*g},
				{"DPM++ A", x0.Rows[k].State, g1 / g},
				{"DPM++ B", x0.Rows[k].Net, -a1 * math.Expm1(-d)},
				{"SDE-DPM++ A", sde.Rows[k].State, g1 / g * math.Exp(-d)},
				{"SDE-DPM++ B", sde.Rows[k].Net, -a1 * math.Expm1(-2*d)},
				{"SDE-DPM++ C", sde.Rows[k].Noise, g1 * math.Sqrt(-math.Expm1(-2*d))},
			} {
				// λ rounds at 10⁻¹⁵, and σ' − (α'/α)σ is the difference of terms up to σ
				if !(math.Abs(c.got-c.want) <= 4e-14*(math.Abs(c.want)+g)) {
					t.Errorf("%s step %d: %s = %v, want %v", s.Name(), k, c.what, c.got, c.want)
				}
			}
		}
	}
}

// At h = 1 the exponential integrator carries the mean of Gaussian data exactly, in any number of steps.
func TestExponentialMeanExact(t *testing.T) {
	g := gauss{0.7, 0.5}
	for _, s := range all(t) {
		for _, m := range []Sampler{Exponential, Exponential2} {
			want, _ := g.exact(s, 1)
			mean, _ := g.chain(s, Prediction{}, mustTable(t, s, Prediction{}, TableOptions{Sampler: m, Grid: GridLambda, Steps: 10, H: 1}))
			if !(math.Abs(mean-want) < 1e-14) { // roundings of ten steps
				t.Errorf("%s %v: mean %v, want %v", s.Name(), m, mean, want)
			}
		}
	}
}

func TestLinearGain(t *testing.T) {
	// Both branches meet; in between the difference form itself is good to 2ε/y².
	for _, h := range []float64{0, 1, 3} {
		for _, d := range []float64{1e-6, 1e-4, 0.00249, 0.0026, 0.00999, 0.0101, 0.1, 1, 30} {
			y := (1 + h) * d
			want := (y + math.Expm1(-y)) / (1 + h)
			if got := linearGain(h, d); !(math.Abs(got/want-1) <= 1e-14+4e-16/y) {
				t.Errorf("h = %v, Δ = %v: %v, want %v", h, d, got, want)
			}
		}
	}
}

// A dial that varies: all samplers converge to one law, and that law is not that of a constant.
func TestVaryingDial(t *testing.T) {
	g := gauss{0.7, 0.5}
	for _, s := range smooth(t) {
		// 2 at the noise end, 0 at the data end, smooth in λ
		mid := (s.Lambda(s.Tmin()) + s.Lambda(s.Tmax())) / 2
		h := func(t float64) float64 { return 1 - math.Tanh((s.Lambda(t)-mid)/2) }
		o := TableOptions{Sampler: Heun, Grid: GridLambda, Steps: 4000, HOf: h}
		_, want := g.chain(s, Prediction{}, mustTable(t, s, Prediction{}, o))
		for i := range samplers {
			m := Sampler(i)
			order, _ := m.Order()
			var e [2]float64
			for j, steps := range []int{500, 1000} {
				o.Sampler, o.Steps = m, steps
				_, std := g.chain(s, Prediction{}, mustTable(t, s, Prediction{}, o))
				e[j] = math.Abs(std - want)
			}
			if slope := math.Log2(e[0] / e[1]); !(slope > order-0.2) || !(e[1] < 0.02) { // at 1000 steps; h that goes by the time leaves more of the next order
				t.Errorf("%s %v: errors %.3g, order %.2f, want %v", s.Name(), m, e, slope, order)
			}
		}
	}
}

func TestGrids(t *testing.T) {
	for _, s := range all(t) {
		for i := range gridNames {
			g := Grid(i)
			for _, steps := range []int{1, 2, 7, 1000, 20000} {
				times, err := g.Times(s, steps)
				if err != nil {
					t.Fatalf("%s %v %d: %v", s.Name(), g, steps, err)
				}
				if len(times) != steps+1 || times[0] != s.Tmax() || times[steps] != s.Tmin() {
					t.Errorf("%s %v %d: %d times from %v to %v", s.Name(), g, steps, len(times), times[0], times[len(times)-1])
				}
			}
			// the quantity that the grid divides evenly
			u := map[Grid]func(float64) float64{
				GridTime:   func(t float64) float64 { return t },
				GridLambda: s.Lambda,
				GridKarras: func(t float64) float64 { return math.Pow(s.Sigma(t)/s.Alpha(t), 1.0/7) },
			}[g]
			times, _ := g.Times(s, 9)
			step := (u(times[9]) - u(times[0])) / 9
			for k := range 9 {
				if d := u(times[k+1]) - u(times[k]); !(math.Abs(d/step-1) < 1e-11) { // the inverse of λ(t) to rounding, times λ over a step; measured 1e-13
					t.Errorf("%s %v: step %d is %v, want %v", s.Name(), g, k, d, step)
				}
			}
		}
	}
}

func TestTableErrors(t *testing.T) {
	simple := named(t, "simple")
	ve, err := NewSchedule("ve", map[string]float64{"tmin": 0})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewTable(ve, Prediction{}, TableOptions{Grid: GridLambda, Steps: 10}); err != nil {
		t.Errorf("ve from t = 0, where σ is not 0: %v", err)
	}
	for _, c := range []struct {
		o    TableOptions
		want string
	}{
		{TableOptions{Steps: -3}, "-3 steps; need at least 1"},
		{TableOptions{H: -0.1}, "h = -0.1 at t = 1; h must be finite and not negative"},
		{TableOptions{H: math.NaN()}, "h = NaN"},
		{TableOptions{H: math.Inf(1)}, "h = +Inf"},
		{TableOptions{H: 1e308}, "overflows"},
		{TableOptions{Sampler: 9}, "no sampler 9; have em, exp, exp2, heun"},
		{TableOptions{Grid: 9}, "no grid 9; have t, lambda, karras"},
		{TableOptions{LastNoise: 9}, "no last noise 9; have full, mean, none"},
	} {
		if _, err := NewTable(simple, Prediction{}, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %s", c.o, err, c.want)
		}
	}
	narrow := &EDM{Span{1, math.Nextafter(1, 2)}}
	if _, err := GridTime.Times(narrow, 5); err == nil || !strings.Contains(err.Error(), "too fine") {
		t.Errorf("five steps in one rounding: error %v", err)
	}
}

func TestNames(t *testing.T) {
	check := func(what, name string, names []string, err error, back string) {
		if err != nil || back != name {
			t.Errorf("%s %q comes back as %q, %v (of %v)", what, name, back, err, names)
		}
	}
	for _, n := range SamplerNames() {
		v, err := ParseSampler(n)
		check("sampler", n, SamplerNames(), err, v.String())
	}
	for _, n := range GridNames() {
		v, err := ParseGrid(n)
		check("grid", n, GridNames(), err, v.String())
	}
	for _, n := range LastNoiseNames() {
		v, err := ParseLastNoise(n)
		check("last noise", n, LastNoiseNames(), err, v.String())
	}
	for _, n := range PredictionNames() {
		v, err := ParsePrediction(n)
		check("prediction", n, PredictionNames(), err, v.String())
	}
	for _, n := range WeightingNames() {
		v, err := ParseWeighting(n)
		check("weighting", n, WeightingNames(), err, v.String())
	}
	_, e1 := ParseSampler("rk4")
	_, e2 := ParseGrid("log")
	_, e3 := ParseLastNoise("half")
	_, e4 := ParsePrediction("noise")
	_, e5 := ParseWeighting("w")
	for i, want := range []string{
		`solver: sampler "rk4" unknown; have em, exp, exp2, heun`,
		`solver: grid "log" unknown; have t, lambda, karras`,
		`solver: last noise "half" unknown; have full, mean, none`,
		`solver: prediction "noise" unknown; have score, eps, x0, v, edm`,
		`solver: weighting "w" unknown; have g2, sigma2, edm`,
	} {
		if err := []error{e1, e2, e3, e4, e5}[i]; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
