package train

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/data"
	"hbar/solver"
)

func swissRoll(t *testing.T) *data.Dataset {
	t.Helper()
	set, err := data.ByName("swissroll", 3000, 0)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// small are the options of tests: a network that takes little time.
func small() Options {
	return Options{Width: 32, Depth: 2, Steps: 60, Batch: 100, EMA: 0.99, Seed: 3, Clip: 5, LogEvery: 7}
}

// log keeps the reports, and may end the run after some steps.
type log struct {
	reports []Report
	saved   []int
	after   int
	stop    func()
	err     error
}

func (l *log) Progress(r Report) error {
	l.reports = append(l.reports, r)
	if l.stop != nil && r.Step >= l.after {
		l.stop()
	}
	return l.err
}

func (l *log) Saved(step int) { l.saved = append(l.saved, step) }

func equal(a, b *checkpoint.Model) bool {
	for i := range a.Params {
		for j, v := range a.Params[i].Data {
			if math.Float32bits(v) != math.Float32bits(b.Params[i].Data[j]) {
				return false
			}
		}
	}
	return len(a.Params) == len(b.Params)
}

func mustRun(t *testing.T, set *data.Dataset, o Options, r Reporter) *Result {
	t.Helper()
	res, err := Fit(context.Background(), set, o, r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestSameForAnyWorkers(t *testing.T) {
	set := swissRoll(t)
	var first *Result
	for _, workers := range []int{1, 2, 5} {
		o := small()
		o.Workers = workers
		res := mustRun(t, set, o, nil)
		if first == nil {
			first = res
		} else if !equal(first.Model, res.Model) || first.Loss != res.Loss {
			t.Errorf("%d workers give another network than 1", workers)
		}
	}
	o := small()
	o.Seed++
	if equal(first.Model, mustRun(t, set, o, nil).Model) {
		t.Error("another seed gives the same network")
	}
}

// A run that is interrupted, at a step that is neither reported nor saved otherwise, and then resumed, by another number
// of workers, ends with the same bits, the same log and the same final loss.
func TestResume(t *testing.T) {
	for _, mode := range []struct {
		name string
		set  func(*Options)
	}{
		{"plain", func(*Options) {}},
		{"cosine, fourier, residual, importance", func(o *Options) {
			o.Decay, o.Warmup, o.Time, o.Residual, o.Importance = DecayCosine, 10, TimeFourier, true, true
		}},
		{"no averages", func(o *Options) { o.EMA = 0 }},
	} {
		t.Run(mode.name, func(t *testing.T) {
			set := swissRoll(t)
			o := small()
			mode.set(&o)
			var whole log
			want := mustRun(t, set, o, &whole)

			o.Dir, o.SaveEvery, o.Workers = t.TempDir(), 30, 1
			ctx, cancel := context.WithCancel(context.Background())
			part := log{after: 35, stop: cancel}
			_, err := Fit(ctx, set, o, &part)
			var stopped *Interrupted
			if !errors.As(err, &stopped) || stopped.Step != 35 || !stopped.Saved || !errors.Is(err, context.Canceled) {
				t.Fatalf("interrupted run: %v", err)
			}
			if len(part.saved) != 2 || part.saved[0] != 30 || part.saved[1] != 35 {
				t.Errorf("checkpoints at %v, want 30 and 35", part.saved)
			}
			o.Resume, o.Workers = true, 3
			part.stop = nil
			got := mustRun(t, set, o, &part)
			if !equal(want.Model, got.Model) {
				t.Error("the resumed run ends with another network")
			}
			if want.Loss != got.Loss || want.LossSteps != got.LossSteps || want.LossSteps != 3 {
				t.Errorf("final loss %v over %d steps, uninterrupted %v over %d", got.Loss, got.LossSteps, want.Loss, want.LossSteps)
			}
			if len(part.reports) != len(whole.reports) {
				t.Fatalf("%d reports, uninterrupted %d", len(part.reports), len(whole.reports))
			}
			for i := range whole.reports {
				if part.reports[i] != whole.reports[i] {
					t.Errorf("report %+v, uninterrupted %+v", part.reports[i], whole.reports[i])
				}
			}
			stored, err := checkpoint.Load(filepath.Join(o.Dir, ModelFile))
			if err != nil || !equal(want.Model, stored) {
				t.Errorf("the model file holds another network, or none: %v", err)
			}
		})
	}
}

func TestResumeRefuses(t *testing.T) {
	set := swissRoll(t)
	o := small()
	o.Dir = t.TempDir()
	mustRun(t, set, o, nil)
	other := swissRoll(t)
	other.X[17] += 0.5
	for _, c := range []struct {
		name string
		set  *data.Dataset
		mod  func(*Options)
		want string
	}{
		{"learning rate", set, func(o *Options) { o.LR = 2e-3 }, "other options"},
		{"width", set, func(o *Options) { o.Width = 48 }, "other options"},
		{"seed", set, func(o *Options) { o.Seed = 4 }, "other options"},
		{"data", other, func(*Options) {}, "other data"},
		{"directory", set, func(o *Options) { o.Dir = t.TempDir() }, "nothing to resume"},
		{"no directory", set, func(o *Options) { o.Dir = "" }, "needs the directory"},
	} {
		p := o
		p.Resume = true
		c.mod(&p)
		if _, err := Fit(context.Background(), c.set, p, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	// What may change: steps of a run without decay, workers, intervals.
	p := o
	p.Resume, p.Steps, p.Workers, p.SaveEvery, p.LogEvery = true, 70, 1, 9, 3
	if res := mustRun(t, set, p, nil); res.Step != 70 {
		t.Errorf("resumed to step %d, want 70", res.Step)
	}
}

// A rate that explodes the weights ends the run with step and cause, and the last good checkpoint stays, bit for bit.
func TestDivergedKeepsCheckpoint(t *testing.T) {
	set := swissRoll(t)
	o := small()
	o.Dir, o.Steps, o.Clip, o.EMA = t.TempDir(), 20, 0, 0
	mustRun(t, set, o, nil)
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(o.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	model, state := read(ModelFile), read(StateFile)
	o.LR, o.Steps = 1e25, 200
	res, err := Fit(context.Background(), set, o, nil)
	var bad *Diverged
	if !errors.As(err, &bad) {
		t.Fatalf("error %v, want *Diverged", err)
	}
	if bad.Step < 2 || bad.Step > 200 || !strings.Contains(err.Error(), "step") || !strings.Contains(err.Error(), "1e+25") {
		t.Errorf("error %v does not name step and rate", err)
	}
	if res.Step != bad.Step-1 {
		t.Errorf("%d steps taken, the error says step %d failed", res.Step, bad.Step)
	}
	if read(ModelFile) != model || read(StateFile) != state {
		t.Error("a diverged run overwrote the checkpoint")
	}
}

// Moments can overflow float32 while loss and gradient are finite: a checkpoint with such numbers is refused by what would help.
func TestOverflownMoments(t *testing.T) {
	o := small()
	o.Dir = t.TempDir()
	r, err := New(swissRoll(t), o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.trainer.State()
	if err != nil || r.finite(s) != nil {
		t.Fatal(err, r.finite(s))
	}
	s.Step, s.V[1][0] = 9, float32(math.Inf(1))
	var bad *Diverged
	if err := r.finite(s); !errors.As(err, &bad) || bad.Step != 9 || !strings.Contains(err.Error(), "the mean squared gradients of dense0.bias are not finite; a learning rate below") {
		t.Errorf("error %v", err)
	}
}

func TestReporterErrorEndsRun(t *testing.T) {
	l := &log{err: errors.New("no space left on device")}
	o := small()
	o.Dir = t.TempDir()
	if _, err := Fit(context.Background(), swissRoll(t), o, l); !errors.Is(err, l.err) {
		t.Errorf("error %v, want the reporter's", err)
	}
	if len(l.saved) != 1 || l.saved[0] != 7 {
		t.Errorf("checkpoints at %v, want one at step 7, where the report failed", l.saved)
	}
}

func TestLearnsSwissRoll(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand steps take long under the race detector and without assembly")
	}
	o := Options{Width: 64, Steps: 1000, Batch: 256, LR: 2e-3, Importance: true}
	res := mustRun(t, swissRoll(t), o, nil)
	// The best possible is about 5.6; the best linear score has 17. An untrained network starts above 100.
	if !(res.Loss > 5 && res.Loss < 9) {
		t.Errorf("loss %.3g after %d steps, want 5 to 9", res.Loss, res.Step)
	}
	if m := res.Model; m.Schedule != "simple" || m.Prediction != "score" || m.Data != "swissroll" || m.Spec.Width != 64 || len(m.Training) == 0 {
		t.Errorf("model %+v", m)
	}
}

func TestValidate(t *testing.T) {
	if err := (Options{}).Validate(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Schedule: "cosin"}, `schedule "cosin" unknown; have simple, cosine`},
		{Options{Prediction: "noise"}, `prediction "noise" unknown; have score, eps, x0, v, edm`},
		{Options{Weight: "w"}, `weight "w" unknown; have g2, sigma2, edm`},
		{Options{Times: "t"}, `times "t" unknown; have grid, uniform, lognormal`},
		{Options{Net: "resnet"}, `net "resnet" unknown; have mlp, unet, dit`},
		{Options{Act: "relu"}, `act "relu" unknown; have silu, gelu, tanh`},
		{Options{Time: "cos"}, `time "cos" unknown; have raw, fourier`},
		{Options{Decay: "linear"}, `decay "linear" unknown; have none, cosine`},
		{Options{Steps: -1}, "steps is -1"},
		{Options{Batch: -1}, "batch is -1"},
		{Options{LR: -1}, "lr is -1"},
		{Options{LR: math.NaN()}, "lr is NaN"},
		{Options{LR: math.Inf(1)}, "lr is +Inf"},
		{Options{EMA: 1}, "ema is 1"},
		{Options{Clip: math.NaN()}, "clip is NaN"},
		{Options{GridPoints: 1}, "grid_points is 1"},
		{Options{Times: TimesLogNormal, Importance: true}, "importance"},
		{Options{ScheduleParams: map[string]float64{"gamma": 1}}, "gamma"},
	} {
		if err := c.o.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

func TestRefusesBadData(t *testing.T) {
	for name, x := range map[string][]float64{"NaN": {1, math.NaN()}, "equal": {2, 2, 2, 2}, "empty": {}} {
		if _, err := Fit(context.Background(), &data.Dataset{Name: name, D: 2, X: x}, small(), nil); err == nil {
			t.Errorf("%s data are trained on", name)
		}
	}
}

func TestRate(t *testing.T) {
	o := Options{LR: 1, Warmup: 10, Decay: DecayCosine, Steps: 110}.WithDefaults()
	for _, c := range []struct {
		step int
		want float64
	}{{0, 0.1}, {4, 0.5}, {9, 1}, {10, 1}, {60, 0.5}, {109, 0.5 * (1 + math.Cos(0.99*math.Pi))}} {
		if got := o.rate(c.step); math.Abs(got-c.want) > 1e-15 { // a rounding
			t.Errorf("rate at step %d is %g, want %g", c.step, got, c.want)
		}
	}
}

// A schedule of matrices trains as any other, and the checkpoint has its settings.
func TestMatrixSchedule(t *testing.T) {
	o := small()
	o.Schedule, o.ScheduleParams, o.Prediction = "cld", map[string]float64{"gamma": 0.1}, "edm"
	o.Steps, o.LR = 300, 3e-3
	res := mustRun(t, swissRoll(t), o, nil)
	s, _, err := res.Model.Process("")
	if err != nil {
		t.Fatal(err)
	}
	if b := solver.BlocksOf(s); b == nil || b.Size() != 2 || s.Params()["gamma"] != 0.1 || s.Params()["mass"] != 0.25 {
		t.Errorf("the checkpoint has the schedule %s %v", s.Name(), s.Params())
	}
	if !(res.Loss < res.ZeroLoss) {
		t.Errorf("loss %g after %d steps, that of zero is %g", res.Loss, res.Step, res.ZeroLoss)
	}
}
