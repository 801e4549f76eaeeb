package fokkerplanck

import (
	"context"
	"math"
	"testing"

	"hbar/solver"
)

// wrongGaussian is s = −(1+ε)(x − α m)/v_t for data N(m, v0) in each dimension: every q^h is Gaussian.
type wrongGaussian struct {
	solver.Schedule
	mean, v0 []float64
	eps      float64
}

func (g *wrongGaussian) Dim() int { return len(g.v0) }

func (g *wrongGaussian) vt(i int, t float64) float64 {
	a := g.Alpha(t)
	return a*a*g.v0[i] + g.Sigma2(t)
}

func (g *wrongGaussian) Score(_ context.Context, dst, x, t []float64) error {
	d := g.Dim()
	for i := range dst {
		time := t[0]
		if len(t) > 1 {
			time = t[i/d]
		}
		dst[i] = -(1 + g.eps) * (x[i] - g.Alpha(time)*g.mean[i%d]) / g.vt(i%d, time)
	}
	return nil
}

// moments integrates mean and variance of q^h in dimension i from Tmax to t: in λ,
//
//	dμ/dλ = A μ − (1+h)(1+ε)(σ²/v)(μ − αm),   dV/dλ = 2 (A − (1+h)(1+ε) σ²/v) V + 2hσ²,   A = −2aσ²/g²
func (g *wrongGaussian) moments(h, tEnd float64, i int) (mu, v float64) {
	const n = 20000
	l0 := g.Lambda(g.Tmax())
	d := (g.Lambda(tEnd) - l0) / n
	f := func(l, mu, v float64) (float64, float64) {
		t := g.TimeOfLambda(l)
		s2 := g.Sigma2(t)
		a := 2 * -g.Drift(t) * s2 / g.Diffusion2(t) * -1
		k := (1 + h) * (1 + g.eps) * s2 / g.vt(i, t)
		// dx/dλ = (dt/dλ)(a x) = −(2σ²/g²) a x
		a = -2 * g.Drift(t) * s2 / g.Diffusion2(t)
		return a*mu - k*(mu-g.Alpha(t)*g.mean[i]), 2*(a-k)*v + 2*h*s2
	}
	v = g.PriorStd() * g.PriorStd()
	for j := range n {
		l := l0 + float64(j)*d
		a1, b1 := f(l, mu, v)
		a2, b2 := f(l+d/2, mu+d/2*a1, v+d/2*b1)
		a3, b3 := f(l+d/2, mu+d/2*a2, v+d/2*b2)
		a4, b4 := f(l+d, mu+d*a3, v+d*b3)
		mu += d / 6 * (a1 + 2*a2 + 2*a3 + a4)
		v += d / 6 * (b1 + 2*b2 + 2*b3 + b4)
	}
	return mu, v
}

// logQ is the exact log q^h at points (n×D).
func (g *wrongGaussian) logQ(h, t float64, x []float64) []float64 {
	d := g.Dim()
	out := make([]float64, len(x)/d)
	for i := range d {
		mu, v := g.moments(h, t, i)
		for j := range out {
			z := x[j*d+i] - mu
			out[j] -= z*z/(2*v) + math.Log(2*math.Pi*v)/2
		}
	}
	return out
}

func schedule(t testing.TB, name string) solver.Schedule {
	s, err := solver.ParseSchedule(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGauss(t *testing.T) {
	for _, name := range solver.ScheduleNames() {
		g := &wrongGaussian{schedule(t, name), []float64{0.3}, []float64{0.5}, 0.1}
		x := []float64{-2, -1, 0, 0.5, 1, 2}
		hs := []float64{0.01, 0.1, 1}
		sol, err := Solve(context.Background(), g, g, hs, &Options{Center: []float64{0.3}, Radius: []float64{6}, Limit: 20})
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range sol {
			v, err := s.LogQ(x)
			if err != nil {
				t.Fatal(err)
			}
			want := g.logQ(hs[i], g.Tmin(), x)
			t.Logf("%s h %g %+v diff %g", name, hs[i], s.Density.Run, s.Difference)
			for j := range v {
				t.Logf("   %g: %.10f err %.2g true %.2g %v", x[j], v[j].LogQ, v[j].Err, v[j].LogQ-want[j], v[j].Status)
			}
		}
	}
}
