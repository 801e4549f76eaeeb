package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/model"
	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/ui"
	"hbar/detect"
	"hbar/solver"
)

// options are the settings of both verbs.
type options struct {
	model.Flags
	loglik.Source

	n           int
	samples     string
	h           float64
	sampleSteps int
	steps       int
	quantise    float64
	detector    string
	out         string
}

// detectorFile is what calibrate writes and score reads.
type detectorFile struct {
	About      string           `json:"about"`
	Statistics []string         `json:"statistics"`
	Checkpoint string           `json:"checkpoint"`
	Parameters string           `json:"parameters"` // digest of the checkpoint's
	Data       string           `json:"data"`
	Samples    string           `json:"samples"`
	Steps      int              `json:"steps"`
	Quantise   float64          `json:"quantise"`
	Seed       uint64           `json:"seed"`
	Report     *detect.Report   `json:"report"`
	Detector   *detect.Detector `json:"detector"`
}

func defaults() options {
	return options{Flags: model.Flags{Precision: loglik.DefaultPrecision}, n: 1000, sampleSteps: 100, steps: 100}
}

func runCalibrate(ctx context.Context, args []string, io ui.Streams) (err error) {
	o := defaults()
	o.out = "detector.json"
	s := flags.New("detect calibrate", "Fits a detector of generated samples: statistics of each sample's trajectory under the model, a logistic regression on their ranks. "+
		"One half of data and samples is fitted, the other gives the AUC with its 95 % interval.")
	o.DefineModel(s.Group("Model"))
	g := s.Group("Data and samples")
	o.Source.Define(g, "what the model should look like: a built-in set or a file, in data units; best what it was not trained on. Default: the checkpoint's training set, drawn anew where it can be")
	g.Int(&o.n, "n", "COUNT", flags.Between(128, 10_000_000), "of each, at most")
	g.String(&o.samples, "samples", "FILE", "generated samples in data units; default: drawn from the model")
	g.Float(&o.h, "h", "H", flags.NonNegative, "strength of the noise of samples that are drawn")
	g.Int(&o.sampleSteps, "sample-steps", "STEPS", flags.Between(1, 10_000_000), "of these samples")
	g.Float(&o.quantise, "quantise", "STEP", flags.NonNegative, "round both alike to multiples of STEP and add uniform noise of that width; 0: leave them as they are")
	g.Uint64(&o.Source.Seed, "seed", "SEED", "of samples, probes, the split and resampling")
	g = s.Group("Statistics")
	g.Int(&o.steps, "steps", "STEPS", flags.Between(10, 100_000), "of the flow from a sample to noise")
	g = s.Group("Output")
	g.String(&o.out, "out", "FILE.json", "the detector and its report")
	loglik.DefineRun(&o.Flags, s.Group("Run"))
	s.Note(about)
	s.Note("Data on a grid of values (bytes) and samples on none differ by that alone, with an AUC of 1: the command refuses them unless --quantise rounds both to the same grid.")
	s.Example("go run ./cmd/detect calibrate --checkpoint runs/swissroll-simple/model.safetensors --n 2000", "against fresh points of the training distribution")
	if err := s.Parse(args, io.Out); err != nil {
		return err
	}
	if err := o.Check(); err != nil {
		return err
	}
	if err := flags.CheckOutputs([]flags.File{{Name: "out", Path: o.out}}, []flags.File{{Name: "checkpoint", Path: o.Checkpoint}, {Name: "data", Path: o.Data}, {Name: "samples", Path: o.samples}}); err != nil {
		return err
	}
	net, err := loglik.LoadNetwork(o.Flags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	data, err := o.points(io.Out, net, o.Source)
	if err != nil {
		return err
	}
	generated, name, err := o.generated(ctx, io, net, data)
	if err != nil {
		return interrupted(err)
	}
	fmt.Fprintf(io.Out, "data      %s of %s\nsamples   %s of %s\n", ui.Count(int64(data.N())), data.Name, ui.Count(int64(len(generated)/data.D)), name)
	if err := detect.CheckCounts(data.N(), len(generated)/data.D); err != nil {
		return err
	}
	if o.quantise == 0 {
		if err := detect.CheckFormat(data.X, generated); err != nil {
			return err
		}
	}
	var rows [2][]float64
	for k, x := range [][]float64{data.X, generated} {
		if rows[k], err = o.statistics(ctx, io.Err, net, x, data, uint64(k)); err != nil {
			return interrupted(err)
		}
	}
	d, r, err := detect.Calibrate(rows[0], rows[1], o.Source.Seed)
	if err != nil {
		return err
	}
	report(io.Out, r)
	parameters, err := net.ParameterDigest()
	if err != nil {
		return err
	}
	file := detectorFile{About: about, Statistics: detect.Names, Checkpoint: o.Checkpoint, Parameters: parameters, Data: data.Name, Samples: name, Steps: o.steps, Quantise: o.quantise, Seed: o.Source.Seed, Report: r, Detector: d}
	if err := rundir.WriteJSON(o.out, file); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "written   %s\n", o.out)
	return nil
}

