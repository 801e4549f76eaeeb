package loglik

import (
	"math"
	"math/rand/v2"
	"testing"

	"hbar/data"
	"hbar/kernels"
	"hbar/solver"
	"hbar/solver/likelihood"
)

// gaussLog is log N(y; 0, v).
func gaussLog(y, v float64) float64 { return -y*y/(2*v) - math.Log(2*math.Pi*v)/2 }

// mass is that of N(0, v) from a to b.
func mass(a, b, v float64) float64 {
	s := math.Sqrt(2 * v)
	return (math.Erf(b/s) - math.Erf(a/s)) / 2
}

// With a Gaussian density of y all is known: the probability of the bin, and the bound as an integral. Draws average to both.
func TestDequantiseGaussian(t *testing.T) {
	s, err := solver.NewSchedule("ddpm", nil)
	if err != nil {
		t.Fatal(err)
	}
	const v = 0.04 // bins of 1/2 and 1/4 are wide in it: the bound is far from tight
	norm := data.Normalisation{Mean: []float64{1, -2}, Scale: []float64{2, 4}}
	x := []float64{1, -2}
	alpha, sigma := s.Alpha(s.Tmin()), s.Sigma(s.Tmin())
	for _, kind := range []Dequantise{DequantiseUniform, DequantiseTruncNorm} {
		q, err := newDequantiser(kind, norm, s, 2, 3)
		if err != nil {
			t.Fatal(err)
		}
		logP, bound := 0.0, 0.0
		for j := range 2 {
			z, wide := (x[j]-norm.Mean[j])/norm.Scale[j], 1/norm.Scale[j]
			lo, hi := z, z+wide
			density := func(float64) float64 { return 1 / wide }
			if kind == DequantiseTruncNorm {
				lo, hi = alpha*(z-wide/2), alpha*(z+wide/2)
				total := mass(lo-alpha*z, hi-alpha*z, sigma*sigma)
				density = func(y float64) float64 { return math.Exp(gaussLog(y-alpha*z, sigma*sigma)) / total }
			}
			logP += math.Log(mass(lo, hi, v))
			const cells = 20000
			for c := range cells {
				y := lo + (hi-lo)*(float64(c)+0.5)/cells
				bound += density(y) * (gaussLog(y, v) - math.Log(density(y))) * (hi - lo) / cells
			}
		}
		const draws = 40000
		terms, logs := make([]float64, draws), make([]float64, draws)
		y := make([]float64, 2)
		for k := range draws {
			w := q.draw(y, x, uint64(k)<<drawShift)
			l := gaussLog(y[0], v) + gaussLog(y[1], v)
			terms[k], logs[k] = l+q.offset, l+w
		}
		mean, variance := meanVariance(terms)
		if e := math.Sqrt(variance / draws); !(math.Abs(mean-bound) < 4*e) || e > 0.02 {
			t.Errorf("%s: mean %g ± %g, want %g", kind, mean, e, bound)
		}
		// Importance sampling from a proposal that is narrower than the bin has heavy weights: the truncated normal covers it badly here
		// by construction, so its mean over weights is only checked where bins are small, below.
		if got := logMeanExp(logs); kind == DequantiseUniform && math.Abs(got-logP) > 0.02 {
			t.Errorf("%s: log mean exp %g, want log P = %g", kind, got, logP)
		}
		if !(bound < logP) {
			t.Errorf("%s: the bound %g is above log P = %g", kind, bound, logP)
		}
	}
}

