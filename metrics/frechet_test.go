package metrics

import (
	"context"
	"math"
	"strings"
	"testing"
)

// TestFeaturesGolden: Fréchet distances against scipy's sqrtm of Σ₁Σ₂, kernel distances against the double sums, also with features that
// never vary. scipy's root of a singular product is good to 10⁻⁷ only.
func TestFeaturesGolden(t *testing.T) {
	for _, c := range readGolden(t).Features {
		x, y := points(7, c.N*c.D), points(8, c.M*c.D)
		for i := range x {
			x[i] *= x[i]
			if i%c.D < c.Dead {
				x[i] = 0
			}
		}
		for i := range y {
			y[i] = y[i]*0.75 + 0.25
			if i%c.D < c.Dead {
				y[i] = 0
			}
		}
		f, err := FrechetSamples(context.Background(), x, y, c.D, 5)
		if err != nil {
			t.Fatal(err)
		}
		tol := 1e-13 // rounding of matrices of numbers of size one
		if c.Dead > 0 {
			tol = 1e-6 // what scipy's root of a singular matrix is good to
		}
		near(t, "Fréchet distance", f.Plain, c.Frechet, tol)
		mu, sigma, err := Moments(y, c.D)
		if err != nil {
			t.Fatal(err)
		}
		to, err := FrechetTo(context.Background(), x, mu, sigma, 5)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "Fréchet distance to moments", to.Plain, c.Frechet, tol)
		k, err := KernelDistance(context.Background(), x, y, c.D, 7)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "kernel distance", k.Plain, c.Kernel, 1e-13) // rounding of sums over all pairs
		near(t, "estimate of the kernel distance", k.Estimate.Value, c.Kernel, 1e-13)
	}
}

// TestLeavingOut: a pseudo-value is what the distance without the group says.
func TestLeavingOut(t *testing.T) {
	const d, n, groups = 3, 60, 4
	x, y := normals(1, n, d), moved(normals(2, n, d), 1.3, 0.2, 0, -0.1)
	ctx := context.Background()
	without := func(v []float64, g int) []float64 {
		return append(append([]float64{}, v[:g*n/groups*d]...), v[(g+1)*n/groups*d:]...)
	}
	for name, f := range map[string]func(x, y []float64) (*Resampled, error){
		"Fréchet": func(x, y []float64) (*Resampled, error) { return FrechetSamples(ctx, x, y, d, groups) },
		"kernel":  func(x, y []float64) (*Resampled, error) { return KernelDistance(ctx, x, y, d, groups) },
		"sliced":  func(x, y []float64) (*Resampled, error) { return SlicedW2Squared(ctx, x, y, d, groups, nil) },
	} {
		all, err := f(x, y)
		if err != nil {
			t.Fatal(err)
		}
		mean := 0.0
		for g, pseudo := range all.Pseudo {
			part, err := f(without(x, g), without(y, g))
			if err != nil {
				t.Fatal(err)
			}
			near(t, name+" without a group", pseudo, groups*all.Plain-(groups-1)*part.Plain, 1e-12) // rounding, times the number of groups
			mean += pseudo / groups
		}
		if name == "kernel" { // unbiased as it is
			mean = all.Plain
		}
		near(t, name+" estimate", all.Estimate.Value, mean, 1e-14) // rounding of a mean
		near(t, name+" bias", all.Bias, all.Plain-mean, 1e-14)
	}
	w, err := SlicedW2(ctx, x, y, d, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := SlicedW2Squared(ctx, x, y, d, groups, nil)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "sliced", s.Plain, w.W2Squared.Value, 1e-14) // the same sum
}

// TestFrechetInterval: of normal distributions, whose distance is known, the estimate has no bias that 300 repeats could see, and the
// intervals hold the truth as often as they say. The plain distance has a bias many times as large.
func TestFrechetInterval(t *testing.T) {
	const d, n, repeats = 6, 200, 300
	shift := []float64{0.3, 0, -0.2, 0, 0, 0.1}
	truth := 0.14 + d*(1.2-1)*(1.2-1)
	var values []float64
	held, plain := 0, 0.0
	for r := range uint64(repeats) {
		f, err := FrechetSamples(context.Background(), normals(2*r, n, d), moved(normals(2*r+1, n, d), 1.2, shift...), d, 0)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, f.Estimate.Value)
		plain += f.Plain / repeats
		if f.Estimate.Lo <= truth && truth <= f.Estimate.Hi {
			held++
		}
	}
	e := meanEstimate(values)
	if math.Abs(e.Value-truth) > 4*e.StdErr {
		t.Errorf("mean estimate %g ± %g, truth %g", e.Value, e.StdErr, truth)
	}
	if plain-truth < 5*math.Abs(e.Value-truth) {
		t.Errorf("the plain distance, %g, has no more bias than the estimate, %g; truth %g", plain, e.Value, truth)
	}
	// 285 expected; four binomial standard deviations are 15
	if held < 270 {
		t.Errorf("%d of %d intervals hold the truth", held, repeats)
	}
}

func TestFrechetErrors(t *testing.T) {
	ctx := context.Background()
	x := normals(1, 30, 20)
	for want, err := range map[string]error{
		"30 points for a covariance of 20 features; want more than 42": second(FrechetSamples(ctx, x, x, 20, 2)),
		"in 40 groups": second(KernelDistance(ctx, x, x, 20, 40)),
		"in 1 groups":  second(FrechetSamples(ctx, x, x, 20, 1)),
		"covariances":  second(Frechet(x[:2], x[:4], x[:3], x[:9])),
		"not finite":   second(Frechet([]float64{math.NaN()}, x[:1], x[:1], x[:1])),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }
