package models_test

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hbar"
	"hbar/checkpoint"
	"hbar/cmd/studio/internal/fixture"
	"hbar/cmd/studio/internal/models"
	"hbar/cmd/studio/internal/runs"
	"hbar/data"
	"hbar/solver"
	"hbar/train"
)

var ctx = context.Background()

func cache(t *testing.T, dir string) *models.Cache {
	t.Helper()
	s, err := runs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := models.NewCache(s, 2)
	t.Cleanup(c.Close)
	return c
}

func get(t *testing.T, c *models.Cache, run string) *models.Checkpoint {
	t.Helper()
	m, err := c.Get(ctx, run, train.ModelFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Release)
	return m
}

func floats(b []byte) []float64 {
	x := make([]float64, len(b)/4)
	for i := range x {
		x[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
	}
	return x
}

var plain = models.SampleOptions{N: 50, Seed: 3, H: 0.4, Steps: 20, Sampler: "exp2", Grid: "lambda", LastNoise: "full", Frames: 1}

// roll opens a small network of two numbers, and the same one by package hbar.
func roll(t *testing.T) (*models.Checkpoint, *hbar.Model) {
	t.Helper()
	dir := t.TempDir()
	fixture.Roll(t, dir, "roll", 0)
	ref, err := hbar.Open(filepath.Join(dir, "roll", train.ModelFile), hbar.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ref.Close() })
	return get(t, cache(t, dir), "roll"), ref
}

// The samples are those of package hbar, whatever the number of frames.
func TestSample(t *testing.T) {
	m, ref := roll(t)
	want, err := ref.Sample(ctx, hbar.SampleOptions{N: 50, Seed: 3, H: 0.4, Steps: 20, Sampler: solver.Exponential2, Grid: solver.GridLambda})
	if err != nil {
		t.Fatal(err)
	}
	for _, frames := range []int{1, 2, 7, 40} {
		o := plain
		o.Frames = frames
		s, err := m.Sample(ctx, o, nil)
		if err != nil {
			t.Fatal(err)
		}
		x := floats(s.Float32)
		if len(s.Times) != frames || len(x) != frames*50*2 {
			t.Fatalf("%d times and %d numbers for %d frames", len(s.Times), len(x), frames)
		}
		last := x[(frames-1)*100:]
		for i := range last {
			if last[i] != float64(float32(want.X[i])) {
				t.Fatalf("%d frames: number %d is %g; want %g", frames, i, last[i], want.X[i])
			}
		}
		if frames > 1 && (s.Times[0] != ref.Schedule().Tmax() || s.Times[frames-1] != ref.Schedule().Tmin()) {
			t.Errorf("times %v", s.Times)
		}
	}
}

