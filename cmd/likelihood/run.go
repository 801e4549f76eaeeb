package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/ui"
	"hbar/internal/memory"
	"hbar/solver/likelihood"
	"hbar/train"
)

func run(ctx context.Context, args []string, io ui.Streams) (err error) {
	o, err := parse(args, io.Out)
	if err != nil {
		return err
	}
	net, err := ui.Wait(ctx, io.Err, "reading "+o.Checkpoint, o.load)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	settings, err := o.settings(net.Net.Dim())
	if err != nil {
		return err
	}
	if o.Image != "" && !slices.Contains(settings.Methods, loglik.FokkerPlanck) {
		return ui.Usagef("--image shows the densities of fokkerplanck: it needs --method fokkerplanck or all, in one or two dimensions")
	}
	if o.special() {
		k := max(1, o.Probes)
		if settings.Divergence == likelihood.Exact {
			k = 1
		}
		settings.FlowBlock = net.BlockRows(net.Net.Dim(), k)
	}
	count := o.N
	if count == 0 {
		count = defaultN // or all of a file, which says for itself
	}
	if err := settings.Fits(count, net.Net.Dim(), "--n", nil); err != nil {
		return err
	}
	p, err := ui.Wait(ctx, io.Err, "reading the points", func() (*loglik.Points, error) {
		return net.LoadPoints(o.Source, o.First, o.N, defaultN)
	})
	if err != nil {
		return err
	}
	if err := settings.Fits(p.N(), p.D, "--n", nil); err != nil {
		return err
	}
	found, err := o.prepare(net, p, &settings)
	if err != nil {
		return err
	}
	o.introduce(io.Out, net, p, settings)

	begin := time.Now()
	bars := &loglik.Bars{W: io.Err}
	settings.Progress = bars.Report
	r, err := loglik.Run(ctx, net.Models(), p.Z, settings)
	bars.End()
	interrupted := errors.Is(err, context.Canceled)
	if err != nil && !interrupted {
		return err
	}
	res := o.result(net, p, settings, r)
	res.addBits(&o, *found)
	res.Seconds, res.Interrupted = time.Since(begin).Seconds(), interrupted
	some := slices.ContainsFunc(res.Summary, func(s loglik.Summary) bool { return s.N > 0 })
	if interrupted && !some {
		return fmt.Errorf("%w before any value was computed; nothing is written", ui.ErrInterrupted)
	}
	report(io.Out, res)
	if interrupted {
		o.Plot, o.Image, ctx = "", "", context.WithoutCancel(ctx)
	}
	if err := o.write(ctx, io, p, r, res); err != nil {
		return err
	}
	if interrupted {
		return fmt.Errorf("%w; what was computed is in %s, without pictures", ui.ErrInterrupted, o.Out)
	}
	if !some {
		return fmt.Errorf("no method has a value for any point; %s says why", o.Out)
	}
	return nil
}

// introduce says what is about to happen.
func (o options) introduce(w io.Writer, net *loglik.Network, p *loglik.Points, s loglik.Options) {
	fmt.Fprintf(w, "model     %s: D = %d, schedule %s\n", o.Checkpoint, p.D, net.Schedule.Name())
	fmt.Fprint(w, net.Report())
	kind := ""
	if p.Fresh {
		kind = ", drawn anew"
	}
	fmt.Fprintf(w, "points    %s of %s%s\n", ui.Count(int64(p.N())), p.Name, kind)
	p.Introduce(w)
	names := make([]string, len(s.Methods))
	for i, m := range s.Methods {
		names[i] = string(m)
	}
	fmt.Fprintf(w, "methods   %s; h = %s\n", strings.Join(names, ", "), strings.Trim(fmt.Sprint(o.H), "[]"))
	fmt.Fprintf(w, "device    %s, %s\n", net.Where(o.Workers), o.Precision)
	fmt.Fprintf(w, "memory    about %v; there are %v\n", s.Need(p.N(), p.D), memory.Available())
	if slices.Contains(s.Methods, loglik.PathIntegral) {
		fmt.Fprintf(w, "paths     %s for each point and h, %s steps of %s, grid %s\n", ui.Count(int64(o.Paths)), ui.Count(int64(o.Steps)), o.Sampler, o.Grid)
	}
}

