package likelihoodcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/shard"
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
	if o.shard.Shard.Given() {
		release, err := shard.Claim(o.Out)
		if err != nil {
			return err
		}
		defer release()
	}
	net, err := ui.Wait(ctx, io.Err, "reading "+o.Checkpoint, func() (*loglik.Network, error) {
		return shard.Input(o.shard.Inputs, o.Checkpoint, shard.HashModel, o.load)
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	j := job{net: net, bars: &loglik.Bars{W: io.Err}}
	if err := j.read(ctx, &o, io); err != nil {
		return err
	}
	if o.shard.Shard.Given() && j.points.N() == 0 {
		return o.writeShard(io, net, j.points, nil, nil)
	}
	if done := j.found.journal.Done(); done > 0 {
		fmt.Fprintf(io.Out, "resume    done: %s of %s.part\n", ui.Plural(int64(done), "block"), o.Out)
	}
	begin := time.Now()
	r, err := loglik.Run(ctx, net.Models(), j.points.Z, j.settings)
	j.bars.End()
	interrupted := errors.Is(err, context.Canceled)
	if err != nil && !interrupted {
		return errors.Join(err, j.found.journal.Close(false))
	}
	kept := interrupted && j.found.journal.Done() > 0
	if err := j.found.journal.Close(false); err != nil {
		return err
	}
	res, err := j.result(&o, r)
	if err != nil {
		return err
	}
	res.Seconds, res.Interrupted = time.Since(begin).Seconds(), interrupted
	if interrupted {
		return j.writeInterrupted(ctx, &o, io, r, res, kept)
	}
	report(io.Out, res)
	if o.shard.Shard.Given() {
		if err := o.writeShard(io, net, j.points, res, loglik.NewRecord(r, j.settings.Methods, j.found.flow, j.found.paths)); err != nil {
			return err
		}
		return j.found.journal.Close(true)
	}
	if err := o.write(ctx, io, j.points, r, res); err != nil {
		return err
	}
	if err := j.found.journal.Close(true); err != nil {
		return err
	}
	if !res.some() {
		return fmt.Errorf("no method has a value for any point; %s says why", o.Out)
	}
	return nil
}

// job is what a run computes from.
type job struct {
	net      *loglik.Network
	bars     *loglik.Bars
	settings loglik.Options
	points   *loglik.Points
	infos    []ownInfo    // of the sampler's own scores
	found    *found       // what prepare found
	other    *otherResult // of --against
}

// read reads the points, and all else that the options name, and prints the settings.
func (j *job) read(ctx context.Context, o *options, io ui.Streams) (err error) {
	net, s := j.net, &j.settings
	if *s, err = o.settings(net.Net.Dim(), net.Schedule); err != nil {
		return err
	}
	if err := o.unused(net, *s); err != nil {
		return err
	}
	if err := o.needsClass(net, *s); err != nil {
		return err
	}
	if o.special(net) {
		k := max(1, o.Probes)
		if s.Divergence == likelihood.Exact {
			k = 1
		}
		s.FlowBlock = net.BlockRows(net.Net.Dim(), k)
	}
	own, err := net.Need(*s)
	if err != nil {
		return err
	}
	s.Progress = j.bars.Report
	j.infos, err = o.ownScores(ctx, io.Out, net, s)
	j.bars.End()
	if err != nil {
		return err
	}
	j.points, err = o.pointsOfShard(ctx, io, net, s, own)
	j.bars.End()
	if err != nil {
		return err
	}
	if j.found, err = o.prepare(net, j.points, s); err != nil {
		return err
	}
	whole := j.points.Digest()
	if o.shard.Shard.Given() {
		whole = o.part.hash // of generated points it is not known
	}
	if j.other, err = o.readOther(whole, j.points.Name); err != nil {
		return err
	}
	if o.shard.Shard.Given() {
		j.other = nil // all points are compared when the shards are joined
	}
	o.introduce(io.Out, net, j.points, *s, own)
	return nil
}

// result is the file's content.
func (j *job) result(o *options, r *loglik.Results) (*result, error) {
	res := o.result(j.net, j.points, j.settings, r)
	res.OwnScore = j.infos
	res.addBits(o, j.found)
	res.addDifferences(o, r, j.settings.Methods)
	return res, res.compare(o, j.other)
}

// some reports whether a method has a value for a point.
func (res *result) some() bool {
	return slices.ContainsFunc(res.Summary, func(s loglik.Summary) bool { return s.N > 0 })
}

// writeInterrupted writes what was computed before a run was stopped, and says how it goes on; kept tells whether --resume can.
func (j *job) writeInterrupted(ctx context.Context, o *options, io ui.Streams, r *loglik.Results, res *result, kept bool) error {
	switch {
	case kept && !res.some():
		return fmt.Errorf("%w before any point was done; the same command with --resume goes on from %s.part", ui.ErrInterrupted, o.Out)
	case kept && o.shard.Shard.Given():
		return fmt.Errorf("%w; the same command with --resume goes on from %s.part", ui.ErrInterrupted, o.Out)
	case o.shard.Shard.Given():
		return fmt.Errorf("%w; nothing is written of %v, so run it again", ui.ErrInterrupted, o.shard.Shard)
	case !res.some():
		return fmt.Errorf("%w before any value was computed; nothing is written", ui.ErrInterrupted)
	}
	report(io.Out, res)
	o.Plot, o.Image = "", ""
	if err := o.write(context.WithoutCancel(ctx), io, j.points, r, res); err != nil {
		return err
	}
	if kept {
		return fmt.Errorf("%w; what was computed is in %s, without pictures; the same command with --resume goes on", ui.ErrInterrupted, o.Out)
	}
	return fmt.Errorf("%w; what was computed is in %s, without pictures", ui.ErrInterrupted, o.Out)
}

// introduce prints the settings before the work begins.
func (o options) introduce(w io.Writer, net *loglik.Network, p *loglik.Points, s loglik.Options, own memory.Need) {
	fmt.Fprintf(w, "model     %s: D = %d, schedule %s\n", o.Checkpoint, p.D, net.Schedule.Name())
	fmt.Fprint(w, net.Report())
	kind := ""
	if p.Fresh {
		kind = ", drawn anew"
	}
	fmt.Fprintf(w, "points    %s of %s%s\n", ui.Count(int64(p.N())), p.Name, kind)
	o.introduceShard(w)
	p.Introduce(w)
	names := make([]string, len(s.Methods))
	for i, m := range s.Methods {
		names[i] = string(m)
	}
	fmt.Fprintf(w, "methods   %s; h = %s\n", strings.Join(names, ", "), o.hText())
	fmt.Fprintf(w, "device    %s, %s\n", net.Where(o.Workers), o.Precision)
	fmt.Fprintf(w, "memory    about %v; there are %v\n", append(s.Need(p.N(), p.D), own...), memory.Available())
	if slices.Contains(s.Methods, loglik.PathIntegral) {
		fmt.Fprintf(w, "paths     %s for each point and h, %s of %s, grid %s\n", ui.Count(int64(o.Paths)), ui.Plural(int64(o.Steps), "step"), s.Path.Sampler, o.Grid)
	}
}

func (o options) result(net *loglik.Network, p *loglik.Points, s loglik.Options, r *loglik.Results) *result {
	version, versions := train.Versions()
	versions["hbar"] = version
	res := &result{Options: o.record(), Versions: versions, H: loglik.Numbers(o.H), Profile: o.profile(), PathIntegralOf: r.ChainOf, FokkerPlanck: gridsOf(r)}
	res.fill(r, p, s.Methods)
	res.Model = modelInfo{D: p.D, Schedule: net.Schedule.Name(), ScheduleParams: net.Schedule.Params(), Prediction: net.Prediction.String(), Device: net.Device}
	for _, q := range net.Params {
		res.Model.Parameters += len(q.Data)
	}
	res.Data = dataInfo{Name: p.Name, N: p.N(), Fresh: p.Fresh, LogDet: p.LogDet(), CharBits: p.CharBits, Digest: p.Digest()}
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

// hText is --h as it is shown.
func (o options) hText() string {
	if p := o.profile(); p != "" {
		return p
	}
	return strings.Trim(fmt.Sprint(o.H), "[]")
}

// strength is h as it is shown: the profile where there is one.
func (r *result) strength(h num) string {
	if r.Profile != "" {
		return r.Profile
	}
	return strconv.FormatFloat(float64(h), 'g', -1, 64)
}

// fill sets the values of the points and their summaries.
func (res *result) fill(r *loglik.Results, p *loglik.Points, methods []loglik.Method) {
	res.Summary, res.Expansion, res.Points = r.Summaries(p.LogDet()), expansionOf(r), points(r, p, methods)
}

// write makes the files.
func (o options) write(ctx context.Context, io ui.Streams, p *loglik.Points, r *loglik.Results, res *result) error {
	var err error
	if strings.EqualFold(filepath.Ext(o.Out), ".csv") {
		err = writeCSV(o.Out, res, o.H)
	} else {
		err = rundir.WriteJSON(o.Out, res)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "written   %s\n", o.Out)
	return ui.WriteFiles(ctx, io,
		ui.File{Path: o.CSV, Make: func() error { return writeCSV(o.CSV, res, o.H) }},
		ui.File{Path: o.Plot, Make: func() error { return drawNLL(o.Plot, r, res.Summary) }},
		ui.File{Path: o.Image, Make: func() error { return drawImage(o.Image, r, p) }},
	)
}

// reportSpread warns of a mean that few points make.
func reportSpread(w io.Writer, e *expansionInfo) {
	s := e.Spread
	if s == nil || s.Settled || e.First.N < 2 {
		return
	}
	fmt.Fprintf(w, "unsettled the mean rests on %.1f effective points of %d, one has %.0f %% of the sum of |ℓ₁|: its standard error means little", float64(s.Effective), e.First.N, 100*float64(s.Largest))
	if finite(float64(s.MedianLo)) {
		fmt.Fprintf(w, "; the median is between %s and %s (95 %%)", loglik.Fixed(float64(s.MedianLo)), loglik.Fixed(float64(s.MedianHi)))
	}
	fmt.Fprintln(w, "; take more points, or the median")
}

// reportAgreement prints the first order beside the path integral.
func reportAgreement(w io.Writer, e *expansionInfo) {
	for _, a := range e.Agreement {
		verdict, kind := "too loose to say", "path integral"
		switch {
		case a.Agrees != nil && *a.Agrees:
			verdict = "they agree within the correction's size"
		case a.Agrees != nil:
			verdict = "they differ by more than the correction"
		}
		if a.Bound {
			kind = "path integral's bound"
		}
		fmt.Fprintf(w, "h = %-5g  change of the NLL by first order %s ± %s, by the %s %s ± %s: %s\n", float64(a.H),
			loglik.Signed(a.Linear.Value), loglik.Fixed(a.Linear.StdErr), kind, loglik.Signed(a.PathIntegral.Value), loglik.Fixed(a.PathIntegral.StdErr), verdict)
	}
	switch trust := float64(e.TrustRadius); {
	case trust > 0:
		fmt.Fprintf(w, "trust     the first order up to h = %g\n", trust)
	case trust == 0:
		fmt.Fprintln(w, "trust     the first order at none of these h")
	}
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
		fmt.Fprintf(t, "%s\t%s\t%s\t%s%s\t%s\t%s\t%s\t%d\t%d\t\n", s.Method, res.strength(s.H), loglik.Fixed(float64(s.Mean)), units, loglik.Fixed(float64(s.StdErr)), loglik.Fixed(float64(s.Median)), change, err, s.N, s.Failures)
	}
	t.Flush()
	if lone := loglik.Lone(res.Summary); lone != "" {
		fmt.Fprintf(w, "errors    %s\n", lone)
	}
	reportBounds(w, res)
	reportBits(w, res)
	reportDifferences(w, res)
	if e := res.Expansion; e != nil {
		fmt.Fprintf(w, "first correction to the NLL: mean %s, median %s per unit of h", loglik.PlusMinus(float64(e.First.Mean), float64(e.First.StdErr)), loglik.Fixed(float64(e.First.Median)))
		about := ""
		if e.Second == nil {
			about = "about "
		}
		if finite(float64(e.MedianTrust)) {
			fmt.Fprintf(w, "; the second-order term is a tenth of it at %sh = %.2g (median)", about, float64(e.MedianTrust))
		}
		fmt.Fprintln(w)
		reportSpread(w, e)
		reportAgreement(w, e)
	}
	if scaled {
		fmt.Fprintln(w, "NLL and median are those of the network's coordinates; errors and changes are the same in data units")
	}
	for _, s := range res.Summary {
		for _, why := range slices.Sorted(maps.Keys(s.Reasons)) {
			fmt.Fprintf(w, "left out  %s, h = %s: %s: %s%s\n", s.Method, res.strength(s.H), ui.Plural(int64(s.Reasons[why]), "point"), why, loglik.Advice(why))
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
