package solver

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func allBlocks(t *testing.T) []*Blocks {
	t.Helper()
	var out []*Blocks
	for _, name := range BlockScheduleNames() {
		s, err := ParseSchedule(name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, BlocksOf(s))
	}
	return out
}

// The law of cld is the published one (arXiv:2112.07068, appendix B, for γ M as the first variance of the velocity), which is
// e^{−ωτ}(I + (A+ω)τ) with ω = Γ/2M, and Σ∞ − Φ(Σ∞ − Σ_0)Φᵀ: that loses digits at small times, where 1e-12 allows for it.
func TestCLDLaw(t *testing.T) {
	s := allBlocks(t)[0]
	for _, tt := range []float64{0.01, 0.1, 0.5, 1, 3} {
		tau := 4 * tt
		e := math.Exp(-2 * tau)
		f := [4]float64{e * (1 + 2*tau), e * 4 * tau, -e * tau, e * (1 - 2*tau)}
		l := s.at(tt)
		first, after := [2]float64{0, 0.01}, [2]float64{1, 0.25} // diagonals of Σ_0 and Σ∞
		for i := range 2 {
			if math.Abs(l.phi[i]-f[2*i]) > 1e-14 {
				t.Errorf("t = %g: φ[%d] = %v, want %v", tt, i, l.phi[i], f[2*i])
			}
			for j := range 2 {
				want := 0.0
				if i == j {
					want = after[i]
				}
				for k := range 2 {
					want -= f[2*i+k] * (after[k] - first[k]) * f[2*j+k]
				}
				if math.Abs(l.sigma[2*i+j]-want) > 1e-12 { // matrix exponentials of numbers of order one
					t.Errorf("t = %g: Σ[%d,%d] = %v, want %v", tt, i, j, l.sigma[2*i+j], want)
				}
			}
		}
	}
}

// As schedules of scalars they obey α' = aα, (σ²)' = 2aσ² + g² and g² = −2σ²λ', and TimeOfLambda inverts Lambda. The tolerance
// allows for Σ⁻¹ of cld3, whose condition is 10⁸ at the first times, in the differences.
func TestBlocksAsSchedule(t *testing.T) {
	for _, s := range allBlocks(t) {
		for i := range 41 {
			tt := s.Tmin() * math.Pow(s.Tmax()/s.Tmin(), float64(i)/40)
			d := tt / 50
			a, g2, s2 := s.Drift(tt), s.Diffusion2(tt), s.Sigma2(tt)
			size := 1/tt + math.Abs(a) + g2/s2
			for what, e := range map[string]float64{
				"a":  derivative(func(t float64) float64 { return math.Log(s.Alpha(t)) }, tt, d) - a,
				"σ²": derivative(func(t float64) float64 { return math.Log(s.Sigma2(t)) }, tt, d) - 2*a - g2/s2,
				"λ":  derivative(s.Lambda, tt, d) + g2/(2*s2),
			} {
				if !(math.Abs(e) <= 1e-7*size) {
					t.Errorf("%s at t = %v: %s is off by %g of %g", s.Name(), tt, what, e, size)
				}
			}
			if back := s.TimeOfLambda(s.Lambda(tt)); !(math.Abs(back/tt-1) < 1e-8) { // a root of λ, which is known to 10⁻⁸ there
				t.Errorf("%s: t = %v comes back as %v", s.Name(), tt, back)
			}
		}
		if a2 := s.Alpha(s.Tmax()) * s.Alpha(s.Tmax()); !(a2 < 1e-3) { // what the noise at Tmax may leave of data of unit variance
			t.Errorf("%s: %.2g of the data is left at Tmax", s.Name(), a2)
		}
	}
}

func TestBlocksRoundTrip(t *testing.T) {
	for name, set := range map[string]map[string]float64{
		"cld":   {"mass": 0.5, "gamma": 0.1, "beta": 3, "tmin": 0.02},
		"cld3":  {"gamma": 0.2},
		"block": {"a00": -0.5, "q00": 1, "a01": 0, "a10": 0, "q11": 0.25, "a11": -0.5},
	} {
		s, err := NewSchedule(name, set)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(s.Params())
		if err != nil {
			t.Fatal(err)
		}
		params := map[string]float64{}
		if err := json.Unmarshal(text, &params); err != nil {
			t.Fatal(err)
		}
		again, err := NewSchedule(name, params)
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []float64{0.05, 0.5} {
			if again.Lambda(tt) != s.Lambda(tt) {
				t.Errorf("%s: λ(%g) is %v, was %v", name, tt, again.Lambda(tt), s.Lambda(tt))
			}
		}
	}
}

func TestBlocksErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		set  map[string]float64
		want string
	}{
		{"cld", map[string]float64{"mass": 0}, "mass > 0"},
		{"cld", map[string]float64{"gamma": -1}, "gamma > 0"},
		{"cld", map[string]float64{"friction": 1}, "no setting"},
		{"cld", map[string]float64{"tmin": 0}, "tmin > 0"},
		{"block", map[string]float64{"size": 5}, "size a whole number"},
		{"block", map[string]float64{"a11": 4}, "does not decay"},
		{"block", map[string]float64{"q11": -1}, "Q"},
		{"block", map[string]float64{"a01": 0, "a00": -1}, "does not reach all 2"},
		{"block", map[string]float64{"s11": -1}, "too small for float64, or is no covariance"},
	} {
		if _, err := NewSchedule(c.name, c.set); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: error %v, want %q", c.name, c.set, err, c.want)
		}
	}
}

func BenchmarkBlocksAt(b *testing.B) {
	s, err := ParseSchedule("cld")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s.Lambda(0.5)
	}
}
