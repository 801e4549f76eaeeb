package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"hbar/cmd/internal/plots"
	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/internal/memory"
	"hbar/kernels/simd"
	"hbar/mpi"
	"hbar/train"
)

const (
	runsDir     = "runs"
	optionsFile = "options.json"
	logFile     = "train.jsonl"
	csvFile     = "train.csv"
	lossFile    = "loss.png"
	samplesFile = "samples.png"
)

func run(ctx context.Context, args []string, io ui.Streams) error { return runWith(ctx, args, io, nil) }

// runWith is run for process 0 of world, or for the only one.
func runWith(ctx context.Context, args []string, io ui.Streams, world *mpi.World) (err error) {
	o, err := parse(args, io.Out)
	if err != nil {
		return err
	}
	if err := o.join(world); err != nil {
		return err
	}
	device, err := openDevice(o.Device)
	if err != nil {
		return err
	}
	defer func() {
		if e := device.close(); err == nil {
			err = e
		}
	}()
	set, err := o.read(func() (*data.Dataset, error) {
		return ui.Wait(ctx, io.Err, "reading "+o.Data, o.load)
	})
	if err != nil {
		return err
	}
	if err := o.sizes(set); err != nil {
		return err
	}
	if err := o.runsOn(device, set); err != nil {
		return err
	}
	if o.dryRun {
		return o.print(io.Out, set, device)
	}
	if err := o.openRunDirectory(); err != nil {
		return err
	}
	defer o.lock.Close()
	var job *train.Run
	if err = o.introduce(io.Out, set, device); err == nil {
		where := device.String()
		job, err = o.prepare(ctx, set, device, io)
		if now := device.String(); err == nil && now != where { // the GPU has no room
			fmt.Fprintf(io.Out, "device    %s%s\n", now, o.instead())
		}
	}
	if err != nil {
		if o.fresh {
			o.lock.Discard()
			os.Remove(o.Dir) // made a moment ago, and empty
		}
		if o.out == "" {
			os.Remove(runsDir) // which stays where it holds other runs
		}
		return err
	}
	if err := rundir.WriteJSON(filepath.Join(o.Dir, optionsFile), o); err != nil {
		return err
	}
	o.introducePeers(io.Out, job, device)
	first := job.Step()
	if o.Resume {
		fmt.Fprintf(io.Out, "resumed   from step %s of %s\n", ui.Count(int64(first)), ui.Count(int64(o.Steps)))
	}
	events, err := o.openBoard(first)
	if err != nil {
		return err
	}
	defer func() {
		if e := events.close(); err == nil {
			err = e
		}
	}()
	if events != nil {
		fmt.Fprintf(io.Out, "events    tensorboard --logdir %s\n", ui.Quote(o.Dir))
	}
	return o.complete(ctx, job, set, events, device, io)
}

// complete trains, draws the loss and the samples, and prints the results.
func (o options) complete(ctx context.Context, job *train.Run, set *data.Dataset, events *board, device *device, io ui.Streams) error {
	first, where := job.Step(), device.after()
	res, rate, err := o.fit(ctx, job, set, events, device, io)
	if res != nil && res.Step > 0 {
		if e := drawLoss(o); err == nil {
			err = e
		}
	}
	var stopped *train.Interrupted
	if errors.As(err, &stopped) {
		fmt.Fprintf(io.Out, "go on with: %s --resume --out %s\n", ui.Program("train"), ui.Quote(o.Dir))
		return fmt.Errorf("%w after step %s; checkpoint in %s", ui.ErrInterrupted, ui.Count(int64(stopped.Step)), o.Dir)
	}
	if err != nil {
		return err
	}
	if job.Step() == first {
		fmt.Fprintf(io.Out, "all %s were taken before\n", ui.Plural(int64(first), "step"))
	} else if res.LossSteps > 0 {
		fmt.Fprintf(io.Out, "loss %.4g, the mean of the last %s; %s steps/s\n", res.Loss, ui.Plural(int64(res.LossSteps), "step"), ui.Rate(rate))
	}
	o.farewellPeers(io.Out, job)
	if err := o.learnt(res); err != nil {
		return err
	}
	if res.LossSteps > 0 && res.Loss >= res.ZeroLoss {
		fmt.Fprintf(io.Err, "warning: the network has learnt nothing: its loss, %.4g, is not below the %.4g of one whose output is zero; raise --steps, or lower --lr from %g\n", res.Loss, res.ZeroLoss, o.LR)
	}
	if set.Alphabet != nil {
		if err := o.writeText(ctx, res.Model, where, io); err != nil {
			return err
		}
		o.farewell(io.Out, set.N(), set.Classes)
		return nil
	}
	if err := o.drawSamples(ctx, set, res.Model, where, io); errors.Is(err, context.Canceled) || errors.Is(err, ui.ErrInterrupted) {
		return fmt.Errorf("%w while drawing samples; the trained network is in %s", ui.ErrInterrupted, o.Dir)
	} else if err != nil {
		return err
	}
	if err := events.picture(res.Step, tagCompare, filepath.Join(o.Dir, samplesFile)); err != nil {
		return err
	}
	o.farewell(io.Out, set.N(), set.Classes)
	return nil
}

