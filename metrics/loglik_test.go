package metrics

import (
	"math"
	"strings"
	"testing"
)

// A Gaussian of deviation s in data units, normalised by s: the network sees N(0, I).
func TestNLLUnits(t *testing.T) {
	const n, d, s = 20000, 3, 4.0
	y := normals(1, n, d)
	logQ := make([]float64, n)
	for i := range logQ {
		logQ[i] = -d / 2.0 * math.Log(2*math.Pi)
		for k := range d {
			logQ[i] -= y[i*d+k] * y[i*d+k] / 2
		}
	}
	logDet := -d * math.Log(s)
	l, err := NLL(logQ, d, logDet)
	if err != nil {
		t.Fatal(err)
	}
	entropy := d / 2.0 * math.Log(2*math.Pi*math.E*s*s)
	se := math.Sqrt(d / 2.0 / n)
	near(t, "NLL", l.NLLNats.Value, entropy, 4*se)
	near(t, "its standard error", l.NLLNats.StdErr, se, 0.05*se) // √(2/n) relative, and some
	const rounding = 1e-14                                       // of numbers of size one
	near(t, "nats per dimension", l.NLLNatsPerDim.Value, l.NLLNats.Value/3, rounding)
	near(t, "bits per dimension", l.NLLBitsPerDim.Value, l.NLLNats.Value/3/math.Ln2, rounding)
	near(t, "scaling", l.ScalingNats, 3*math.Log(4), rounding)
	near(t, "sum of the parts", l.NLLNetworkNats+l.ScalingNats, l.NLLNats.Value, rounding)
	if l.N != n || l.Failed != 0 {
		t.Errorf("n %d, failed %d", l.N, l.Failed)
	}
}

func TestNLLCountsFailures(t *testing.T) {
	l, err := NLL([]float64{-1, math.NaN(), -3, math.Inf(-1), math.Inf(1), -11}, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if l.N != 3 || l.Failed != 3 || l.NLLNats.Value != 5 || l.MedianNats != 3 {
		t.Errorf("%+v", l)
	}
	if _, err := NLL([]float64{math.NaN()}, 1, 0); err == nil || !strings.Contains(err.Error(), "none of 1") {
		t.Errorf("all failed: %v", err)
	}
	if _, err := NLL([]float64{1}, 0, 0); err == nil {
		t.Error("d = 0: no error")
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		x    []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, -1, 2}, 2}, {[]float64{1, 2, 3, 10}, 2.5}} {
		if got := Median(c.x); got != c.want {
			t.Errorf("Median(%v) = %g, want %g", c.x, got, c.want)
		}
	}
	if v := Median(nil); v == v {
		t.Errorf("Median of nothing = %g, want NaN", v)
	}
}

func TestCompareAgainstScipy(t *testing.T) {
	g := readGolden(t)
	a, b := points(5, 40), points(6, 40)
	ties, zero := make([]float64, 40), make([]float64, 40)
	for i := range a {
		a[i] = a[i] + 0.5*b[i] + 0.1
		ties[i] = math.RoundToEven(8*(a[i]-b[i])) / 8
	}
	p, err := Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	const tail = 1e-12 // of two ways to compute the tail of a distribution, relative to it
	near(t, "P of the t test", p.PT, g.TP, tail*g.TP)
	near(t, "P of the signed-rank test", p.PWilcoxon, g.WilcoxonP, tail*g.WilcoxonP)
	if p, err = Compare(ties, zero); err != nil {
		t.Fatal(err)
	}
	near(t, "P with ties", p.PWilcoxon, g.WilcoxonTiesP, tail*g.WilcoxonTiesP)
}

func TestCompare(t *testing.T) {
	p, err := Compare([]float64{1, 2, math.NaN(), 4, math.Inf(1)}, []float64{0, 0, 0, 0, math.Inf(1)})
	if err != nil {
		t.Fatal(err)
	}
	if p.N != 3 || p.Dropped != 2 || p.Median != 2 {
		t.Errorf("%+v", p)
	}
	near(t, "mean", p.Mean.Value, 7.0/3, 1e-15)                                     // a rounding
	near(t, "upper end", p.Mean.Hi, 7.0/3+4.302652729696142*math.Sqrt(7.0/9), 1e-9) // t quantile, 2 degrees of freedom, as gonum inverts the distribution
	equal, err := Compare([]float64{1, 2}, []float64{1, 2})
	if err != nil || equal.PT != 1 || equal.PWilcoxon != 1 {
		t.Errorf("equal values: %+v, %v", equal, err)
	}
	shifted, err := Compare([]float64{2, 3}, []float64{1, 2})
	if err != nil || shifted.PT != 0 {
		t.Errorf("all differences 1: %+v, %v", shifted, err)
	}
	if _, err := Compare([]float64{1}, []float64{1, 2}); err == nil || !strings.Contains(err.Error(), "1 values against 2") {
		t.Errorf("unequal numbers: %v", err)
	}
	if _, err := Compare([]float64{1, math.NaN()}, []float64{1, 2}); err == nil || !strings.Contains(err.Error(), "fewer than two pairs") {
		t.Errorf("one pair: %v", err)
	}
	// The interval covers the mean of paired differences.
	_, share := coverage(t, 1000, func(seed uint64) Estimate {
		x := normals(seed, 10, 1)
		p, err := Compare(moved(x, 2, 1), x)
		if err != nil {
			t.Fatal(err)
		}
		return p.Mean
	})
	if share < 0.93 || share > 0.97 { // three standard deviations
		t.Errorf("Student's 95 %% interval covers in %.1f %% of 1000 repetitions", 100*share)
	}
}
