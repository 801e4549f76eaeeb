package samplecmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"hbar/cmd/internal/model"
	"hbar/cmd/internal/plots"
	"hbar/cmd/internal/shard"
	"hbar/cmd/internal/term"
	"hbar/cmd/internal/ui"
	"hbar/cuda"
	"hbar/data"
	"hbar/internal/memory"
	"hbar/solver"
)

// gpuBatch is the number of coordinates that a GPU computes at a time. It is many times what the multiprocessors work on at once, and
// small enough for the samples of one batch to be written while the next is computed.
const gpuBatch = 1 << 20

func run(ctx context.Context, args []string, io ui.Streams) (err error) {
	o, err := parse(args, io.Out)
	if err != nil {
		return err
	}
	release, err := o.claim()
	if err != nil {
		return err
	}
	defer release()
	precision := solver.Float32
	if o.reference {
		precision = solver.Float64
	}
	gpu, err := cuda.ParsePrecision(o.Precision)
	if err != nil {
		return err
	}
	m, err := ui.Wait(ctx, io.Err, "reading "+o.Checkpoint, func() (*model.Model, error) {
		return shard.Input(o.shard.Inputs, o.Checkpoint, shard.HashModel, func() (*model.Model, error) {
			return model.Load(o.Checkpoint, model.Options{Schedule: o.Schedule, Act: o.Act, Prediction: o.Prediction, Device: o.Device, GPU: gpu,
				Workers: o.Workers, Precision: precision, Class: o.class, InTurn: true, Guidance: o.guidance})
		})
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if o.batch == 0 && m.OnGPU() {
		o.batch = max(1, gpuBatch/m.Net.Dim())
	}
	if o.network, err = o.networkBytes(m); err != nil {
		return err
	}
	if o.show != "" {
		o.screen = term.Detect(io.Out, term.Mode(o.show), os.Getenv)
	}
	runs := o.runs()
	for _, r := range runs {
		if err := r.fits(solver.StateDim(m.Schedule, m.Net.Dim())); err != nil {
			return err
		}
		if err := r.works(ctx, m); err != nil {
			return err
		}
	}
	if err := o.fitsDisk(m, runs); err != nil {
		return err
	}
	if o.n == 0 {
		return o.empty(io, m, runs)
	}
	shown := &sheets{}
	for i, r := range runs {
		if err := r.draw(ctx, io, m, i, shown); err != nil {
			return r.stopped(err, io, runs[i+1:], shown)
		}
	}
	return o.finish(io, shown)
}

// works refuses a sampler whose steps are not finite, before any sample is drawn.
func (o options) works(ctx context.Context, m *model.Model) error {
	table, err := o.table(m.Schedule)
	if err == nil && o.name != "" { // by itself it is checked when it begins
		_, err = solver.NewTableContext(ctx, m.Schedule, m.Prediction, table)
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w before a sample was finished; nothing is written", ui.ErrInterrupted)
	}
	return err
}

// draw draws the samples of one run, the number of which is i, and writes them.
func (o options) draw(ctx context.Context, io ui.Streams, m *model.Model, i int, shown *sheets) error {
	table, err := o.table(m.Schedule)
	if err != nil {
		return err
	}
	out, err := newOutput(o, m)
	if err != nil {
		return err
	}
	defer out.abort()
	if i == 0 {
		o.introduce(io.Out, m)
	} else {
		fmt.Fprintln(io.Out)
		o.process(io.Out)
	}

	if o.tilt.reward != "" {
		if err := o.runTilted(ctx, io, m, table, out); err != nil {
			return err
		}
		return o.pictures(ctx, io, m, out, shown)
	}
	bar := ui.NewProgress(io.Err, "samples", 0, int64(o.n), nil)
	begin := time.Now()
	res, err := solver.Sample(ctx, m.Net, m.Schedule, solver.Options{
		TableOptions: table, N: o.n, Seed: o.seed, First: o.first, Chunk: o.batch, Record: o.trajectory, Reference: o.reference, Overlap: m.OnGPU(),
		Progress: func(done int) { bar.Report(int64(done)) },
	}, out.take)
	seconds := time.Since(begin).Seconds()
	bar.Done()
	if errors.Is(err, context.Canceled) {
		return o.interrupted(io, m, out, res, seconds)
	}
	if err != nil {
		return err
	}
	if res.Samples > 0 && out.nonFinite == res.Samples && !o.shard.Shard.Given() {
		return o.failure(m, res)
	}
	if err := out.commit(res.Recorded); err != nil {
		return err
	}
	o.report(io, m, out, res, seconds)
	return o.pictures(ctx, io, m, out, shown)
}

// pictures draws what was asked for, once the samples are written. A row for a contact sheet of several runs goes to shown.
func (o options) pictures(ctx context.Context, io ui.Streams, m *model.Model, out *output, shown *sheets) error {
	if o.shard.Shard.Given() {
		return o.writeShard(io, m, out)
	}
	shown.add(o.name, out.sheet)
	if o.name == "" {
		if err := o.finish(io, shown); err != nil {
			return err
		}
		shown.rows = nil // it is drawn
	}
	if o.show != "" {
		if err := o.showSamples(io.Out, m, out); err != nil {
			return err
		}
	}
	if o.plot == "" {
		return nil
	}
	if _, err := ui.Wait(ctx, io.Err, "drawing the picture", func() (struct{}, error) { return struct{}{}, o.plotSamples(o.about(m, out.what), out.shown) }); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "picture   %s\n", o.plot)
	return nil
}

// interrupted keeps the samples that are finished, and says how to get the others.
func (o options) interrupted(io ui.Streams, m *model.Model, out *output, res solver.Result, seconds float64) error {
	if o.shard.Shard.Given() {
		return fmt.Errorf("%w; nothing is written of %v, so run it again", ui.ErrInterrupted, o.shard.Shard)
	}
	if res.Samples == 0 {
		return fmt.Errorf("%w before a sample was finished; nothing is written", ui.ErrInterrupted)
	}
	if err := out.commit(res.Recorded); err != nil {
		return err
	}
	o.report(io, m, out, res, seconds)
	return fmt.Errorf("%w after %s of %s, which %s holds; --first %d --n %d and another --out give the others", ui.ErrInterrupted,
		ui.Count(int64(res.Samples)), ui.Plural(int64(o.n), "sample"), o.out, o.first+uint64(res.Samples), o.n-res.Samples)
}

// introduce prints the settings before the work begins.
func (o options) introduce(w io.Writer, m *model.Model) {
	layers := fmt.Sprintf("%s of %d", ui.Plural(int64(m.Spec.Depth), "layer"), m.Spec.Width)
	if m.Model.Net != nil {
		layers = m.Config().Kind()
	}
	fmt.Fprintf(w, "model     %s: D = %d, %s, schedule %s\n", o.Checkpoint, m.D(), layers, m.Schedule.Name())
	fmt.Fprint(w, m.Report())
	o.process(w)
	labels := ""
	if classes := m.Config().Classes(); classes > 0 {
		labels = map[string]string{"": fmt.Sprintf(", each of %d classes in turn", classes), model.ClassAll: fmt.Sprintf(", each of %d classes in turn", classes),
			model.ClassNone: ", no class"}[o.class]
		if labels == "" {
			labels = ", class " + o.class
		}
		if o.guidance > 0 {
			labels += fmt.Sprintf(", guidance %g", o.guidance)
		}
	}
	fmt.Fprintf(w, "samples   %s, seed %d%s\n", ui.Count(int64(o.n)), o.seed, labels)
	o.introduceShard(w)
	fmt.Fprintf(w, "memory    about %v; there are %v\n", o.need(solver.StateDim(m.Schedule, m.Net.Dim())), memory.Available())
	switch {
	case m.OnGPU() && solver.BlocksOf(m.Schedule) != nil:
		fmt.Fprintf(w, "device    %s, fp32; a schedule of matrices takes its steps on the CPU, and asks the GPU for each denoised state\n", m.Where(0))
	case m.OnGPU() && !m.Fused():
		fmt.Fprintf(w, "device    %s, %s kernels layer by layer\n", m.Where(0), o.Precision)
	case m.OnGPU():
		fmt.Fprintf(w, "device    %s, fused %s kernels\n", m.Where(0), o.Precision)
	case o.reference:
		fmt.Fprintf(w, "device    %s, float64 reference loop\n", m.Where(o.Workers))
	case o.Precision != cuda.FP32.String():
		fmt.Fprintf(w, "device    %s, fp32 instead of %s\n", m.Where(o.Workers), o.Precision)
	default:
		fmt.Fprintf(w, "device    %s\n", m.Where(o.Workers))
	}
}

// process says how the samples are drawn.
func (o options) process(w io.Writer) {
	end := ""
	if o.denoise {
		end = ", then denoised"
	}
	fmt.Fprintf(w, "process   h = %v, %s of %s, grid %s, last noise %s%s\n", o.h, ui.Plural(int64(o.steps), "step"), o.sampler, o.grid, o.lastNoise, end)
}

// failure is the error of a run without a finite sample.
func (o options) failure(m *model.Model, res solver.Result) error {
	advice := "the network may not be trained, or be for another --schedule"
	h, constant := o.h.IsConstant()
	switch {
	case h > 1 && constant:
		advice = fmt.Sprintf("at h = %g the steps are too coarse: lower --h, raise --steps, or take --sampler exp with --grid lambda", h)
	case o.sampler == "em" || o.sampler == "heun":
		advice = "raise --steps, or take --sampler exp2 with --grid lambda; if that does not help, " + advice
	case o.steps < solver.DefaultSteps:
		advice = "raise --steps; if that does not help, " + advice
	}
	if range16 := o.range16(m); range16 != "" {
		advice = range16 + "; if that does not help, " + advice
	}
	return fmt.Errorf("none of %s is finite, and nothing is written: %s", ui.Plural(int64(res.Samples), "sample"), advice)
}

// range16 says what to do about samples in f16 that are not finite; it is empty in other precisions.
func (o options) range16(m *model.Model) string {
	if !m.OnGPU() || o.Precision != cuda.F16.String() {
		return ""
	}
	instead := cuda.FP32
	if _, ok := m.Solver.(*cuda.NetEngine); ok {
		instead = cuda.BF16
	}
	return fmt.Sprintf("f16 has no numbers above 65504, so take --precision %s", instead)
}

// report prints the results and the rate. A sample-step is one sample taken through one step; a step of heun is one.
func (o options) report(io ui.Streams, m *model.Model, out *output, res solver.Result, seconds float64) {
	if out.nonFinite > 0 {
		fmt.Fprintf(io.Err, "sample: warning: not finite: %s of %s, the first in row %d; the file has them as they are\n",
			ui.Count(int64(out.nonFinite)), ui.Plural(int64(res.Samples), "sample"), out.firstNonFinite)
		if range16 := o.range16(m); range16 != "" {
			fmt.Fprintf(io.Err, "sample: %s\n", range16)
		}
	}
	rate := float64(res.Samples) / seconds
	fmt.Fprintf(io.Out, "rate      %s samples/s, %s sample-steps/s, %.3g s\n", ui.Rate(rate), ui.Rate(rate*float64(o.steps)), seconds)
	fmt.Fprintf(io.Out, "written   %s, %d × %s, %s\n", o.out, res.Samples, data.Size(out.what.Shape), o.kind(out.what))
	if len(res.Recorded) > 0 {
		fmt.Fprintf(io.Out, "          states at t =")
		for _, t := range res.Recorded {
			fmt.Fprintf(io.Out, " %.6g", t)
		}
		fmt.Fprintln(io.Out)
	}
}

// plotSamples plots the samples beside the data they should look like, where these are known.
func (o options) plotSamples(m about, shown []float64) error {
	d := m.d()
	clouds := []plots.Cloud{{Name: fmt.Sprintf("samples, h = %v", o.h), X: shown, D: d, Columns: m.Columns}}
	var shape []int
	if data.IsBuiltin(m.Data) {
		n := len(shown) / d
		if strings.HasPrefix(m.Data, "digits") {
			n = 0 // all there are
		}
		if set, err := data.Load(m.Data, 0, n, 0); err == nil && set.D == d {
			shape = set.Shape
			clouds = append([]plots.Cloud{{Name: "data", X: set.Values(), D: d}}, clouds...)
		}
	}
	heading := fmt.Sprintf("schedule %s, %s of %s", m.Schedule, ui.Plural(int64(o.steps), "step"), o.sampler)
	return plots.Compare(o.plot, heading, shape, clouds...)
}