// Data far from zero, such as times of a clock, keep their digits.
func TestSampleFarFromZero(t *testing.T) {
	dir := t.TempDir()
	fixture.Roll(t, dir, "roll", 0)
	file := filepath.Join(dir, "roll", train.ModelFile)
	far, err := checkpoint.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	plainly, err := get(t, cache(t, dir), "roll").Sample(ctx, plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	near := far.Norm
	far.Norm = data.Normalisation{Mean: []float64{1.7e9, -1.7e9}, Scale: []float64{1, 2}}
	if err := far.Save(file); err != nil {
		t.Fatal(err)
	}
	s, err := get(t, cache(t, dir), "roll").Sample(ctx, plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := floats(plainly.Float32)
	near.Apply(want, want, 2)
	far.Norm.Invert(want, want, 2)
	if s.Float32 != nil || len(s.Float64) != 8*len(want) {
		t.Fatalf("%d bytes of float32, %d of float64", len(s.Float32), len(s.Float64))
	}
	for i, w := range want {
		if got := math.Float64frombits(binary.LittleEndian.Uint64(s.Float64[8*i:])); math.Abs(got-w) > 2e-6 { // float32 of the plain sample, and 10⁹ in float64
			t.Fatalf("number %d is %.12g, want %.12g", i, got, w)
		}
	}
}

func TestSampleImages(t *testing.T) {
	dir := t.TempDir()
	fixture.Digits(t, dir, "digits")
	m := get(t, cache(t, dir), "digits")
	o := plain
	o.N, o.Steps, o.Frames, o.Guidance = 6, 3, 2, 1
	s, err := m.Sample(ctx, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Kind != models.KindImage || len(s.Bytes) != 2*6*64 || len(s.Labels) != 6 || s.Labels[4] != 1 {
		t.Errorf("kind %s, %d bytes, labels %v", s.Kind, len(s.Bytes), s.Labels)
	}
	if !strings.Contains(s.Command, "--guidance 1") || !strings.Contains(s.Command, "--sheet") {
		t.Errorf("command %s", s.Command)
	}
	o.Class = "7"
	if _, err := m.Sample(ctx, o, nil); err == nil || !strings.Contains(err.Error(), "classes 0 to 2") {
		t.Errorf("class 7: %v", err)
	}
}

func TestSampleRefuses(t *testing.T) {
	dir := t.TempDir()
	fixture.Roll(t, dir, "roll", 0)
	m := get(t, cache(t, dir), "roll")
	for name, change := range map[string]func(o *models.SampleOptions){
		"n":        func(o *models.SampleOptions) { o.N = 0 },
		"numbers":  func(o *models.SampleOptions) { o.N, o.Frames = 1<<20, 100 },
		"overflow": func(o *models.SampleOptions) { o.N = math.MaxInt },
		"frames":   func(o *models.SampleOptions) { o.Frames = 0 },
		"steps":    func(o *models.SampleOptions) { o.Steps = 1 << 30 },
		"h":        func(o *models.SampleOptions) { o.H = math.NaN() },
		"negative": func(o *models.SampleOptions) { o.H = -1 },
		"sampler":  func(o *models.SampleOptions) { o.Sampler = "x" },
		"grid":     func(o *models.SampleOptions) { o.Grid = "x" },
		"last":     func(o *models.SampleOptions) { o.LastNoise = "x" },
		"class":    func(o *models.SampleOptions) { o.Class = "1" },
		"guidance": func(o *models.SampleOptions) { o.Guidance = math.Inf(1) },
	} {
		o := plain
		change(&o)
		if _, err := m.Sample(ctx, o, nil); err == nil {
			t.Errorf("%s: no error for %+v", name, o)
		}
	}
}

// A computation that nobody waits for ends.
func TestCancel(t *testing.T) {
	dir := t.TempDir()
	fixture.Digits(t, dir, "digits")
	m := get(t, cache(t, dir), "digits")
	o := plain
	o.N, o.Steps = 100, 10_000
	c, cancel := context.WithCancel(ctx)
	started := make(chan struct{})
	var once bool
	go func() {
		<-started
		cancel()
	}()
	_, err := m.Sample(c, o, func(int, int) {
		if !once {
			once = true
			close(started)
		}
	})
	if err == nil || c.Err() == nil {
		t.Errorf("the samples were drawn to the end: %v", err)
	}
}

var square = models.Box{X0: -3, X1: 3, Y0: -3, Y1: 3}

// A density integrates to one, over a box that holds nearly all of it, for the flow, the Fokker–Planck equation and the prior.
func TestDensity(t *testing.T) {
	dir := t.TempDir()
	fixture.Roll(t, dir, "roll", 0)
	m := get(t, cache(t, dir), "roll")
	for _, c := range []struct {
		h, t   float64
		method string
	}{{0, 0.5, "flow"}, {1, 0.2, "fokkerplanck"}, {0.5, 1, "prior"}} {
		o := models.FieldOptions{Box: models.Box{X0: -4, X1: 4, Y0: -4, Y1: 4}, Size: 32, T: c.t, H: c.h}
		f, err := m.Density(ctx, o, nil)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, v := range floats(f.Float32) {
			sum += v * 64 / (32 * 32)
		}
		// The box leaves out some 10⁻⁴; cells of 1/4 resolve what is blurred by noise to a few percent.
		if f.Method != c.method || !(math.Abs(sum-1) < 0.05) {
			t.Errorf("h = %g, t = %g: %s integrates to %g", c.h, c.t, f.Method, sum)
		}
	}
	for _, o := range []models.FieldOptions{{Box: square, Size: 1000, T: 0.5}, {Box: square, Size: 8, T: 5}, {Box: square, Size: 8, T: 0.5, H: -1}, {Size: 8, T: 0.5}} {
		if _, err := m.Density(ctx, o, nil); err == nil {
			t.Errorf("no error for %+v", o)
		}
	}
}

// The score is that of package hbar at the middle of each cell, x fastest.
func TestScore(t *testing.T) {
	m, ref := roll(t)
	f, err := m.Score(ctx, models.FieldOptions{Box: square, Size: 3, T: 0.3})
	if err != nil {
		t.Fatal(err)
	}
	var x []float64
	for _, b := range []float64{-2, 0, 2} {
		for _, a := range []float64{-2, 0, 2} {
			x = append(x, a, b)
		}
	}
	want, err := ref.Score(ctx, x, 0.3, hbar.ScoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range floats(f.Float32) {
		if v != float64(float32(want[i])) {
			t.Errorf("number %d is %g; want %g", i, v, want[i])
		}
	}
}

// Likelihoods are those of package hbar.
func TestLikelihood(t *testing.T) {
	m, ref := roll(t)
	x := []float64{0.7, -0.3}
	for _, h := range []float64{0, 1} {
		p, err := m.Likelihood(ctx, models.PointOptions{X: x, H: h, Sampler: "em", Grid: "lambda", Steps: 50, Paths: 200}, nil)
		if err != nil {
			t.Fatal(err)
		}
		want, err := ref.LogLikelihood(ctx, x, hbar.LikelihoodOptions{H: h, Grid: solver.GridLambda, Steps: 50, Paths: 200})
		if err != nil {
			t.Fatal(err)
		}
		if float64(p.LogQ) != want[0].LogQ || float64(p.StdErr) != want[0].StdErr || p.Status != string(want[0].Status) {
			t.Errorf("h = %g: %+v; want %+v", h, p, want[0])
		}
	}
	for _, o := range []models.PointOptions{{X: []float64{1}}, {X: []float64{1, math.NaN()}}, {X: x, H: -1}, {X: x, H: 1}, {X: x, H: 1, Steps: 10, Paths: 10, Sampler: "heun", Grid: "t"}} {
		if _, err := m.Likelihood(ctx, o, nil); err == nil {
			t.Errorf("no error for %+v", o)
		}
	}
}

func TestLikelihoodOfImage(t *testing.T) {
	dir := t.TempDir()
	fixture.Digits(t, dir, "digits")
	m := get(t, cache(t, dir), "digits")
	x := make([]float64, 64)
	x[20] = 255
	o := models.PointOptions{X: x, FlowSteps: 10, Draws: 2, Probes: 2, Class: "1"}
	p, err := m.Likelihood(ctx, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	// log₂ of the density in data units and bits per dimension are the same figure.
	if want := -float64(p.LogQ) / (64 * math.Ln2); p.Status != "ok" || !(math.Abs(float64(p.Bits)-want) < 1e-9) || !(p.BitsErr > 0) {
		t.Errorf("%+v; want %g bits", p, want)
	}
	o.X = append([]float64{0.5}, x[1:]...)
	if _, err := m.Likelihood(ctx, o, nil); err == nil || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("half a byte: %v", err)
	}
	o.X, o.H = x, 1
	if _, err := m.Likelihood(ctx, o, nil); err == nil {
		t.Error("the path integral took 64 dimensions")
	}
}

// A checkpoint is read again when it was replaced, and whoever uses the old one may end in peace.
func TestCacheFollowsFile(t *testing.T) {
	dir := t.TempDir()
	fixture.Roll(t, dir, "a", 0)
	fixture.Digits(t, dir, "b")
	c := cache(t, dir)
	first, again := get(t, c, "a"), get(t, c, "a")
	if first != again {
		t.Error("the same file was read twice")
	}
	at := filepath.Join(dir, "a", train.ModelFile)
	if err := os.Rename(filepath.Join(dir, "b", train.ModelFile), at); err != nil {
		t.Fatal(err)
	}
	second := get(t, c, "a")
	if second.ID == first.ID || second.Kind != models.KindImage {
		t.Errorf("the new file is %s of kind %s", second.ID, second.Kind)
	}
	if _, err := first.Sample(ctx, plain, nil); err != nil {
		t.Errorf("the old one: %v", err)
	}
	if err := os.WriteFile(at, []byte("half a fi"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(ctx, "a", train.ModelFile); err == nil || strings.Contains(err.Error(), dir) {
		t.Errorf("a broken file: %v", err)
	}
	if err := os.Remove(at); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(ctx, "a", train.ModelFile); err == nil {
		t.Error("a file that is gone was opened")
	}
	for _, file := range []string{"", "x.txt", "../b/model.safetensors", "/model.safetensors"} {
		if _, err := c.Get(ctx, "a", file); err == nil {
			t.Errorf("%q was opened", file)
		}
	}
}

// Several requests of one network of images run side by side.
func TestSideBySide(t *testing.T) {
	dir := t.TempDir()
	fixture.Digits(t, dir, "digits")
	m := get(t, cache(t, dir), "digits")
	slow := plain
	slow.N, slow.Steps = 200, 10_000
	c, cancel := context.WithCancel(ctx)
	running, ended := make(chan struct{}), make(chan struct{})
	var once bool
	go func() {
		defer close(ended)
		_, _ = m.Sample(c, slow, func(int, int) {
			if !once {
				once = true
				close(running)
			}
		})
	}()
	<-running
	quick := plain
	quick.N, quick.Steps = 2, 2
	limited, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	if _, err := m.Sample(limited, quick, nil); err != nil {
		t.Errorf("beside a slow request: %v", err)
	}
	select {
	case <-ended:
		t.Error("the slow request was not slow")
	default:
	}
	cancel()
	<-ended
}
