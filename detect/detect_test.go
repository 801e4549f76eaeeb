package detect

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hbar/solver"
	"hbar/solver/exact"
	"hbar/solver/likelihood"
)

func column(t *testing.T, rows []float64, name string) []float64 {
	t.Helper()
	for j, n := range Names {
		if n == name {
			var v []float64
			for i := j; i < len(rows); i += len(Names) {
				v = append(v, rows[i])
			}
			return v
		}
	}
	t.Fatal(name)
	return nil
}

func TestAUC(t *testing.T) {
	for _, c := range []struct {
		score []float64
		label []bool
		want  float64
	}{
		{[]float64{1, 2, 3, 4}, []bool{false, false, true, true}, 1},
		{[]float64{1, 2, 3, 4}, []bool{true, true, false, false}, 0},
		{[]float64{1, 1, 1, 1}, []bool{true, false, true, false}, 0.5},
		{[]float64{1, 2, 2, 3}, []bool{false, true, false, true}, 0.875},
	} {
		if got := AUC(c.score, c.label); math.Abs(got-c.want) > 1e-15 { // a rounding
			t.Errorf("%v %v: %g, want %g", c.score, c.label, got, c.want)
		}
	}
}

// rowsOf are statistics of two classes that differ by a shift of some of them.
func rowsOf(rng *rand.Rand, n int, shift float64) []float64 {
	rows := make([]float64, n*len(Names))
	for i := range rows {
		rows[i] = rng.NormFloat64()
		if i%len(Names) < 2 {
			rows[i] += shift
		}
	}
	return rows
}

// The detector finds a shift of known size, none where there is none, in bounds that hold it, and bears overflows.
func TestCalibrate(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	// Two features shifted by 1: scores differ by √2 standard deviations, AUC = Φ(√2/√2).
	want := 0.5 * math.Erfc(-1/math.Sqrt2)
	d, r, err := Calibrate(rowsOf(rng, 1500, 0), rowsOf(rng, 1500, 1), 1)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(r.AUC-want) > 0.03 || r.CI[0] > r.AUC || r.CI[1] < r.AUC || r.CI[1]-r.CI[0] > 0.08 || r.Train < r.AUC-0.05 || r.Null[0] < 0.42 || r.Null[1] > 0.58 {
		t.Errorf("AUC of a shift %+v, want %.3f", r, want)
	}
	if math.Abs(r.Single[0]-0.5*math.Erfc(-0.5)) > 0.04 || math.Abs(r.Single[5]-0.5) > 0.05 {
		t.Errorf("single statistics %v", r.Single)
	}
	_, r, err = Calibrate(rowsOf(rng, 600, 0), rowsOf(rng, 600, 0), 1)
	if err != nil || r.CI[0] > 0.5 || r.CI[1] < 0.5 {
		t.Errorf("AUC of nothing %+v (%v)", r, err)
	}
	wild := rowsOf(rng, 300, 1)
	wild[0], wild[20], wild[40] = math.NaN(), math.Inf(1), 1e300
	if _, r, err = Calibrate(rowsOf(rng, 300, 0), wild, 1); err != nil || r.Flags != 2 || r.AUC < 0.7 { // the rows differ by one standard deviation, and three that overflow must not hide that
		t.Errorf("with overflows %+v (%v)", r, err)
	}
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	again := &Detector{}
	if err := json.Unmarshal(b, again); err != nil || again.Validate() != nil || again.Logits(wild)[3] != d.Logits(wild)[3] {
		t.Errorf("a detector from its file is another: %v", err)
	}
	// Rows of no difference have log odds of 0 at equal numbers, however many of each kind the detector saw.
	many, few := rowsOf(rng, 1600, 0), rowsOf(rng, 200, 0)
	one, err := Fit(append(slices.Clone(many), few...), append(make([]bool, 1600), slices.Repeat([]bool{true}, 200)...))
	if err != nil {
		t.Fatal(err)
	}
	mean := 0.0
	for _, l := range one.Logits(few) {
		mean += l / 200
	}
	if math.Abs(mean) > 0.5 { // log 8 = 2.1 without regard to the numbers; 20 weights of noise of 0.08 or so each
		t.Errorf("mean log odds %.2f of what does not differ", mean)
	}
	if _, err := Fit(many, make([]bool, 1600)); err == nil || !strings.Contains(err.Error(), "of one kind") {
		t.Errorf("samples of one kind: error %v", err)
	}
	if _, _, err := Calibrate(wild[:160], wild[:160], 1); err == nil || !strings.Contains(err.Error(), "want at least") {
		t.Errorf("ten samples: error %v", err)
	}
}

