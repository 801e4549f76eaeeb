package sweepcmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/shard"
	"hbar/cmd/internal/ui"
	"hbar/metrics"
	"hbar/solver"
	"hbar/train"
)

// result is the JSON file.
type result struct {
	Options  map[string]any    `json:"options"`
	Versions map[string]string `json:"versions"`
	Model    modelInfo         `json:"model"`
	Data     dataInfo          `json:"data"`
	// Cells are the distances, one for each h and steps; Floor is W2² of data against data.
	Cells []Cell         `json:"cells"`
	Floor *metrics.Floor `json:"w2_squared_floor"`
	// Bands are the profiles that --bands found.
	Bands []*Bands `json:"bands,omitempty"`
	// Floors are the other measures of one half of the reference data against the other.
	Floors          map[string]*metrics.Resampled `json:"floors,omitempty"`
	NLL             []Likelihood                  `json:"nll"`
	Recommendations []*Recommendation             `json:"recommendations"`
	// NotWorse are the h that no measure at the largest number of steps calls worse.
	NotWorse    []solver.Strength `json:"not_worse"`
	Text        string            `json:"text"`
	Seconds     float64           `json:"seconds"`
	Interrupted bool              `json:"interrupted,omitempty"` // by the user: some cells or methods are missing

	sheet *rows
}

type modelInfo struct {
	D              int                `json:"d"`
	Schedule       string             `json:"schedule"`
	ScheduleParams map[string]float64 `json:"schedule_params"`
	Prediction     string             `json:"prediction"`
	Device         string             `json:"device"`
}

type dataInfo struct {
	Name   string  `json:"name"`
	Fresh  bool    `json:"fresh"`
	N      int     `json:"n"`     // points of a distance
	NLLN   int     `json:"nll_n"` // points of a likelihood
	LogDet float64 `json:"log_det"`
	// Units are those of the distances: "data", or "network" where the columns of the data have scales of their own, of which a
	// distance would show the largest alone.
	Units string `json:"distance_units"`
}

func run(ctx context.Context, args []string, io ui.Streams) (err error) {
	o, err := parse(args, io.Out)
	if err != nil {
		return err
	}
	if o.shard.Shard.Given() {
		release, err := shard.Claim(o.out)
		if err != nil {
			return err
		}
		defer release()
	}
	net, err := ui.Wait(ctx, io.Err, "reading "+o.Checkpoint, func() (*loglik.Network, error) {
		return shard.Input(o.shard.Inputs, o.Checkpoint, shard.HashModel, func() (*loglik.Network, error) { return loglik.LoadConditional(o.Flags, o.class, true) })
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	d := net.Net.Dim()
	if o.metric == "auto" {
		if o.measures, err = parseMeasures(o.auto(len(net.SampleShape()) == 3, d)); err != nil {
			return err
		}
	}
	if o.repeats == 0 {
		o.measures.names = slices.DeleteFunc(o.measures.names, func(n string) bool { return n == metricW2 })
	}
	if len(o.measures.names) == 0 {
		return ui.Usagef("--repeats 0 and --metric w2 leave nothing to measure")
	}
	methods, err := o.methods(d, net.Schedule)
	if err != nil {
		return err
	}
	if err := o.unused(net, methods); err != nil {
		return err
	}
	if err := o.chain(net, methods); err != nil {
		return err
	}
	fmt.Fprint(io.Out, net.Report())
	fmt.Fprintf(io.Out, "device    %s, %s\n", net.Where(o.Workers), o.Precision)
	if o.guidance > 0 && len(methods) > 0 {
		fmt.Fprintln(io.Out, "guidance  of the samples alone: likelihoods are those of the network without it")
	}
	if err := o.fits(io.Out, net, methods); err != nil {
		return err
	}
	begin := time.Now()
	version, versions := train.Versions()
	versions["hbar"] = version
	res := &result{Options: o.record(), Versions: versions,
		Model: modelInfo{d, net.Schedule.Name(), net.Schedule.Params(), net.Prediction.String(), net.Device}}
	bars := &loglik.Bars{W: io.Err}
	found, err := o.measure(ctx, net, methods, res, bars.Report, io.Out)
	bars.End()
	res.Interrupted = errors.Is(err, context.Canceled)
	if err != nil && !res.Interrupted {
		return errors.Join(err, found.journal.Close(false))
	}
	if res.Interrupted && o.shard.Shard.Given() {
		if err := found.journal.Close(false); err != nil {
			return err
		}
		if found.journal.Done() > 0 {
			return fmt.Errorf("%w; the same command with --resume goes on from %s", ui.ErrInterrupted, o.journalFile())
		}
		return fmt.Errorf("%w before a part of %v was done; run it again", ui.ErrInterrupted, o.shard.Shard)
	}
	res.Seconds = time.Since(begin).Seconds()
	if o.shard.Shard.Given() {
		if err := o.writeShard(io, net, res, found, methods); err != nil {
			return errors.Join(err, found.journal.Close(false))
		}
		return found.journal.Close(true)
	}
	if err := o.conclude(res, found.estimates, methods); err != nil {
		return err
	}
	if res.Interrupted && len(res.Cells)+len(res.NLL) == 0 {
		return fmt.Errorf("%w before anything was measured; nothing is written", ui.ErrInterrupted)
	}
	report(io.Out, res)
	if res.Interrupted {
		o.plot, o.plotNLL, o.sheet, ctx = "", "", "", context.WithoutCancel(ctx)
	}
	if err := o.write(ctx, io, res); err != nil {
		return err
	}
	if res.Interrupted {
		return fmt.Errorf("%w; what was measured is in %s, without pictures", ui.ErrInterrupted, o.out)
	}
	return o.anything(res)
}

// chain takes the sampler whose chain the path integral is of, and refuses those that it does not know.
func (o *options) chain(net *loglik.Network, methods []loglik.Method) error {
	if !slices.Contains(methods, loglik.PathIntegral) {
		return nil
	}
	if b := solver.BlocksOf(net.Schedule); b != nil {
		if !o.given("sampler") {
			o.sampler = solver.Exponential.String() // samples and density of one chain
		}
		if o.sampler != solver.Exponential.String() {
			return ui.Usagef("--method pathintegral under schedule %s knows the chain of --sampler exp, not of %s", b.Name(), o.sampler)
		}
	}
	if !o.pathSampler() {
		return ui.Usagef("--method pathintegral knows the chains of --sampler em and exp, not %s", o.sampler)
	}
	return nil
}

// anything is an error if there is neither a distance nor a likelihood.
func (o options) anything(r *result) error {
	if slices.ContainsFunc(r.Cells, func(c Cell) bool { return c.W2 != nil || len(c.Metrics) > 0 || c.NonFinite == 0 }) ||
		slices.ContainsFunc(r.NLL, func(s Likelihood) bool { return s.N > 0 }) {
		return nil
	}
	return fmt.Errorf("no sample is finite at any h, and no point has a value; raise --steps, or take another --sampler and --grid (%s has the reasons)", o.out)
}
