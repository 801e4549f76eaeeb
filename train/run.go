package train

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hbar/checkpoint"
	"hbar/data"
	"hbar/graph"
	"hbar/internal/memory"
	"hbar/kernels"
	"hbar/kernels/cpu"
	"hbar/kernels/fit"
	"hbar/kernels/general"
	"hbar/kernels/learn"
	"hbar/nets"
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
	trained []tensor
	print   string // fingerprint
	sums    sums
	zero    float64 // loss of a network whose output is zero
	saved   int     // step of the last checkpoint
	most    int     // steps of one call of the trainer, so that an interrupt is handled soon

	shared *fit.DataParallel // with Options.Peers, on CPUs
	halt   func()            // called when all processes have heard that one is to stop
	inAll  bool              // the error of the loop is one that all processes have, after the same step
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
			return nil, errors.Join(err, t.trainer.Abort(err))
		}
	}
	if err := t.agree(); err != nil {
		return nil, errors.Join(err, t.trainer.Abort(err))
	}
	return t, nil
}

// Step is the number of steps taken.
func (t *Run) Step() int { return int(t.trainer.Steps()) }

// Run trains to the last step; it can be called once. r may be nil. It returns a Result, with a model, also when it ends
// early: if ctx ends, it saves a checkpoint (with Options.Dir) and the error is *Interrupted; a loss that is not finite
// is *Diverged.
func (t *Run) Run(ctx context.Context, r Reporter) (*Result, error) {
	t.report = r
	if r == nil {
		t.report = silent{}
	}
	if t.o.Peers != nil { // a request to stop takes effect when all processes know of it
		asked := ctx
		ctx, t.halt = context.WithCancel(context.WithoutCancel(ctx))
		defer t.halt()
		t.trainer = withStop{t.trainer, asked}
	}
	err := t.loop(ctx)
	if e := t.fillModel(); e != nil { // a device that fails
		if err == nil || t.inAll { // else it follows from that error
			err = errors.Join(err, e)
		}
		return nil, errors.Join(err, t.trainer.Abort(err))
	}
	if err != nil && !t.inAll {
		return t.result(), errors.Join(err, t.trainer.Abort(err))
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
	if o.Net == NetMLP { // the memory of others is known when they are built
		if err := o.fits(set.D, set.N(), o.NewTrainer != nil, memory.Available()); err != nil {
			return nil, fmt.Errorf("train: %w", err)
		}
	}
	config, err := o.configFor(set)
	if err != nil {
		return nil, err
	}
	print, stats, err := o.look(set)
	if err != nil {
		return nil, err
	}
	schedule, err := solver.NewSchedule(o.Schedule, o.ScheduleParams)
	if err != nil {
		return nil, err
	}
	prediction, err := o.prediction(stats.deviation)
	if err != nil {
		return nil, err
	}
	if config.EmbedsTime() {
		prediction = prediction.Embedded(schedule)
	}
	weighting, err := solver.ParseWeighting(o.Weight)
	if err != nil {
		return nil, err
	}
	t := &Run{o: o, set: set, print: print, most: 1}
	if t.model, err = describe(set, o, schedule, prediction); err != nil {
		return nil, err
	}
	if config.Classes() > 0 && config.Classes() == len(set.ClassNames) {
		t.model.ClassNames = set.ClassNames
	}
	t.sums.TailFrom = o.Steps - max(o.Steps/16, 1)
	times := newTimes(o, schedule, prediction, weighting, stats.deviation)
	t.zero = zeroLoss(times, stats.square)
	lo := fit.Options{Batch: o.Batch, Decay: o.WeightDecay, Clip: o.Clip, EMA: o.EMA, Workers: o.Workers, Norm: o.Peers != nil}
	if spec, ok := config.(nets.MLP); ok {
		return t, t.startChain(spec, lo, times)
	}
	return t, t.startNetwork(config, lo, times)
}

// startChain makes the network and the trainer of a chain of dense layers.
func (t *Run) startChain(spec nets.MLP, lo fit.Options, times times) error {
	set, o := t.set, t.o
	initial, err := spec.Initial(o.Seed)
	if err != nil {
		return err
	}
	network, err := graph.New(spec, initial)
	if err != nil {
		return err
	}
	t.model.Spec, t.model.Params = spec, initial
	for i := range initial {
		if initial[i].Name != nets.FreqsName { // drawn again from the seed
			t.trained = append(t.trained, tensor{&t.model.Params[i], &t.model.Params[i].Data})
		}
	}
	source := newBatches(set.Normalised(), set.D, o, times)
	if o.NewTrainer != nil {
		on, err := o.NewTrainer(network.Training(), lo, source.describe())
		if err != nil {
			return err
		}
		if on != nil {
			t.trainer, err = t.sharing(on, on)
			return err
		}
	}
	if err := o.fits(set.D, set.N(), false, memory.Available()); err != nil { // there is no GPU, so the memory is the machine's
		return fmt.Errorf("train: %w", err)
	}
	on, err := learn.New(network.Training(), lo)
	if err != nil {
		return err
	}
	t.trainer = t.share(chainOnCPU{on, source}, on, source)
	return nil
}

// startNetwork makes a network of another kind and its trainer.
func (t *Run) startNetwork(config nets.Config, lo fit.Options, times times) error {
	n, err := nets.New(config)
	if err != nil {
		return err
	}
	if err := t.o.networkFits(n, t.set, t.o.NewNetworkTrainer != nil, memory.Available()); err != nil {
		return err
	}
	n.Initialise(t.o.Seed)
	p, err := n.TrainingProgram(t.o.Seed)
	if err != nil {
		return err
	}
	t.model.Net = n
	params := n.Matrices()
	var names, gradients []string
	for i, q := range n.Params {
		if q.Fixed {
			gradients = append(gradients, "")
			continue
		}
		names, gradients = append(names, q.Name), append(gradients, graph.GradName(q.Name))
		t.trained = append(t.trained, tensor{&params[i], &n.Weights[i]})
	}
	d, err := graph.Differentiate(p, names, 2)
	if err != nil {
		return err
	}
	g, source := general.Training{Program: d.Program, Params: params, Gradients: gradients}, newExamples(t.set, t.o, times)
	if t.o.NewNetworkTrainer != nil {
		on, err := t.o.NewNetworkTrainer(g, lo, t.o.MicroBatch)
		if err != nil {
			return err
		}
		if on != nil {
			t.trainer, err = t.sharing(sourced{on, source}, on)
			return err
		}
		if err := t.o.networkFits(n, t.set, false, memory.Available()); err != nil { // a GPU was wished for and does not do it
			return err
		}
	}
	on, err := cpu.NewTrainer(g, lo, cpu.Options{Block: t.o.MicroBatch})
	if err != nil {
		return err
	}
	t.trainer = t.share(networkOnCPU{on, source}, on, source)
	return nil
}

// tensor is a trained parameter: its name and shape, and where the model has its numbers.
type tensor struct {
	*kernels.Param
	in *[]float32
}

// A burst of steps lasts between these times, unless it is a single step. An interrupt waits for the end of a burst.
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

// burst is the number of steps up to the next report or checkpoint.
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
	t.inAll = true
	return &Diverged{step + 1, lr, fmt.Errorf("loss %v: %s", bad.Loss, bad.Cause), t.saved}
}

func (t *Run) interrupted(cause error) error {
	if err := t.save(); err != nil {
		return err
	}
	t.inAll = true
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
