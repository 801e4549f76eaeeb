package likelihood

import (
	"math"
	"testing"

	"hbar/solver/exact"
	"hbar/solver/likelihood/ode"
)

// wideGaussian has variances from 0.2 to 1 and a score that is 10 % wrong, in d dimensions.
func wideGaussian(t *testing.T, d int) (*exact.Gaussian, []float64) {
	t.Helper()
	mean, variance := make([]float64, d), make([]float64, d)
	for i := range d {
		mean[i] = 0.3 * math.Sin(float64(i))
		variance[i] = 0.2 + 0.8*float64(i)/float64(d)
	}
	g, err := exact.NewGaussian(schedule(t, "cosine"), mean, variance, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	const n = 3
	x := make([]float64, n*d)
	for i := range x {
		x[i] = mean[i%d] + math.Sqrt(variance[i%d])*math.Sin(1.7*float64(i)+0.3*float64(i/d))
	}
	return g, x
}

// TestSlopeHighDimensions: ℓ₁ of Gaussians with a wrong score in 64 and 784 dimensions, against the closed form, on steps by tolerance and
// on a fixed mesh. Rademacher probes are exact for a diagonal Hessian, so what is left with them are the random times; normal probes are not.
func TestSlopeHighDimensions(t *testing.T) {
	for _, c := range []struct {
		name string
		d    int
		o    EstimateOptions
	}{
		{"Rademacher", 64, EstimateOptions{Probes: 8, Inner: 1}},
		{"normal", 64, EstimateOptions{Probes: 12, Inner: 1, Kind: Normal}},
		{"Rademacher, mesh", 784, EstimateOptions{Probes: 8, Inner: 1, Options: Options{Steps: 12, Method: ode.RK4}}},
	} {
		d, name := c.d, c.name
		g, x := wideGaussian(t, d)
		n := len(x) / d
		{
			got, err := EstimateTimes(ctx, g, g.Schedule, x, c.o)
			if err != nil {
				t.Fatal(err)
			}
			z2, mean, variance, want := 0.0, 0.0, 0.0, 0.0
			for i, e := range got {
				if e.Status != OK {
					t.Fatalf("D = %d, %s: %+v", d, name, e)
				}
				exact := g.Expand(x[i*d:(i+1)*d], g.Schedule.Tmin()).L1
				z := (e.L1 - exact) / (e.StdErr + 2e-3*math.Abs(exact)) // tolerance 10⁻³ of the integration
				z2 += z * z / float64(n)
				mean, want, variance = mean+e.L1/float64(n), want+exact/float64(n), variance+e.StdErr*e.StdErr/float64(n*n)
				if !(e.StdErr < 0.5*math.Abs(exact)) {
					t.Errorf("D = %d, %s, point %d: ℓ₁ = %g ± %g, exact %g", d, name, i, e.L1, e.StdErr, exact)
				}
			}
			if !(z2 < 4) || !(math.Abs(mean-want) < 4*math.Sqrt(variance)+2e-3*math.Abs(want)) {
				t.Errorf("D = %d, %s: mean ℓ₁ = %g ± %g, exact %g; mean squared deviation of the points %g", d, name, mean, math.Sqrt(variance), want, z2)
			}
			t.Logf("D = %d, %s: mean ℓ₁ = %.4f ± %.4f, exact %.4f; %d evaluations a point", d, name, mean, math.Sqrt(variance), want, got[0].Evals)
		}
	}
}