// Pixels: bins are small against the noise at Tmin, and the truncated normal's bound is close to the probability of the bin of y.
func TestTruncNormPixels(t *testing.T) {
	s, err := solver.NewSchedule("ddpm", nil)
	if err != nil {
		t.Fatal(err)
	}
	q, err := newDequantiser(DequantiseTruncNorm, data.Normalisation{Mean: []float64{127.5}, Scale: []float64{127.5}}, s, 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	alpha := s.Alpha(s.Tmin())
	if want := alpha / (255 * s.Sigma(s.Tmin())); math.Abs(q.bound(0)-want) > 1e-15 { // a rounding of a number below one
		t.Errorf("|ε| up to %g, want %g", q.bound(0), want)
	}
	const v = 0.01
	z := 130/127.5 - 1
	want := math.Log(mass(alpha*z-alpha/255, alpha*z+alpha/255, v))
	logs, y := make([]float64, 4000), make([]float64, 1)
	for k := range logs {
		logs[k] = q.draw(y, []float64{130}, uint64(k)<<drawShift)
		if math.Abs(y[0]-alpha*z) > alpha/255 {
			t.Fatalf("draw %g leaves the bin of %g", y[0], alpha*z)
		}
		logs[k] += gaussLog(y[0], v)
	}
	if got := logMeanExp(logs); math.Abs(got-want) > 1e-3 { // Monte Carlo error of the draws; measured 8e-5
		t.Errorf("log mean exp %g, want %g", got, want)
	}
}

// The entropy is that of the integral.
func TestTruncatedEntropy(t *testing.T) {
	for _, c := range []float64{0.01, 0.4, 1, 5} {
		total, want := mass(-c, c, 1), 0.0
		const cells = 100000
		for i := range cells {
			e := -c + 2*c*(float64(i)+0.5)/cells
			p := math.Exp(gaussLog(e, 1)) / total
			want -= p * math.Log(p) * 2 * c / cells
		}
		if got := truncatedEntropy(c); math.Abs(got-want) > 1e-10 { // the midpoint rule of the integral, of second order in 1/cells
			t.Errorf("entropy up to %g: %g, want %g", c, got, want)
		}
	}
}

// The shares of a set with known variances are found, and their squares add up to the whole.
func TestShares(t *testing.T) {
	const n, k = 4000, 3
	rng := rand.New(kernels.NewSource(1, kernels.StreamResample, 0))
	all := make([]draws, n)
	for i := range all {
		all[i].status = Interrupted
		level := 3 * rng.NormFloat64()
		for range k {
			all[i].add(likelihood.FlowPoint{LogQ: level + 2*rng.NormFloat64() + rng.NormFloat64(), StdErr: 1, Status: likelihood.OK, Halving: 0.3}, 0, true)
		}
	}
	q := &dequantiser{d: 1}
	var net Network
	r := net.bits(all, q, Options{Divergence: likelihood.Rademacher}, BitsOptions{Dequantise: DequantiseUniform, Draws: k, Steps: 2})
	s := r.Shares
	sum := math.Sqrt(s.Images*s.Images + s.Dequantisation*s.Dequantisation + s.Probes*s.Probes + s.Solver*s.Solver)
	if math.Abs(sum-r.StdErr) > 1e-14 /* roundings of numbers below one */ || r.N != n || r.Kind != KindBound || !math.IsNaN(r.Tight) {
		t.Errorf("shares %+v of %g, %d points, %s, tight %g", s, r.StdErr, r.N, r.Kind, r.Tight)
	}
	unit := math.Ln2 * math.Sqrt(n)
	for _, c := range []struct {
		name      string
		got, want float64
	}{{"images", s.Images * unit, 3}, {"dequantisation", s.Dequantisation * unit, 2 / math.Sqrt(k)}, {"probes", s.Probes * unit, 1 / math.Sqrt(k)}, {"solver", s.Solver * math.Ln2, 0.3}} {
		if math.Abs(c.got-c.want) > 0.1*c.want+1e-12 { // a standard deviation of n = 400 draws errs by 3.5 %: nearly three of these
			t.Errorf("%s: %g, want %g", c.name, c.got, c.want)
		}
	}
}

// AddUniform leaves each pixel within a step above its value, in both units, and says so.
func TestAddUniform(t *testing.T) {
	p := &Points{D: 3, X: []float64{0, 17, 255, 128, 1, 2}, Z: make([]float64, 6), Norm: data.BytesNormalisation()}
	before := append([]float64(nil), p.X...)
	old := p.X
	if err := p.AddUniform(5); err != nil {
		t.Fatal(err)
	}
	same := true
	for i, v := range p.X {
		u := v - before[i]
		same = same && math.Abs(u-(p.X[0]-before[0])) < 1e-9
		if u < -1e-12 || u >= 1 || math.Abs(p.Z[i]-(v/127.5-1)) > 1e-12 || old[i] != before[i] { // roundings of numbers up to 255
			t.Errorf("pixel %g became %g, %g in the network's units", before[i], v, p.Z[i])
		}
	}
	if same || len(p.Notes) != 1 {
		t.Errorf("noise %v, notes %v", p.X, p.Notes)
	}
}
