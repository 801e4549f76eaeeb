package likelihood

import (
	"math"
	"testing"

	"hbar/solver"
	"hbar/solver/exact"
)

// power fits y = a Dᵇ to means with standard errors, by weighted least squares of log y on log D. It returns b and its error.
func power(d, y, stderr []float64) (b, err float64) {
	var w, sx, sy, sxx, sxy float64
	for i := range d {
		k := y[i] * y[i] / (stderr[i] * stderr[i]) // 1/variance of log y
		x := math.Log(d[i])
		w, sx, sy, sxx, sxy = w+k, sx+k*x, sy+k*math.Log(y[i]), sxx+k*x*x, sxy+k*x*math.Log(y[i])
	}
	det := w*sxx - sx*sx
	return (w*sxy - sx*sy) / det, math.Sqrt(w / det)
}

// spread is the variance of numbers that are nearly normal, with its standard error.
func spread(v []float64) (variance, stderr float64) {
	n := float64(len(v))
	mean, _ := meanStdErr(v)
	for _, x := range v {
		variance += (x - mean) * (x - mean) / (n - 1)
	}
	return variance, variance * math.Sqrt(2/(n-1))
}

// TestGrowth: the coordinates of these Gaussians are independent and alike, so that the gap of the bound by one path, the variance of the log
// weight, and that of the flow by one normal probe are sums of D equal terms: powers of D with the exponent 1, from 2 to 3072 dimensions.
func TestGrowth(t *testing.T) {
	s := schedule(t, "simple")
	dims := []float64{2, 8, 64, 784, 3072}
	points := map[float64]int{2: 300, 8: 200, 64: 80, 784: 24, 3072: 10}
	if testing.Short() {
		dims = dims[:4]
	}
	type column struct{ y, stderr []float64 }
	columns := map[string]*column{}
	add := func(name string, mean, stderr float64) {
		c := columns[name]
		if c == nil {
			c = &column{}
			columns[name] = c
		}
		c.y, c.stderr = append(c.y, mean), append(c.stderr, stderr)
	}
	for _, dim := range dims {
		d, n := int(dim), points[dim]
		g, err := exact.NewGaussian(s, repeat(0.2, d), repeat(0.5, d), 0.1)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range []float64{0.1, 1} {
			o := PathOptions{Sampler: solver.Exponential, Grid: solver.GridLambda, Steps: 60, Paths: 1, Seed: 2}
			made, err := Generate(ctx, g, s, n, h, o)
			if err != nil {
				t.Fatal(err)
			}
			got, err := PathIntegral(ctx, g, s, made.X, []float64{h}, o)
			if err != nil {
				t.Fatal(err)
			}
			chain := chainOf(t, g, s, o, h)
			gap := make([]float64, n)
			for i := range gap {
				gap[i] = chain.LogDensity(made.X[i*d:(i+1)*d]) - got[i][0].Lower
			}
			mean, stderr := meanStdErr(gap)
			variance, varianceErr := spread(gap)
			t.Logf("D = %4d, h = %g: log q − L₁ = %.3f ± %.3f, variance of log w %.3f ± %.3f", d, h, mean, stderr, variance, varianceErr)
			suffix := map[float64]string{0.1: ", h = 0.1", 1: ", h = 1"}[h]
			add("gap"+suffix, mean, stderr)
			add("variance"+suffix, variance, varianceErr)
		}
		x := repeat(0.3, d*n)
		flow, err := FlowFixed(ctx, g, s, x, FlowOptions{Divergence: Normal, Probes: 1, Options: Options{Steps: 32}, Seed: 4})
		if err != nil {
			t.Fatal(err)
		}
		noise := make([]float64, n)
		for i := range noise {
			noise[i] = flow[i].LogQ - g.LogQ(x[:d], 0, s.Tmin())
		}
		variance, stderr := spread(noise)
		t.Logf("D = %4d: one normal probe of the flow has a variance of %.4f ± %.4f", d, variance, stderr)
		add("probe", variance, stderr)
	}
	for name, c := range columns {
		b, err := power(dims, c.y, c.stderr)
		t.Logf("%s grows as D to the power %.3f ± %.3f", name, b, err)
		if !(math.Abs(b-1) < 4.5*err) || !(err < 0.1) {
			t.Errorf("%s grows as D to the power %.3f ± %.3f; want 1", name, b, err)
		}
	}
}