func interrupted(err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w; nothing is written", ui.ErrInterrupted)
	}
	return err
}

// points reads at most n points: of a file n at random, as its rows may be sorted.
func (o *options) points(w io.Writer, net *loglik.Network, from loglik.Source) (*loglik.Points, error) {
	p, err := net.LoadRandom(from, o.n, o.Source.Seed, 1, nil)
	if err != nil {
		return nil, err
	}
	p.Introduce(w)
	return p, p.CheckRange()
}

// generated are samples in data units, from a file or the model.
func (o *options) generated(ctx context.Context, s ui.Streams, net *loglik.Network, data *loglik.Points) (x []float64, name string, err error) {
	if o.samples != "" {
		p, err := o.points(s.Out, net, loglik.Source{Data: o.samples, Columns: o.Columns, Header: o.Header})
		if err != nil {
			return nil, "", err
		}
		return p.X, p.Name, nil
	}
	n := data.N()
	p := ui.NewProgress(s.Err, "samples", 0, int64(n), nil)
	_, err = solver.Sample(ctx, net.Single, net.Schedule, solver.Options{TableOptions: solver.TableOptions{Grid: solver.GridLambda, Steps: o.sampleSteps, H: o.h}, N: n, Seed: o.Source.Seed,
		Progress: func(k int) { p.Report(int64(k)) }}, func(c solver.Chunk) error {
		data.Norm.Invert(c.X, c.X, c.D)
		x = append(x, c.X...)
		return nil
	})
	p.Done()
	return x, fmt.Sprintf("the model at h = %g, %s", o.h, ui.Plural(int64(o.sampleSteps), "step")), err
}

// statistics are those of points in data units.
func (o *options) statistics(ctx context.Context, w io.Writer, net *loglik.Network, x []float64, data *loglik.Points, kind uint64) ([]float64, error) {
	z := append([]float64(nil), x...)
	if o.quantise > 0 {
		detect.Quantise(z, o.quantise, o.Source.Seed, uint32(kind), data.D)
	}
	data.Norm.Apply(z, z, data.D)
	p := ui.NewProgress(w, "steps", 0, int64(o.steps), nil)
	defer p.Done()
	return detect.Statistics(ctx, net.Single, net.Schedule, z, detect.Options{Steps: o.steps, Seed: o.Source.Seed, First: kind << 32, Progress: func(done, _ int) { p.Report(int64(done)) }})
}

func report(w io.Writer, r *detect.Report) {
	fmt.Fprintf(w, "AUC       %.3f [%.3f, %.3f] on %s that the detector was not fitted to; %.3f on the others\n", r.AUC, r.CI[0], r.CI[1], ui.Plural(int64(r.Tested), "sample"), r.Train)
	fmt.Fprintf(w, "null      detectors fitted to shuffled labels: %.3f to %.3f\n", r.Null[0], r.Null[1])
	best := 0
	for j, v := range r.Single {
		if abs(v-0.5) > abs(r.Single[best]-0.5) {
			best = j
		}
	}
	fmt.Fprintf(w, "alone     %s has an AUC of %.3f\n", detect.Names[best], r.Single[best])
	if r.Flags > 0 {
		fmt.Fprintf(w, "overflow  statistics that are not finite, of %s, count as the largest\n", ui.Plural(int64(r.Flags), "sample"))
	}
	fmt.Fprintf(w, "note      %s\n", about)
}

func abs(v float64) float64 { return max(v, -v) }
