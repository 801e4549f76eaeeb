package solver

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// all returns every schedule with its published settings.
func all(t *testing.T) []Schedule {
	t.Helper()
	var out []Schedule
	for _, name := range ScheduleNames() {
		s, err := ParseSchedule(name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

// named is the schedule of a name with its published settings.
func named(t *testing.T, name string) Schedule {
	t.Helper()
	s, err := NewSchedule(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// smooth are those whose g² is continuous: only there methods reach their orders.
func smooth(t *testing.T) []Schedule {
	return slices.DeleteFunc(all(t), func(s Schedule) bool { _, discrete := s.(*DDPM); return discrete })
}

// derivative is the eighth-order central difference of f at t.
func derivative(f func(float64) float64, t, d float64) float64 {
	c := [...]float64{4.0 / 5, -1.0 / 5, 4.0 / 105, -1.0 / 280}
	var sum float64
	for i, w := range c {
		k := float64(i + 1)
		sum += w * (f(t+k*d) - f(t-k*d))
	}
	return sum / d
}

// probes are times over [Tmin, Tmax], dense at both ends, each with the distance over which the schedule is smooth.
func probes(s Schedule) (times, scales []float64) {
	lo, hi := s.Tmin(), s.Tmax()
	for i := range 201 {
		f := (1 - math.Cos(math.Pi*float64(i)/200)) / 2
		t := lo + f*(hi-lo)
		scale := t // the functions behave as powers of t near 0
		switch s.Name() {
		case "cosine":
			scale = min(t, 1-t)
		case "ve":
			scale = 0.1 // e^{8.5 t}
		case "simple", "vp", "subvp":
			scale = min(t, 0.2) // e^{−5t²}, e^{−10t}
		case "ddpm", "ddpm-cosine": // smooth between the states, a thousandth apart; the first is as 1/t
			t = (math.Floor(t*1000-1e-6) + 0.5) / 1000
			scale = min(t, 0.004)
		}
		times, scales = append(times, t), append(scales, scale)
	}
	return times, scales
}

// The forward process is dx = a x dt + g dw: α' = aα, (σ²)' = 2aσ² + g², g² = −2σ²λ'. Differences of eighth order with
// steps of 1/50 of the scale leave about (1/50)⁸ in truncation and 50 ε in rounding, times the size of the terms.
func TestScheduleEquations(t *testing.T) {
	const tol = 1e-11
	for _, s := range all(t) {
		times, scales := probes(s)
		for i, tt := range times {
			d := scales[i] / 50
			a, g2, s2 := s.Drift(tt), s.Diffusion2(tt), s.Sigma2(tt)
			size := 1/scales[i] + math.Abs(a) + g2/s2
			logAlpha := derivative(func(t float64) float64 { return math.Log(s.Alpha(t)) }, tt, d)
			if e := math.Abs(logAlpha - a); !(e <= tol*size) {
				t.Errorf("%s at t = %v: (log α)' = %v, a = %v", s.Name(), tt, logAlpha, a)
			}
			logS2 := derivative(func(t float64) float64 { return math.Log(s.Sigma2(t)) }, tt, d)
			if e := math.Abs(logS2 - (2*a + g2/s2)); !(e <= tol*size) {
				t.Errorf("%s at t = %v: (log σ²)' = %v, 2a + g²/σ² = %v", s.Name(), tt, logS2, 2*a+g2/s2)
			}
			lambda := derivative(s.Lambda, tt, d)
			if e := math.Abs(lambda + g2/(2*s2)); !(e <= tol*size) {
				t.Errorf("%s at t = %v: λ' = %v, −g²/2σ² = %v", s.Name(), tt, lambda, -g2/(2*s2))
			}
			if e := math.Abs(s.Lambda(tt) - math.Log(s.Alpha(tt)/s.Sigma(tt))); !(e <= 1e-14*(1+math.Abs(s.Lambda(tt)))) { // roundings of a logarithm
				t.Errorf("%s at t = %v: λ = %v is %g from log(α/σ)", s.Name(), tt, s.Lambda(tt), e)
			}
			if e := math.Abs(s.Sigma(tt)*s.Sigma(tt)/s2 - 1); !(e <= 4e-15) { // roundings of a root and a square
				t.Errorf("%s at t = %v: σ squared is %g relative from σ²", s.Name(), tt, e)
			}
		}
	}
}

func TestScheduleTable(t *testing.T) {
	// α and σ² at t = 0.3 from the published formulas, computed with 50 digits.
	want := map[string][2]float64{
		"simple": {0.63762815162177329, 0.59343034025940076}, // exp(−0.45), 1 − exp(−0.9)
		"cosine": {0.89100652418836787, 0.20610737385376343}, // cos(0.15π), sin²(0.15π)
		"vp":     {0.62955000033644882, 0.60366679707637728},
		"subvp":  {0.62955000033644882, 0.36441360189245207},
		"ve":     {1, 0.016572270086699934}, // 10⁻⁴·5000^0.6
		"edm":    {1, 0.09},
		// the products of 1 − β_k, k = 0 … 299
		"ddpm":        {0.62961874134928075, 0.60358024054174741},
		"ddpm-cosine": {0.88707976594601079, 0.21308948884917067},
	}
	for _, s := range all(t) {
		w := want[s.Name()]
		if a, v := s.Alpha(0.3), s.Sigma2(0.3); !(math.Abs(a/w[0]-1) < 4e-15) || !(math.Abs(v/w[1]-1) < 4e-15) { // some ten roundings of closed forms
			t.Errorf("%s: α(0.3) = %.17g, σ² = %.17g; want %.17g, %.17g", s.Name(), a, v, w[0], w[1])
		}
	}
}

// 1 − α² keeps its digits down to the smallest times: σ² = B − B²/2 + O(B³).
func TestSmallTimes(t *testing.T) {
	simple := &Simple{Beta: 20, Span: Span{1e-12, 1}}
	vp := &VP{BetaMin: 0.1, BetaMax: 20, Span: Span{1e-12, 1}}
	cosine := &Cosine{Span{1e-12, 1 - 1e-12}}
	for _, tt := range []float64{1e-12, 1e-9, 1e-6} {
		b := simple.b(tt)
		for _, c := range []struct {
			what      string
			got, want float64
		}{
			{"simple σ²", simple.Sigma2(tt), b * (1 - b/2)},
			{"simple λ", simple.Lambda(tt), -math.Log(b)/2 - b/4},
			{"simple inverse", simple.TimeOfLambda(simple.Lambda(tt)), tt},
			{"vp σ²", vp.Sigma2(tt), vp.b(tt) * (1 - vp.b(tt)/2)},
			{"vp inverse", vp.TimeOfLambda(vp.Lambda(tt)), tt},
			{"cosine α near 1", cosine.Alpha(1 - tt), math.Pi / 2 * (1 - (1 - tt))},
			{"cosine g² near 1", cosine.Diffusion2(1 - tt), 2 / (1 - (1 - tt))},
		} {
			if !(math.Abs(c.got/c.want-1) < 2e-11) { // b² ≤ 10⁻²² left out, the rest is rounding; (π/2·t)²/2 of the cosine
				t.Errorf("%s at %g: %v, want %v", c.what, tt, c.got, c.want)
			}
		}
	}
}

func TestInverseOfLambda(t *testing.T) {
	for _, s := range all(t) {
		times, _ := probes(s)
		for _, tt := range times {
			l := s.Lambda(tt)
			// a rounding of λ moves t by ε|λ|/|λ'| = 2 ε |λ| σ²/g²
			tol := 4e-16 * (tt + (1+math.Abs(l))*4*s.Sigma2(tt)/s.Diffusion2(tt))
			if e := math.Abs(s.TimeOfLambda(l) - tt); !(e <= 2*tol) {
				t.Errorf("%s: t = %v comes back from λ = %v as %v (%.2g)", s.Name(), tt, l, s.TimeOfLambda(l), e)
			}
		}
		previous := math.Inf(1)
		for l := -600.0; l <= 300; l += 7.5 {
			tt := s.TimeOfLambda(l)
			if math.IsNaN(tt) || tt > previous {
				t.Errorf("%s: time of λ = %v is %v after %v", s.Name(), l, tt, previous)
			}
			previous = tt
		}
	}
}

func TestPrior(t *testing.T) {
	for _, s := range all(t) {
		// The prior leaves out what remains of the data: 1 − σ² = α² = 4.5·10⁻⁵ of simple and vp, 9·10⁻⁵ of subvp.
		if r := s.PriorStd() * s.PriorStd() / s.Sigma2(s.Tmax()); !(math.Abs(r-1) < 1e-4) {
			t.Errorf("%s: prior variance is %v of σ²(Tmax)", s.Name(), r)
		}
	}
}

func TestScheduleRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name   string
		params map[string]float64
	}{
		{"simple", map[string]float64{"beta": 12, "tmin": 0.02}},
		{"cosine", map[string]float64{"tmax": 0.99}},
		{"vp", map[string]float64{"beta_min": 0.2, "beta_max": 15}},
		{"subvp", map[string]float64{"beta_min": 0, "tmin": 0.1}},
		{"ve", map[string]float64{"sigma_min": 0.02, "sigma_max": 10, "tmin": 0}},
		{"edm", map[string]float64{"tmin": 0.01, "tmax": 1.0 / 3}},
		{"ddpm", map[string]float64{"beta_start": 2e-4, "beta_end": 0.03, "steps": 500, "tmin": 0.002}},
		{"ddpm-cosine", map[string]float64{"steps": 250, "tmin": 0.004}},
	} {
		s, err := NewSchedule(c.name, c.params)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range c.params {
			if s.Params()[k] != v {
				t.Errorf("%s: %s = %v, want %v", c.name, k, s.Params()[k], v)
			}
		}
		text, err := json.Marshal(s.Params())
		if err != nil {
			t.Fatal(err)
		}
		params := map[string]float64{}
		if err := json.Unmarshal(text, &params); err != nil {
			t.Fatal(err)
		}
		again, err := NewSchedule(s.Name(), params)
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Errorf("%s comes back as %+v, %v; was %+v", c.name, again, err, s)
		}
	}
}

func TestScheduleErrors(t *testing.T) {
	for _, c := range []struct {
		name, key string
		value     float64
		want      string
	}{
		{"cosin", "tmin", 0.1, `solver: schedule "cosin" unknown; have simple, cosine, vp, subvp, ve, edm, ddpm, ddpm-cosine`},
		{"cosine", "beta", 1, `solver: schedule "cosine" has no setting "beta"; have tmax, tmin`},
		{"simple", "beta", math.NaN(), `solver: schedule "simple": beta = NaN is not finite`},
		{"simple", "beta", -1, "needs beta > 0"},
		{"simple", "tmin", 0, "needs tmin > 0"},
		{"simple", "tmin", 2, "needs tmin < tmax"},
		{"cosine", "tmax", 1, "needs tmax < 1"},
		{"vp", "beta_max", 0, "needs beta_max ≥ beta_min"},
		{"subvp", "beta_min", -1, `schedule "subvp" needs beta_min ≥ 0`},
		{"ve", "sigma_min", 60, "needs sigma_max > sigma_min"},
		{"edm", "tmin", -1, "needs tmin > 0"},
		{"ddpm", "steps", 10.5, "needs a whole number of steps"},
		{"ddpm", "beta_end", 1, "needs beta_end < 1"},
		{"ddpm", "beta_start", 0.5, "needs beta_end ≥ beta_start"},
		{"ddpm", "tmax", 1.5, "needs tmax ≤ 1"},
		{"ddpm-cosine", "beta_end", 0.1, `schedule "ddpm-cosine" has no setting "beta_end"; have steps, tmax, tmin`},
	} {
		_, err := NewSchedule(c.name, map[string]float64{c.key: c.value})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s=%v: error %v, want %s", c.name, c.key, c.value, err, c.want)
		}
	}
}
