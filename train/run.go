package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"hbar/checkpoint"
	"hbar/data"
	"hbar/graph"
	"hbar/internal/memory"
	"hbar/kernels/fit"
	"hbar/kernels/learn"
	"hbar/solver"
)

// Result of a run.
type Result struct {
	Model *checkpoint.Model // with the averaged weights if there are any
	Step  int               // steps taken
	// Loss is the mean over the last LossSteps steps, a sixteenth of the run; NaN if no step of it was taken.
	Loss      float64
	LossSteps int
	// ZeroLoss is the loss of a network whose output is zero: one that has learnt nothing.
	ZeroLoss float64
}

// Run is a training run.
type Run struct {
	o       Options
	set     *data.Dataset
	report  Reporter
	trainer Trainer
	model   *checkpoint.Model // its parameters are filled in when they are wanted
	print   string            // fingerprint
	sums    sums
	zero    float64 // loss of a network that says zero
	saved   int     // step of the last checkpoint
	most    int     // steps to ask the trainer for at once, so that an interrupt does not wait long
}

// sums are the running means of the loss; they are part of a checkpoint so that a resumed run logs the same figures.
type sums struct {
	Window   float64 `json:"window"` // since the last report
	WindowN  int     `json:"window_n"`
	Tail     float64 `json:"tail"` // from step TailFrom on
	TailN    int     `json:"tail_n"`
	TailFrom int     `json:"tail_from"`
}

// Fit is New and Run in one.
func Fit(ctx context.Context, set *data.Dataset, o Options, r Reporter) (*Result, error) {
	t, err := New(set, o)
	if err != nil {
		return nil, err
	}
	return t.Run(ctx, r)
}

// New prepares a run on the set; with Options.Resume it reads the checkpoint and refuses one that does not fit. It writes
// nothing. The set must not change until the run has ended.
func New(set *data.Dataset, o Options) (*Run, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	t, err := start(set, o.WithDefaults())
	if err != nil {
		return nil, err
	}
	if o.Resume {
		if err := t.resume(); err != nil {
			return nil, errors.Join(err, t.trainer.Close())
		}
	}
	return t, nil
}

// Step is the number of steps that the run has behind it.
func (t *Run) Step() int { return int(t.trainer.Steps()) }

// Run trains to the last step; it can be called once. r may be nil. It returns a Result, with a model, also when it ends
// early: if ctx ends, it saves a checkpoint (with Options.Dir) and the error is *Interrupted; a loss that is not finite
// is *Diverged.
func (t *Run) Run(ctx context.Context, r Reporter) (*Result, error) {
	t.report = r
	if r == nil {
		t.report = silent{}
	}
	err := t.loop(ctx)
	if e := t.fillModel(); e != nil { // a device that fails
		return nil, errors.Join(err, e, t.trainer.Close())
	}
	if e := t.trainer.Close(); err == nil {
		err = e
	}
	return t.result(), err
}

func start(set *data.Dataset, o Options) (*Run, error) {
	if set.N() < 1 {
		return nil, errors.New("train: the data set is empty")
	}
	limit := memory.Available()
	if err := o.fits(set.D, set.N(), o.NewTrainer != nil, limit); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	x := set.Normalised()
	sigmaData, err := spread(x)
	if err != nil {
		return nil, err
	}
	schedule, err := solver.NewSchedule(o.Schedule, o.ScheduleParams)
	if err != nil {
		return nil, err
	}
	prediction, err := o.prediction(sigmaData)
	if err != nil {
		return nil, err
	}
	weighting, err := solver.ParseWeighting(o.Weight)
	if err != nil {
		return nil, err
	}
	t := &Run{o: o, set: set, most: 1}
	if t.print, err = o.fingerprint(x); err != nil {
		return nil, err
	}
	initial, err := o.Spec(set.D).Initial(o.Seed)
	if err != nil {
		return nil, err
	}
	network, err := graph.New(o.Spec(set.D), initial)
	if err != nil {
		return nil, err
	}
	t.model, err = describe(set, o, schedule, prediction)
	if err != nil {
		return nil, err
	}
	t.model.Params = initial
	t.sums.TailFrom = o.Steps - max(o.Steps/16, 1)
	times := newTimes(o, schedule, prediction, weighting, sigmaData)
	t.zero = zeroLoss(times, x)
	source := newBatches(x, set.D, o, times)
	lo := fit.Options{Batch: o.Batch, Decay: o.WeightDecay, Clip: o.Clip, EMA: o.EMA, Workers: o.Workers}
	if o.NewTrainer != nil {
		if t.trainer, err = o.NewTrainer(network.Training(), lo, source.describe()); err != nil {
			return nil, err
		}
	}
	if t.trainer == nil {
		if err := o.fits(set.D, set.N(), false, limit); err != nil { // a GPU was wished for and is not there
			return nil, fmt.Errorf("train: %w", err)
		}
		on, err := learn.New(network.Training(), lo)
		if err != nil {
			return nil, err
		}
		t.trainer = cpu{on, source}
	}
	return t, nil
}