// failedLoss is the loss, relative to that of a network whose output is zero, from which on a run counts as failed. With initial weights
// it is about 1. Learning rates that are too large can make it much larger without infinite or NaN numbers.
const failedLoss = 2

// learnt returns an error if training has made the network much worse than one whose output is zero.
func (o options) learnt(res *train.Result) error {
	if !(res.Loss > failedLoss*res.ZeroLoss) {
		return nil
	}
	return fmt.Errorf("training failed: the loss, %.4g, is above the %.4g of a network that says nothing; try --lr %.1g, or --clip 1 or --warmup %d; the weights as they are are in %s",
		res.Loss, res.ZeroLoss, min(o.LR/10, 1e-3), max(o.Steps/20, 1), o.Dir)
}

// prepare makes the network and its trainer, or takes them from the run's checkpoint.
func (o *options) prepare(ctx context.Context, set *data.Dataset, device *device, io ui.Streams) (job *train.Run, err error) {
	if err := o.trainOn(device, io.Out); err != nil {
		return nil, err
	}
	if device.gpu != nil {
		job, err = train.New(set, o.Options)
	} else {
		job, err = ui.Wait(ctx, io.Err, "preparing the network", func() (*train.Run, error) { return train.New(set, o.Options) })
	}
	var refused *train.Mismatch
	var large *memory.TooMuch
	switch {
	case errors.As(err, &refused) && o.saved != nil:
		return nil, o.refused(refused)
	case errors.As(err, &large):
		return nil, large
	}
	return job, err
}

// print is --dry-run: where the run would go and the options it would have.
func (o options) print(w io.Writer, set *data.Dataset, device *device) error {
	if o.out == "" {
		o.Dir = rundir.Next(runsDir, o.name())
	} else {
		o.Dir = o.out
	}
	if err := o.introduce(w, set, device); err != nil {
		return err
	}
	b, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", b)
	return err
}

// openRunDirectory makes the run directory, and locks it for this process.
func (o *options) openRunDirectory() (err error) {
	if o.out == "" {
		o.Dir, err = rundir.Create(runsDir, o.name())
		o.fresh = true
	} else if err = o.mayWrite(); err == nil {
		_, missing := os.Stat(o.out)
		o.fresh = errors.Is(missing, fs.ErrNotExist)
		o.Dir, err = o.out, rundir.Prepare(o.out)
	}
	if err != nil {
		return err
	}
	if o.lock, err = rundir.Acquire(o.Dir); err != nil {
		return err
	}
	if o.out != "" {
		err = o.mayWrite() // a run may have ended there a moment ago
	}
	return err
}

// mayWrite refuses to replace a run that was not meant.
func (o *options) mayWrite() error {
	if !o.Resume && !o.overwrite && (rundir.Exists(o.out, train.StateFile) || rundir.Exists(o.out, train.ModelFile)) {
		return ui.Usagef("%s holds a run already; go on with it by --resume, replace it by --overwrite, or choose another --out", o.out)
	}
	return nil
}

// describeData says what was read.
func describeData(w io.Writer, name string, m data.Summary) {
	if m.Kind == "samples" {
		fmt.Fprintf(w, "data      %s, %s of %s\n", name, ui.Plural(int64(m.N), "sample"), m.Size())
	} else {
		fmt.Fprintf(w, "data      %s, %s of %s, %s\n", name, ui.Plural(int64(m.N), strings.TrimSuffix(m.Kind, "s")), m.Size(), m.Values())
	}
	if m.Classes > 0 {
		fmt.Fprintf(w, "labels    %s of %s to %s", ui.Plural(int64(m.Classes), "class"), ui.Count(int64(m.Least)), ui.Plural(int64(m.Most), "sample"))
		if names := m.Names(); names != "" {
			fmt.Fprintf(w, ": %s", names)
		}
		fmt.Fprintln(w)
	}
}

// introduce prints the settings before the work begins.
func (o options) introduce(w io.Writer, set *data.Dataset, device *device) error {
	describeData(w, o.Data, set.Summary())
	for _, n := range set.Notes {
		fmt.Fprintf(w, "%-9s %s\n", n.Label, n.Text)
	}
	fmt.Fprintf(w, "model     %s prediction, schedule %s, weight %s\n", o.Prediction, o.Schedule, o.Weight)
	if err := o.describeNetwork(w, set); err != nil {
		return err
	}
	fmt.Fprintf(w, "training  %s of %s, learning rate %g, seed %d\n", ui.Plural(int64(o.Steps), "step"), ui.Plural(int64(o.Batch), strings.TrimSuffix(set.Kind(), "s")), o.LR, o.Seed)
	if device.gpu != nil {
		fmt.Fprintf(w, "device    %s\n", device)
	} else {
		kernels, err := simd.Choice()
		if err != nil {
			fmt.Fprintf(w, "warning   %v\n", err)
		}
		fmt.Fprintf(w, "device    %s, %s, %s kernels%s\n", device, ui.Plural(int64(o.Workers), "worker"), kernels, o.instead())
	}
	fmt.Fprintf(w, "output    %s\n", o.Dir)
	return nil
}

