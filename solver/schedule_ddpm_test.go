package solver

import (
	"math"
	"testing"
)

// ddpmBetas is DDPM's list of β, made as diffusers makes it.
func ddpmBetas(cosine bool, steps int) []float64 {
	b := make([]float64, steps)
	bar := func(t float64) float64 { return math.Pow(math.Cos((t+0.008)/1.008*math.Pi/2), 2) }
	for k := range b {
		if cosine {
			b[k] = math.Min(1-bar(float64(k+1)/float64(steps))/bar(float64(k)/float64(steps)), 0.999)
		} else {
			b[k] = 1e-4 + (0.02-1e-4)*float64(k)/float64(steps-1)
		}
	}
	return b
}

// On the grid of the states the sampler exp is DDIM at h = 0 (Song 2020, arXiv:2010.02502, eq. 12 with σ = 0) and DDPM with the
// posterior variance at h = 1 (Ho 2020, arXiv:2006.11239, eqs. 7 and 11), for every prediction type of the discrete networks,
// and a network that embeds time is asked for the number of the state. The denoising row is the last step of both, to x₀.
func TestDDPM(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps int
	}{{"ddpm", 1000}, {"ddpm-cosine", 1000}, {"ddpm", 50}} {
		n := float64(c.steps)
		s, err := NewSchedule(c.name, map[string]float64{"steps": n, "tmin": 1 / n})
		if err != nil {
			t.Fatal(err)
		}
		beta := ddpmBetas(c.name == "ddpm-cosine", c.steps)
		bar := make([]float64, c.steps) // ᾱ_k
		prod := 1.0
		for k, b := range beta {
			prod *= 1 - b
			bar[k] = prod
		}
		for _, target := range []Target{PredictEps, PredictX0, PredictV} {
			for _, h := range []float64{0, 1} {
				p := Prediction{Target: target}.Embedded(s)
				table := mustTable(t, s, p, TableOptions{Sampler: Exponential, Steps: c.steps - 1, H: h, Denoise: true})
				if len(table.Rows) != c.steps {
					t.Fatalf("%d rows", len(table.Rows))
				}
				for i, r := range table.Rows {
					k := c.steps - 1 - i
					before := 1.0
					if k > 0 {
						before = bar[k-1]
					}
					a, sigma := math.Sqrt(bar[k]), math.Sqrt(1-bar[k])
					// x̂0 and ε in terms of x and the network
					x0x, x0n, ex, en := 1/a, -sigma/a, 0.0, 1.0
					switch target {
					case PredictX0:
						x0x, x0n, ex, en = 0, 1, 1/sigma, -a/sigma
					case PredictV:
						x0x, x0n, ex, en = a, -sigma, sigma, a
					}
					var A, B, C float64
					if h == 0 {
						A = math.Sqrt(before)*x0x + math.Sqrt(1-before)*ex
						B = math.Sqrt(before)*x0n + math.Sqrt(1-before)*en
					} else {
						c0 := math.Sqrt(before) * beta[k] / (1 - bar[k])
						cx := math.Sqrt(1-beta[k]) * (1 - before) / (1 - bar[k])
						A, B = c0*x0x+cx, c0*x0n
						C = math.Sqrt((1 - before) / (1 - bar[k]) * beta[k])
					}
					// 1 − ᾱ is a difference here, with 2⁻⁵³/ᾱ to lose at the last states, as the smallest ᾱ is 2·10⁻⁹
					tol := 1e-11 + 4e-16/bar[k]
					for _, v := range [][2]float64{{r.Tau, float64(k)}, {r.State, A}, {r.Net, B}, {r.Noise, C}} {
						if !(math.Abs(v[0]-v[1]) <= tol*(1+math.Abs(v[1]))) {
							t.Fatalf("%s, %v, h = %g, state %d: row %+v; want T = %d, A = %v, B = %v, C = %v", c.name, p, h, k, r, k, A, B, C)
						}
					}
				}
			}
		}
	}
}

// g² is that of the step which led to a state, so that Euler–Maruyama at the states takes back just that step.
func TestDDPMRates(t *testing.T) {
	s, err := ParseSchedule("ddpm")
	if err != nil {
		t.Fatal(err)
	}
	for k, b := range ddpmBetas(false, 1000) {
		at, want := float64(k+1)/1000, -1000*math.Log1p(-b)
		if g2 := s.Diffusion2(at); !(math.Abs(g2/want-1) < 1e-12) { // g² is a difference of sums of log(1 − β) up to 10, of which a step is 10⁻⁴: 10⁵ roundings
			t.Errorf("state %d: g² = %v, want %v", k, g2, want)
		}
	}
}

func TestEmbedded(t *testing.T) {
	for name, want := range map[string]float64{"simple": 250, "ddpm": 249, "edm": 250} {
		s, err := ParseSchedule(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, tau := (Prediction{}).Embedded(s).Coeffs(s, 0.25); math.Abs(tau-want) > 1e-13 { // a rounding of 250
			t.Errorf("%s: time %v, want %v", name, tau, want)
		}
		if _, _, _, tau := (Prediction{}).Coeffs(s, 0.25); tau != 0.25 {
			t.Errorf("%s: time %v of a network that takes t", name, tau)
		}
	}
	for _, p := range []Prediction{{TimeScale: -1}, {TimeScale: math.NaN()}, {TimeShift: -1}, {TimeScale: 1, TimeShift: math.Inf(1)}} {
		if p.Validate() == nil {
			t.Errorf("%+v is valid", p)
		}
	}
}
