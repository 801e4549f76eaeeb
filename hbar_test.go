package hbar_test

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hbar"
	"hbar/checkpoint"
	"hbar/data"
	"hbar/nets"
	"hbar/solver"
	"hbar/solver/likelihood"
)

// sigmaData is σ_data of the test's networks, in their units.
const sigmaData = 0.5

// transformer saves a network for 2×2 images of bytes with three classes and the prediction edm. As initialised it returns 0, and
// so is the exact model of N(127.5, (127.5 sigmaData)²) pixels; with random weights it is none of anything.
func transformer(t testing.TB, random bool) string {
	t.Helper()
	c, err := nets.NewDiT([]int{2, 2, 1}, 3, nets.DiTSizes{Patch: 1, Width: 8, Depth: 1, Heads: 2})
	if err != nil {
		t.Fatal(err)
	}
	n, err := nets.New(c)
	if err != nil {
		t.Fatal(err)
	}
	n.Initialise(1)
	for i, w := range n.Weights {
		for j := range w {
			if random && !n.Params[i].Fixed {
				w[j] = float32(0.4 * math.Sin(float64(1+j+17*i)))
			}
		}
	}
	m := &checkpoint.Model{Net: n, Schedule: "vp", Prediction: "edm", SigmaData: sigmaData, Norm: data.BytesNormalisation()}
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string, o hbar.Options) *hbar.Model {
	t.Helper()
	m, err := hbar.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s is %g; want %g within %g", what, got, want, tol)
	}
}