// In 95 of 100 cases the interval holds ½ where there is no difference: 40 here, 38 ± 1.4 expected.
func TestNullCoverage(t *testing.T) {
	hit := 0
	for k := range 40 {
		rng := rand.New(rand.NewPCG(uint64(k), 9))
		_, r, err := Calibrate(rowsOf(rng, 150, 0), rowsOf(rng, 150, 0), uint64(k))
		if err != nil {
			t.Fatal(err)
		}
		if r.CI[0] <= 0.5 && r.CI[1] >= 0.5 {
			hit++
		}
	}
	if hit < 33 {
		t.Errorf("%d of 40 intervals hold ½", hit)
	}
}

// Under an exact score the statistics are known: log q⁰ is that of the flow, the denoising error the posterior variance.
func TestStatistics(t *testing.T) {
	s, err := solver.NewSchedule("vp", nil)
	if err != nil {
		t.Fatal(err)
	}
	const d, n, variance = 3, 400, 0.7
	m, err := exact.NewGaussian(s, make([]float64, d), []float64{variance, variance, variance}, 0)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(2, 1))
	x := make([]float64, n*d)
	for i := range x {
		x[i] = math.Sqrt(variance*s.Alpha(s.Tmin())*s.Alpha(s.Tmin())+s.Sigma2(s.Tmin())) * rng.NormFloat64()
	}
	rows, err := Statistics(context.Background(), m, s, x, Options{Steps: 200, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	flow, err := likelihood.Flow(context.Background(), m, s, x[:10*d], likelihood.FlowOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range flow {
		if got := column(t, rows, "log_q0")[i]; math.Abs(got-f.LogQ) > 2e-3 { // what the fixed steps of the statistics leave
			t.Errorf("log q⁰ of sample %d is %g, by the adaptive flow %g", i, got, f.LogQ)
		}
	}
	w := &walk{s: s}
	for k, share := range levels {
		tk := w.time(share)
		a2, s2 := s.Alpha(tk)*s.Alpha(tk), s.Sigma2(tk)
		want := variance * s2 / (a2*variance + s2)
		mean := 0.0
		for _, v := range column(t, rows, Names[9+k]) {
			mean += v / n
		}
		if math.Abs(mean/want-1) > 5*math.Sqrt(2.0/(n*d)) {
			t.Errorf("denoising error at λ %d is %g, the posterior variance %g", k, mean, want)
		}
	}
	// A set cut in pieces has the same statistics.
	part, err := Statistics(context.Background(), m, s, x[300*d:], Options{Steps: 200, Seed: 1, First: 300})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range part {
		if math.Abs(v-rows[300*len(Names)+i]) > 1e-14*math.Abs(v) { // roundings; a point does not depend on the others
			t.Fatalf("statistic %d of a piece is %g, of the whole %g", i, v, rows[300*len(Names)+i])
		}
	}
}

func TestFormat(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	smooth, bytes, quarters := make([]float64, 6000), make([]float64, 6000), make([]float64, 6000)
	for i := range smooth {
		smooth[i] = 16 * rng.Float64()
		bytes[i], quarters[i] = math.Round(smooth[i]), math.Round(4*smooth[i])/4
	}
	for _, c := range []struct {
		a, b []float64
		want string
	}{{smooth, smooth, ""}, {bytes, bytes, ""}, {bytes, smooth, "on a grid of step 1 and the samples' on no grid"}, {bytes, quarters, "round both alike (--quantise 1)"}} {
		err := CheckFormat(c.a, c.b)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
	Quantise(smooth, 1, 1, 0, 3)
	Quantise(bytes, 1, 1, 1, 3)
	if err := CheckFormat(smooth, bytes); err != nil {
		t.Errorf("rounded alike: %v", err)
	}
}