// instead says of a run on the CPU that it is not in the precision that was asked for of a GPU.
func (o options) instead() string {
	if o.Precision == "" {
		return ""
	}
	return ", fp32 instead of " + o.Precision
}

// fit trains, with the progress shown and logged. It also returns the mean number of steps a second.
func (o options) fit(ctx context.Context, job *train.Run, set *data.Dataset, events *board, device *device, io ui.Streams) (res *train.Result, rate float64, err error) {
	if err := o.clearGrids(); err != nil {
		return nil, 0, err
	}
	pace, err := o.newPace(set, job.Step(), device)
	if err != nil {
		return nil, 0, err
	}
	if pace.peak > 0 {
		fmt.Fprintf(io.Out, "peak      %.0f GFLOP/s of %s, as measured just now\n", pace.peak/1e9, pace.of)
	}
	l, err := openLog(o.Dir, int64(job.Step()), pace)
	if err != nil {
		return nil, 0, err
	}
	defer func() {
		if e := l.close(); err == nil {
			err = e
		}
	}()
	l.board, l.grid = events, o.newGrids(ctx, set.Shape, events, device.after(), io)
	l.bar = ui.NewProgress(io.Err, "steps", int64(job.Step()), int64(o.Steps), l.lines())
	l.bar.Show(int64(job.Step()))
	res, err = job.Run(ctx, l)
	l.bar.Done()
	return res, l.bar.Rate(), err
}

// farewell prints which files to look at, and commands to try next with data of n samples.
func (o options) farewell(w io.Writer, n, classes int) {
	file := func(name string) string { return filepath.Join(o.Dir, name) }
	if o.Text {
		fmt.Fprintf(w, "\nlook at   %s   samples, a window of %d characters each\n", file(textFile), o.Length)
	} else {
		fmt.Fprintf(w, "\nlook at   %s   data beside samples\n", file(samplesFile))
	}
	fmt.Fprintf(w, "          %s      the loss\n", file(lossFile))
	model := ui.Quote(file(train.ModelFile))
	if o.Text {
		fmt.Fprintf(w, "then try  %s --checkpoint %s --n 20 --sampler exp2 --grid lambda --steps 50 --denoise --out %s --show\n", ui.Program("sample"), model, ui.Quote(file("more.txt")))
		fmt.Fprintf(w, "          %s --checkpoint %s --data %s --n %d --dequantise truncnorm --flow-steps 40 --divergence rademacher --probes 1\n", ui.Program("likelihood"), model, ui.Quote(o.Data), min(n, 8))
		return
	}
	if o.Net != train.NetMLP { // a few of each: their networks take long
		out := file("strengths.npz")
		if o.Net == train.NetDiT {
			out = file("strengths.npy")
		}
		fmt.Fprintf(w, "then try  %s --checkpoint %s --n 10 --h 0,0.3,1 --sampler exp2 --grid lambda --steps 50 --denoise --out %s --sheet %s\n", ui.Program("sample"), model, ui.Quote(out), ui.Quote(file("strengths.png")))
		if classes > 0 && o.LabelDropout == 0 {
			return // likelihoods are those without a label, which this network does not know
		}
		fmt.Fprintf(w, "          %s --checkpoint %s --data %s --n %d --bits --dequantise uniform --flow-steps 40 --divergence rademacher --probes 1\n", ui.Program("likelihood"), model, ui.Quote(o.Data), min(n, 8))
		return
	}
	fmt.Fprintf(w, "then try  %s --checkpoint %s --h 0 --plot %s\n", ui.Program("sample"), model, ui.Quote(file("ode.png")))
	fmt.Fprintf(w, "          %s --checkpoint %s --data %s --n %d --h 0,0.1,1\n", ui.Program("likelihood"), model, ui.Quote(o.Data), min(n, 100))
}

// drawLoss plots the log.
func drawLoss(o options) error {
	records, err := readLog(filepath.Join(o.Dir, logFile))
	if err != nil || len(records) == 0 {
		return err
	}
	var steps, loss []float64
	for _, r := range records {
		steps = append(steps, float64(r.Step))
		loss = append(loss, float64(r.Loss))
	}
	title := fmt.Sprintf("%s, schedule %s, %s prediction, weight %s", filepath.Base(o.Data), o.Schedule, o.Prediction, o.Weight)
	return plots.Loss(filepath.Join(o.Dir, lossFile), title, steps, loss)
}