// mlp is the swiss roll's network, whose normalisation is by coordinate here.
func mlp(t testing.TB) (string, data.Normalisation) {
	t.Helper()
	c, err := checkpoint.Load("checkpoint/testdata/sr_simple.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	c.Norm = data.Normalisation{Mean: []float64{3, -1}, Scale: []float64{2, 0.5}}
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	return path, c.Norm
}

// TestUnits compares samples, scores and likelihoods in data units with those of the packages below in the network's.
func TestUnits(t *testing.T) {
	ctx := context.Background()
	path, norm := mlp(t)
	m := open(t, path, hbar.Options{})
	if !slices.Equal(m.Shape(), []int{2}) || m.Dim() != 2 || m.Classes() != 0 || m.Device() != "cpu" {
		t.Errorf("shape %v, D %d, %d classes, device %s", m.Shape(), m.Dim(), m.Classes(), m.Device())
	}
	net, err := m.Network(hbar.None)
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Sample(ctx, hbar.SampleOptions{N: 5, H: 0.5, Steps: 20, Seed: 3, First: 2})
	if err != nil || s.N != 5 || s.NonFinite != 0 || s.Evaluations != 20 {
		t.Fatalf("%+v, %v", s, err)
	}
	var y []float64
	o := solver.Options{TableOptions: solver.TableOptions{H: 0.5, Steps: 20}, N: 5, Seed: 3, First: 2}
	if _, err := solver.Sample(ctx, net, m.Schedule(), o, func(c solver.Chunk) error { y = append(y, c.X...); return nil }); err != nil {
		t.Fatal(err)
	}
	x := make([]float64, len(y))
	norm.Invert(x, y, 2)
	if !slices.Equal(x, s.X) {
		t.Errorf("samples %v; want %v", s.X, x)
	}
	norm.Apply(y, x, 2) // as the model does it
	score, err := m.Score(ctx, x, 0.3, hbar.ScoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := make([]float64, len(y))
	if err := net.Score(ctx, want, y, []float64{0.3}); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		near(t, "score", score[i], want[i]/norm.Scale[i%2], 1e-12*math.Abs(want[i]))
	}
	for _, h := range []float64{0, 0.5} {
		got, err := m.LogLikelihood(ctx, x, hbar.LikelihoodOptions{H: h, Steps: 50, Paths: 20, Seed: 1})
		if err != nil || len(got) != 5 {
			t.Fatal(got, err)
		}
		for i, q := range got {
			var want, stderr float64
			if h == 0 {
				p, err := likelihood.Flow(ctx, net, m.Schedule(), y, likelihood.FlowOptions{})
				if err != nil {
					t.Fatal(err)
				}
				want = p[i].LogQ
			} else {
				p, err := likelihood.PathIntegral(ctx, net, m.Schedule(), y, []float64{h}, likelihood.PathOptions{Steps: 50, Paths: 20, Seed: 1})
				if err != nil {
					t.Fatal(err)
				}
				want, stderr = p[i][0].LogQ, p[i][0].StdErr
			}
			near(t, "log likelihood", q.LogQ, want-math.Log(2*0.5), 1e-12*(1+math.Abs(want)))
			near(t, "its standard error", q.StdErr, stderr, 0)
		}
	}
}

// TestExact compares likelihoods with the Gaussian that the network is the exact model of. The flow starts from the prior
// N(0, 1) at Tmax, whose difference from the process's own density there is below 10⁻⁴.
func TestExact(t *testing.T) {
	ctx := context.Background()
	m := open(t, transformer(t, false), hbar.Options{})
	x := []float64{127.5, 127.5, 127.5, 127.5, 200, 60, 130, 90}
	s := m.Schedule()
	variance := func(tm float64) float64 { return math.Pow(s.Alpha(tm)*sigmaData, 2) + s.Sigma2(tm) }
	v := variance(s.Tmin()) * 127.5 * 127.5
	logq := func(x []float64) float64 {
		sum := 0.0
		for _, v1 := range x {
			sum -= math.Log(2*math.Pi*v)/2 + (v1-127.5)*(v1-127.5)/(2*v)
		}
		return sum
	}
	for _, o := range []hbar.LikelihoodOptions{{}, {Exact: true}, {Probes: 3}, {Labels: []int{1, 2}}} {
		got, err := m.LogLikelihood(ctx, x, o)
		if err != nil {
			t.Fatal(err)
		}
		for i, q := range got {
			near(t, "log likelihood", q.LogQ, logq(x[i*4:(i+1)*4]), 2e-3) // the tolerance of the flow, in nats
			if q.Status != likelihood.OK || !(q.StdErr < 1e-3) {
				t.Errorf("%+v", q)
			}
		}
	}
	score, err := m.Score(ctx, x, 0.4, hbar.ScoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range x {
		want := -(x[i] - 127.5) / (variance(0.4) * 127.5 * 127.5)
		near(t, "score", score[i], want, 1e-6*math.Abs(want)+1e-12)
	}
	// 400 numbers: their variance is right to a relative standard error of √(2/400) = 7 %.
	const n = 100
	draw, err := m.Sample(ctx, hbar.SampleOptions{N: n, H: 1, Steps: 200, Grid: solver.GridLambda, Sampler: solver.Exponential})
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, x := range draw.X {
		sum += (x - 127.5) * (x - 127.5)
	}
	near(t, "variance", sum/(4*n)/v, 1, 0.25)
}

// TestLabels compares labels and guidance with their definition, in both precisions.
func TestLabels(t *testing.T) {
	ctx := context.Background()
	path := transformer(t, true)
	for _, precision := range []solver.Precision{solver.Float32, solver.Float64} {
		m := open(t, path, hbar.Options{Precision: precision})
		x := []float64{10, 100, 200, 250}
		score := func(o hbar.ScoreOptions) []float64 {
			s, err := m.Score(ctx, slices.Concat(x, x), 0.5, o)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		none, one := score(hbar.ScoreOptions{}), score(hbar.ScoreOptions{Labels: []int{1}})
		mixed := score(hbar.ScoreOptions{Labels: []int{1, hbar.None}})
		if !slices.Equal(mixed, slices.Concat(one[:4], none[4:])) || slices.Equal(one, none) {
			t.Errorf("labels 1 and none: %v; want the parts of %v and %v", mixed, one, none)
		}
		guided := score(hbar.ScoreOptions{Labels: []int{1}, Guidance: 2})
		for i := range guided {
			near(t, "guided score", guided[i], 3*one[i]-2*none[i], 1e-5*(math.Abs(one[i])+math.Abs(none[i])))
		}
	}
	m := open(t, path, hbar.Options{Workers: 1})
	o := hbar.SampleOptions{N: 3, H: 1, Steps: 8, Labels: []int{0, 2, hbar.None}, Guidance: 1, First: 7}
	all, err := m.Sample(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, y := range o.Labels {
		o := o
		o.N, o.First, o.Labels = 1, o.First+uint64(i), []int{y}
		if s, err := m.Sample(ctx, o); err != nil || !slices.Equal(s.X, all.X[4*i:4*i+4]) {
			t.Errorf("sample %d alone is %v, %v; among others %v", i, s, err, all.X[4*i:4*i+4])
		}
	}
	x := all.X[:8]
	both, err := m.LogLikelihood(ctx, x, hbar.LikelihoodOptions{Labels: []int{0, 2}, Probes: 2, Tol: 1e-2})
	if err != nil {
		t.Fatal(err)
	}
	second, err := m.LogLikelihood(ctx, x[4:], hbar.LikelihoodOptions{Labels: []int{2}, Probes: 2, First: 1, Tol: 1e-2})
	if err != nil || math.Abs(second[0].LogQ-both[1].LogQ) > 1e-9 { // nothing: the same bits, unless blocks of another size round in another order
		t.Errorf("log likelihoods %v, %v; the second alone %v", both, err, second)
	}
}

// TestErrors: what is wrong comes as an error that names it.
func TestErrors(t *testing.T) {
	ctx := context.Background()
	path, _ := mlp(t)
	for _, c := range []struct {
		path string
		o    hbar.Options
		want string
	}{
		{"nowhere.safetensors", hbar.Options{}, "nowhere.safetensors"},
		{path, hbar.Options{Schedule: "cosin"}, `schedule "cosin" unknown`},
		{path, hbar.Options{Device: "tpu"}, `device "tpu" unknown`},
		{path, hbar.Options{Device: "cuda:x"}, `device "cuda:x" unknown`},
		{path, hbar.Options{Device: "cuda:99"}, "device cuda:99: cuda: "},
		{path, hbar.Options{Precision: 7}, "no precision 7"},
	} {
		if _, err := hbar.Open(c.path, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v; want %q", err, c.want)
		}
	}
	rows, images := open(t, path, hbar.Options{}), open(t, transformer(t, false), hbar.Options{})
	sample := func(m *hbar.Model, o hbar.SampleOptions) func() error {
		o.Steps = 2
		return func() error { _, err := m.Sample(ctx, o); return err }
	}
	score := func(m *hbar.Model, x []float64, at float64, o hbar.ScoreOptions) func() error {
		return func() error { _, err := m.Score(ctx, x, at, o); return err }
	}
	density := func(m *hbar.Model, x []float64, o hbar.LikelihoodOptions) func() error {
		return func() error { _, err := m.LogLikelihood(ctx, x, o); return err }
	}
	two := []float64{1, 2}
	for want, f := range map[string]func() error{
		"N = -1":                        sample(rows, hbar.SampleOptions{N: -1}),
		"use SampleEach":                sample(rows, hbar.SampleOptions{N: math.MaxInt / 4}),
		"trained without labels":        sample(rows, hbar.SampleOptions{Guidance: 1}),
		"labels and guidance are for":   sample(rows, hbar.SampleOptions{N: 2, Labels: []int{0, 1}}),
		"label 3; want 0 to 2":          sample(images, hbar.SampleOptions{Labels: []int{3}}),
		"label -2":                      score(images, make([]float64, 4), 0.5, hbar.ScoreOptions{Labels: []int{-2}}),
		"2 labels for 3 samples":        sample(images, hbar.SampleOptions{N: 3, Labels: []int{1, 2}}),
		"guidance NaN":                  sample(images, hbar.SampleOptions{Labels: []int{1}, Guidance: math.NaN()}),
		"h = -1":                        density(rows, two, hbar.LikelihoodOptions{H: -1}),
		"h = NaN":                       density(rows, two, hbar.LikelihoodOptions{H: math.NaN()}),
		"x has 3 numbers":               density(rows, []float64{1, 2, 3}, hbar.LikelihoodOptions{}),
		"2 labels for 1 samples":        density(images, make([]float64, 4), hbar.LikelihoodOptions{Labels: []int{1, 1}}),
		"exact divergence":              density(rows, two, hbar.LikelihoodOptions{Exact: true, Probes: 2}),
		"tolerance -1":                  density(rows, two, hbar.LikelihoodOptions{Tol: -1}),
		"time 2; the schedule simple":   score(rows, two, 2, hbar.ScoreOptions{}),
		"time NaN; the schedule simple": score(rows, two, math.NaN(), hbar.ScoreOptions{}),
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want %q", err, want)
		}
	}
	if q, err := rows.LogLikelihood(ctx, []float64{math.NaN(), 1, 3, -1}, hbar.LikelihoodOptions{}); err != nil ||
		q[0].Status != likelihood.BadPoint || q[1].Status != likelihood.OK {
		t.Errorf("a point that is no number: %v, %v", q, err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if s, err := images.Sample(ended, hbar.SampleOptions{}); err == nil || s.N != 0 {
		t.Errorf("after the context has ended: %v, %v", s, err)
	}
	closed, err := hbar.Open(path, hbar.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := closed.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := sample(closed, hbar.SampleOptions{})(); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("closed: %v", err)
	}
}

// Under a schedule of matrices a network that is exact for Gaussian pixels gives their density after the noise at Tmin, and samples of them.
func TestMatrixSchedule(t *testing.T) {
	m := open(t, transformer(t, false), hbar.Options{Schedule: "cld"})
	s := solver.BlocksOf(m.Schedule())
	if s == nil {
		t.Fatalf("schedule %s is one of scalars", m.Schedule().Name())
	}
	phi, sigma := s.Law(s.Tmin())
	variance := 127.5 * 127.5 * (phi[0]*phi[0]*sigmaData*sigmaData + sigma[0])
	ctx := context.Background()
	x := []float64{100, 180, 127.5, 90}
	got, err := m.LogLikelihood(ctx, x, hbar.LikelihoodOptions{Tol: 1e-4, Labels: []int{1}})
	if err != nil {
		t.Fatal(err)
	}
	want := 0.0
	for _, v := range x {
		want -= ((v-127.5)*(v-127.5)/variance + math.Log(2*math.Pi*variance)) / 2
	}
	near(t, "log q⁰", got[0].LogQ, want, 4*got[0].StdErr+1e-3)
	if _, err := m.LogLikelihood(ctx, x, hbar.LikelihoodOptions{H: 1, Labels: []int{1}}); err == nil || !strings.Contains(err.Error(), "for the sampler exp") {
		t.Errorf("em's density: error %v", err)
	}
	const n = 300
	r, err := m.Sample(ctx, hbar.SampleOptions{N: n, H: 1, Sampler: solver.Exponential2, Grid: solver.GridLambda, Steps: 40, Labels: []int{1}})
	if err != nil || r.NonFinite > 0 || len(r.X) != 4*n {
		t.Fatalf("%d numbers, %v", len(r.X), err)
	}
	sum := 0.0
	for _, v := range r.X {
		sum += (v - 127.5) * (v - 127.5) / (4 * n)
	}
	near(t, "the variance of samples", sum/variance, 1, 4*math.Sqrt(2.0/(4*n))+0.05) // order 2 in 40 steps
}