// spread is the standard deviation of all coordinates of the data in network units, about their common mean.
func spread(x []float32) (float64, error) {
	mean, n := 0.0, float64(len(x))
	for i, v := range x {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return 0, fmt.Errorf("train: number %d of the data is %v; all must be finite", i, v)
		}
		mean += float64(v) / n
	}
	square := 0.0
	for _, v := range x {
		square += (float64(v) - mean) * (float64(v) - mean) / n
	}
	if square == 0 {
		return 0, errors.New("train: all numbers of the data are equal; there is nothing to learn")
	}
	return math.Sqrt(square), nil
}

// A burst of steps is as long as an interrupt may have to wait: between these times, unless it is a single step.
const (
	shortBurst = 50 * time.Millisecond
	longBurst  = 300 * time.Millisecond
	mostSteps  = 1 << 12
)

func (t *Run) loop(ctx context.Context) error {
	o := t.o
	var rates []float64
	losses := make([]float64, mostSteps)
	for {
		step := t.Step()
		if step >= o.Steps {
			break
		}
		if err := ctx.Err(); err != nil {
			return t.interrupted(err)
		}
		rates = rates[:0]
		for range t.burst(step) {
			rates = append(rates, o.rate(step+len(rates)))
		}
		began := time.Now()
		taken, last, err := t.trainer.Run(ctx, rates, losses)
		switch took := time.Since(began); {
		case took < shortBurst:
			t.most = min(2*t.most, mostSteps)
		case took > longBurst:
			t.most = max(t.most/2, 1)
		}
		for _, loss := range losses[:taken] {
			step++
			t.sums.add(step, loss)
		}
		if err != nil {
			return t.failed(step, rates[taken], err)
		}
		if taken < len(rates) { // ctx has ended
			continue
		}
		if w, ok := t.report.(Watcher); ok {
			w.Step(step)
		}
		if step%o.LogEvery == 0 || step == o.Steps {
			if err := t.report.Progress(t.sums.report(o, step, rates[taken-1], last.GradNorm)); err != nil {
				return errors.Join(err, t.save())
			}
		}
		if step%o.SaveEvery == 0 && step < o.Steps {
			if err := t.save(); err != nil {
				return err
			}
		}
	}
	return t.save()
}

// burst is the number of steps to take before the run has something to say or to save.
func (t *Run) burst(step int) int {
	o := t.o
	return min(t.most, o.Steps-step, o.LogEvery-step%o.LogEvery, o.SaveEvery-step%o.SaveEvery)
}

// failed is the error of a run whose trainer did not take the step after so many.
func (t *Run) failed(step int, lr float64, err error) error {
	var bad *fit.NonFiniteError
	if !errors.As(err, &bad) {
		return fmt.Errorf("train: step %d: %w", step+1, err)
	}
	return &Diverged{step + 1, lr, fmt.Errorf("loss %v: %s", bad.Loss, bad.Cause), t.saved}
}

func (t *Run) interrupted(cause error) error {
	if err := t.save(); err != nil {
		return err
	}
	return &Interrupted{t.Step(), t.o.Dir != "", cause}
}

func (s *sums) add(step int, loss float64) {
	s.Window += loss
	s.WindowN++
	if step > s.TailFrom {
		s.Tail += loss
		s.TailN++
	}
}

func (s *sums) report(o Options, step int, lr, norm float64) Report {
	r := Report{Step: step, Steps: o.Steps, Loss: s.Window / float64(s.WindowN), LR: lr, GradNorm: norm}
	s.Window, s.WindowN = 0, 0
	return r
}

func (t *Run) result() *Result {
	return &Result{Model: t.model, Step: t.Step(), Loss: t.sums.Tail / float64(t.sums.TailN), LossSteps: t.sums.TailN, ZeroLoss: t.zero}
}