func (o options) result(net *loglik.Network, p *loglik.Points, s loglik.Options, r *loglik.Results) *result {
	version, versions := train.Versions()
	versions["hbar"] = version
	res := &result{Options: o.record(), Versions: versions, H: loglik.Numbers(o.H), PathIntegralOf: r.ChainOf,
		Summary: r.Summaries(p.LogDet()), Expansion: expansionOf(r), FokkerPlanck: gridsOf(r), Points: points(r, p, s.Methods)}
	res.Model = modelInfo{D: p.D, Schedule: net.Schedule.Name(), ScheduleParams: net.Schedule.Params(), Prediction: net.Prediction.String(), Device: net.Device}
	for _, q := range net.Params {
		res.Model.Parameters += len(q.Data)
	}
	res.Data = dataInfo{Name: p.Name, N: p.N(), Fresh: p.Fresh, LogDet: p.LogDet()}
	res.Data.Normalisation.Mean, res.Data.Normalisation.Scale, res.Data.Normalisation.From = p.Norm.Mean, p.Norm.Scale, p.NormSource
	for _, h := range o.H {
		m := string(primary(s.Methods, h))
		if m == string(loglik.WKB) {
			m = "wkb1"
		}
		res.LogQMethod = append(res.LogQMethod, m)
	}
	return res
}

// write makes the files.
func (o options) write(ctx context.Context, io ui.Streams, p *loglik.Points, r *loglik.Results, res *result) error {
	w := io.Out
	var err error
	if strings.EqualFold(filepath.Ext(o.Out), ".csv") {
		err = writeCSV(o.Out, o.H, res.Points)
	} else {
		err = rundir.WriteJSON(o.Out, res)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "written   %s\n", o.Out)
	for _, f := range []struct {
		path string
		make func() error
	}{
		{o.CSV, func() error { return writeCSV(o.CSV, o.H, res.Points) }},
		{o.Plot, func() error { return drawNLL(o.Plot, r, res.Summary) }},
		{o.Image, func() error { return drawImage(o.Image, r, p) }},
	} {
		if f.path == "" {
			continue
		}
		if _, err := ui.Wait(ctx, io.Err, "writing "+f.path, func() (struct{}, error) { return struct{}{}, f.make() }); err != nil {
			return err
		}
		fmt.Fprintf(w, "written   %s\n", f.path)
	}
	return nil
}

// report prints the summaries.
func report(w io.Writer, res *result) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	scaled := res.Data.LogDet != 0
	units := ""
	if scaled {
		units = "in data units\t"
	}
	fmt.Fprintf(t, "method\th\tNLL, nats\t%s± s.e.\tmedian\tchange from h = 0\t± s.e.\tpoints\tfailures\t\n", units)
	for _, s := range res.Summary {
		change, err := "", ""
		if s.Change != nil {
			change, err = loglik.Signed(s.Change.Mean.Value), loglik.Fixed(s.Change.Mean.StdErr)
		}
		if scaled {
			units = s.InDataUnits() + "\t"
		}
		fmt.Fprintf(t, "%s\t%g\t%s\t%s%s\t%s\t%s\t%s\t%d\t%d\t\n", s.Method, float64(s.H), loglik.Fixed(float64(s.Mean)), units, loglik.Fixed(float64(s.StdErr)), loglik.Fixed(float64(s.Median)), change, err, s.N, s.Failures)
	}
	t.Flush()
	reportBits(w, res)
	if e := res.Expansion; e != nil {
		fmt.Fprintf(w, "first correction to the NLL: mean %s ± %s, median %s per unit of h", loglik.Fixed(float64(e.First.Mean)), loglik.Fixed(float64(e.First.StdErr)), loglik.Fixed(float64(e.First.Median)))
		if e.Second != nil {
			fmt.Fprintf(w, "; the second-order term is a tenth of it at h = %.2g (median)", float64(e.MedianTrust))
		}
		fmt.Fprintln(w)
	}
	if scaled {
		fmt.Fprintln(w, "NLL and median are those of the network's coordinates; errors and changes are the same in data units")
	}
	for _, s := range res.Summary {
		for _, why := range slices.Sorted(maps.Keys(s.Reasons)) {
			fmt.Fprintf(w, "left out  %s, h = %g: %d points: %s%s\n", s.Method, float64(s.H), s.Reasons[why], why, loglik.Advice(why))
		}
	}
	for _, g := range res.FokkerPlanck {
		if g.Error != "" {
			fmt.Fprintf(w, "grid      h = %g: %s\n", float64(g.H), g.Error)
		} else {
			fmt.Fprintf(w, "grid      h = %g: %d points a dimension, mass 1%+.0e, most negative %.0e of the maximum, ∫|q − q_coarse| = %.0e\n",
				float64(g.H), g.Fine.N, g.Fine.Mass-1, g.Fine.MostNegative, float64(g.Difference))
		}
	}
}
