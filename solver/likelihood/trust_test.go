package likelihood

import (
	"math"
	"testing"

	"hbar/solver/exact"
	"hbar/solver/likelihood/ode"
)

// Of a narrow Gaussian with a wrong score the h at which the second order is a tenth of the first is that of its variance: within 3 %, which the
// prior's difference from the process at Tmax and the width of the data leave. The estimator has it from random times, of which
// one is in the eighth of λ that is nearest to the data: within 15 %.
func TestTrust(t *testing.T) {
	for _, name := range []string{"vp", "cosine"} {
		s := schedule(t, name)
		for _, eps := range []float64{0.05, 0.1, -0.05} {
			const d = 4
			g, err := exact.NewGaussian(s, make([]float64, d), []float64{1e-7}, eps)
			if err != nil {
				t.Fatal(err)
			}
			tmin := s.Tmin()
			_, variance := g.Series(tmin)
			want := 0.1 * math.Abs(variance[0][0]/variance[0][1])
			span := s.Lambda(tmin) - s.Lambda(s.Tmax())
			ratio := g.Data(tmin).Var[0] / variance[0][0] / (1 + eps)
			if got := trustOf(ratio, span); !(math.Abs(got-want) < 0.03*want) {
				t.Errorf("%s, ε = %g: trusted to h = %g, exact %g (ratio %g, span %g)", name, eps, got, want, ratio, span)
			}
			sd := math.Sqrt(variance[0][0])
			got, err := EstimateTimes(ctx, g, s, []float64{sd, -0.5 * sd, 2 * sd, sd}, EstimateOptions{Probes: 8, Inner: 1, Options: Options{Steps: 24, Method: ode.RK4}})
			if err != nil {
				t.Fatal(err)
			}
			if !(math.Abs(got[0].Trust-want) < 0.15*want) {
				t.Errorf("%s, ε = %g: the estimator trusts to h = %g, exact %g", name, eps, got[0].Trust, want)
			}
		}
	}
	for _, ratio := range []float64{-1, 0, math.NaN(), math.Inf(1)} {
		if v := trustOf(ratio, 5); !math.IsNaN(v) {
			t.Errorf("ratio %g: %g", ratio, v)
		}
	}
	if v := trustOf(1, 5); !math.IsInf(v, 1) {
		t.Errorf("an exact score: trusted to %g, want all h", v)
	}
}
