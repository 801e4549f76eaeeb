package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/plots"
	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/ui"
	"hbar/internal/atomicfile"
	"hbar/metrics"
	"hbar/train"
)

// result is the JSON file.
type result struct {
	Options  map[string]any    `json:"options"`
	Versions map[string]string `json:"versions"`
	Model    modelInfo         `json:"model"`
	Data     dataInfo          `json:"data"`
	// Cells are the distances, one for each h and steps; Floor is W2² of data against data.
	Cells           []Cell            `json:"cells"`
	Floor           *metrics.Floor    `json:"w2_squared_floor"`
	NLL             []Likelihood      `json:"nll"`
	Recommendations []*Recommendation `json:"recommendations"`
	// NotWorse are the h that no measure at the largest number of steps calls worse.
	NotWorse    []float64 `json:"not_worse"`
	Text        string    `json:"text"`
	Seconds     float64   `json:"seconds"`
	Interrupted bool      `json:"interrupted,omitempty"` // by the user: some cells or methods are missing
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
	net, err := ui.Wait(ctx, io.Err, "reading "+o.Checkpoint, func() (*loglik.Network, error) { return loglik.LoadNetwork(o.Flags) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	d := net.Net.Dim()
	methods, err := o.methods(d)
	if err != nil {
		return err
	}
	if slices.Contains(methods, loglik.PathIntegral) && o.sampler != "em" && o.sampler != "exp" {
		return ui.Usagef("--method pathintegral knows the chains of --sampler em and exp, not %s", o.sampler)
	}
	fmt.Fprint(io.Out, net.Report())
	fmt.Fprintf(io.Out, "device    %s, %s\n", net.Where(o.Workers), o.Precision)
	if err := o.fits(io.Out, methods, d); err != nil {
		return err
	}
	begin := time.Now()
	version, versions := train.Versions()
	versions["hbar"] = version
	res := &result{Options: o.record(), Versions: versions,
		Model: modelInfo{d, net.Schedule.Name(), net.Schedule.Params(), net.Prediction.String(), net.Device}}
	bars := &loglik.Bars{W: io.Err}
	err = o.measure(ctx, net, methods, res, bars.Report, io.Out)
	bars.End()
	res.Interrupted = errors.Is(err, context.Canceled)
	if err != nil && !res.Interrupted {
		return err
	}
	if res.Interrupted && len(res.Cells)+len(res.NLL) == 0 {
		return fmt.Errorf("%w before anything was measured; nothing is written", ui.ErrInterrupted)
	}
	res.Seconds = time.Since(begin).Seconds()
	report(io.Out, res)
	if res.Interrupted {
		o.plot, o.plotNLL, ctx = "", "", context.WithoutCancel(ctx)
	}
	if err := o.write(ctx, io, res); err != nil {
		return err
	}
	if res.Interrupted {
		return fmt.Errorf("%w; what was measured is in %s, without pictures", ui.ErrInterrupted, o.out)
	}
	if !res.anything() {
		return fmt.Errorf("no sample is finite at any h, and no point has a value; raise --steps, or take another --sampler and --grid (%s has the reasons)", o.out)
	}
	return nil
}

// anything reports whether there is any distance or likelihood.
func (r *result) anything() bool {
	return slices.ContainsFunc(r.Cells, func(c Cell) bool { return c.W2 != nil || c.NonFinite == 0 }) ||
		slices.ContainsFunc(r.NLL, func(s Likelihood) bool { return s.N > 0 })
}

// measure does the work and draws the conclusions, if ctx ends from what was complete before.
func (o options) measure(ctx context.Context, net *loglik.Network, methods []loglik.Method, res *result, report func(string, int, int), w io.Writer) error {
	d := net.Net.Dim()
	var all []series
	var points *loglik.Points
	if len(methods) > 0 {
		var err error
		if points, err = ui.Wait(ctx, io.Discard, "reading the points", func() (*loglik.Points, error) { return o.nllPoints(net) }); err != nil {
			return err
		}
		points.Introduce(w)
		res.Data = dataInfo{Name: points.Name, Fresh: points.Fresh, NLLN: points.N(), LogDet: points.LogDet()}
	}
	var stopped error
	if o.repeats > 0 {
		scaled := unlike(net.Norm.Scale)
		data, p, err := batches(net, o, scaled)
		if err != nil {
			return err
		}
		if points == nil {
			p.Introduce(w)
		}
		m := &distances{net: net, o: o, data: data, d: d, scaled: scaled, report: report}
		if stopped = m.run(ctx); stopped != nil && ctx.Err() == nil {
			return stopped
		}
		res.Data.Name, res.Data.Fresh, res.Data.N, res.Data.Units = p.Name, p.Fresh, len(data[0])/d, unitsData
		if scaled {
			res.Data.Units = unitsNetwork
		}
		res.Cells, res.Floor = m.cells, m.floor
		all = append(all, m.series()...)
	}
	if len(methods) > 0 && stopped == nil {
		m := &likelihoods{o: o, net: net, methods: methods, points: points, report: report}
		if stopped = m.run(ctx); stopped != nil && ctx.Err() == nil {
			return stopped
		}
		res.NLL = m.summaries
		all = append(all, m.series...)
	}
	return errors.Join(o.conclude(res, all), stopped)
}

// nllPoints are the points of the likelihoods: behind those of the distances if drawn anew, else the first of the file.
func (o options) nllPoints(net *loglik.Network) (*loglik.Points, error) {
	const behind = 1 << 36
	p, err := net.LoadPoints(o.Source, behind, o.nllN, 0)
	if err == nil && p.Fresh {
		return p, nil
	}
	if p, err = net.LoadPoints(o.Source, 0, 0, o.nllN); err != nil {
		return nil, err
	}
	if n := min(o.nllN, p.N()); n < p.N() {
		p.X, p.Z = p.X[:n*p.D], p.Z[:n*p.D]
	}
	return p, nil
}

// conclude tests every series and joins what those at the largest number of steps say. The expansion is no measure of
// the sampler beyond small h, and has no vote.
func (o options) conclude(res *result, all []series) error {
	last := int(o.steps[len(o.steps)-1])
	var votes []*Recommendation
	for _, s := range all {
		r, err := decide(s, o.confidence)
		if err != nil {
			return err
		}
		res.Recommendations = append(res.Recommendations, r)
		if (s.steps == 0 || s.steps == last) && s.measure != "nll_"+string(loglik.WKB) {
			votes = append(votes, r)
		}
	}
	res.NotWorse = agree(votes)
	var worse []float64
	for _, h := range o.h {
		if slices.ContainsFunc(votes, func(r *Recommendation) bool { return slices.Contains(r.Worse, h) }) {
			worse = append(worse, h)
		}
	}
	switch {
	case !slices.ContainsFunc(votes, func(r *Recommendation) bool { return len(r.H) > 1 }):
		res.Text = "nothing to compare"
	case len(worse) == 0:
		res.Text = fmt.Sprintf("no significant difference between h = %s by any measure", list(o.h))
	case len(res.NotWorse) == 0:
		res.Text = "the measures disagree: each h is significantly worse than another by one of them"
	case len(res.NotWorse) == 1:
		res.Text = fmt.Sprintf("use h = %g; h = %s significantly worse", res.NotWorse[0], list(worse))
	default:
		res.Text = fmt.Sprintf("use any h from %g to %g: no significant difference between h = %s; h = %s significantly worse",
			res.NotWorse[0], res.NotWorse[len(res.NotWorse)-1], list(res.NotWorse), list(worse))
	}
	return nil
}

// report prints tables and recommendations.
func report(w io.Writer, res *result) {
	fmt.Fprintf(w, "data      %s; %s points a distance, %s for likelihoods\n", res.Data.Name, ui.Count(int64(res.Data.N)), ui.Count(int64(res.Data.NLLN)))
	if res.Data.Units == unitsNetwork {
		fmt.Fprintln(w, "distances are in the network's coordinates: the columns of the data have units of their own")
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(res.Cells) > 0 {
		fmt.Fprintln(t, "steps\th\tW2²\t± s.e.\tW2\t± s.e.\tnot finite\t")
		for _, c := range res.Cells {
			sq, root := metrics.Estimate{Value: math.NaN(), StdErr: math.NaN()}, metrics.Estimate{Value: math.NaN(), StdErr: math.NaN()}
			if c.W2 != nil {
				sq, root = *c.W2Squared, *c.W2
			}
			fmt.Fprintf(t, "%d\t%g\t%s\t%s\t%s\t%s\t%d\t\n", c.Steps, float64(c.H), loglik.Fixed(sq.Value), loglik.Fixed(sq.StdErr), loglik.Fixed(root.Value), loglik.Fixed(root.StdErr), c.NonFinite)
		}
		fmt.Fprintf(t, "\tdata\t%s\t%s\t\t\t\t\n", loglik.Fixed(res.Floor.Mean.Value), loglik.Fixed(res.Floor.Mean.StdErr))
		t.Flush()
	}
	if len(res.NLL) > 0 {
		units := ""
		if res.Data.LogDet != 0 {
			units = "in data units\t"
		}
		fmt.Fprintf(t, "method\tsteps\th\tNLL, nats\t%schange from h = 0\t± s.e.\tpoints\tfailures\t\n", units)
		for _, s := range res.NLL {
			steps, change, err := "", "", ""
			if s.Steps != nil {
				steps = strconv.Itoa(*s.Steps)
			}
			if s.Change != nil {
				change, err = loglik.Signed(s.Change.Mean.Value), loglik.Fixed(s.Change.Mean.StdErr)
			}
			if res.Data.LogDet != 0 {
				units = s.InDataUnits() + "\t"
			}
			fmt.Fprintf(t, "%s\t%s\t%g\t%s\t%s%s\t%s\t%d\t%d\t\n", s.Method, steps, float64(s.H), loglik.Fixed(float64(s.Mean)), units, change, err, s.N, s.Failures)
		}
		t.Flush()
		for _, s := range res.NLL {
			for _, why := range slices.Sorted(maps.Keys(s.Reasons)) {
				fmt.Fprintf(w, "left out  %s, h = %g: %d points: %s%s\n", s.Method, float64(s.H), s.Reasons[why], why, loglik.Advice(why))
			}
		}
	}
	for _, r := range res.Recommendations {
		fmt.Fprintf(w, "%s: %s\n", r.name(), r.Text)
	}
	fmt.Fprintf(w, "=> %s\n", res.Text)
}

// name is the measure with its steps.
func (r *Recommendation) name() string {
	if r.Steps != nil {
		return fmt.Sprintf("%s, %d steps", r.Measure, *r.Steps)
	}
	return r.Measure
}

// write makes the files.
func (o options) write(ctx context.Context, io ui.Streams, res *result) error {
	w := io.Out
	var err error
	if strings.EqualFold(filepath.Ext(o.out), ".csv") {
		err = o.writeCSV(o.out, res)
	} else {
		err = rundir.WriteJSON(o.out, res)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "written   %s\n", o.out)
	for _, f := range []struct {
		path string
		make func() error
	}{
		{o.csv, func() error { return o.writeCSV(o.csv, res) }},
		{o.plot, func() error { return o.drawW2(res) }},
		{o.plotNLL, func() error { return o.drawNLL(res) }},
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

// writeCSV writes one line for each h and steps: distances, and the NLL by each method.
func (o options) writeCSV(path string, res *result) error {
	var names []string
	for _, s := range res.NLL {
		if !slices.Contains(names, s.Method) {
			names = append(names, s.Method)
		}
	}
	head := []string{"steps", "h", "w2_squared", "w2_squared_stderr", "w2", "w2_stderr", "non_finite"}
	for _, n := range names {
		head = append(head, "nll_"+n, "nll_"+n+"_stderr", "nll_"+n+"_failures")
	}
	var b bytes.Buffer
	c := csv.NewWriter(&b)
	if err := c.Write(head); err != nil {
		return err
	}
	for _, steps := range o.steps {
		for _, h := range o.h {
			row := []string{strconv.Itoa(int(steps)), strconv.FormatFloat(h, 'g', -1, 64)}
			k := slices.IndexFunc(res.Cells, func(c Cell) bool { return c.Steps == int(steps) && float64(c.H) == h })
			if k >= 0 && res.Cells[k].W2 != nil {
				q := res.Cells[k]
				row = append(row, cell(q.W2Squared.Value), cell(q.W2Squared.StdErr), cell(q.W2.Value), cell(q.W2.StdErr), strconv.Itoa(q.NonFinite))
			} else {
				row = append(row, "", "", "", "", "")
			}
			for _, n := range names {
				k := slices.IndexFunc(res.NLL, func(s Likelihood) bool {
					return s.Method == n && float64(s.H) == h && (s.Steps == nil || *s.Steps == int(steps))
				})
				if k < 0 {
					row = append(row, "", "", "")
					continue
				}
				s := res.NLL[k]
				row = append(row, cell(float64(s.Mean)), cell(float64(s.StdErr)), strconv.Itoa(s.Failures))
			}
			if err := c.Write(row); err != nil {
				return err
			}
		}
	}
	c.Flush()
	if err := c.Error(); err != nil {
		return err
	}
	return atomicfile.WriteFile(path, b.Bytes())
}

func cell(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// drawW2 plots W2² against h, a line for each number of steps, and the floor.
func (o options) drawW2(res *result) error {
	var lines []plots.Series
	for _, steps := range o.steps {
		s := plots.Series{Name: fmt.Sprintf("%d steps", int(steps)), Markers: true}
		for _, c := range res.Cells {
			if c.Steps == int(steps) && c.W2Squared != nil {
				s.X, s.Y, s.Err = append(s.X, float64(c.H)), append(s.Y, c.W2Squared.Value), append(s.Err, c.W2Squared.StdErr)
			}
		}
		lines = append(lines, s)
	}
	f, ends := res.Floor.Mean, []float64{o.h[0], o.h[len(o.h)-1]}
	lines = append(lines, plots.Series{Name: "data against data", X: ends, Y: []float64{f.Value, f.Value}, Err: []float64{f.StdErr, f.StdErr}, Dashed: true})
	title := fmt.Sprintf("squared W2 distance to data, %d points each", res.Data.N)
	if res.Data.Units == unitsNetwork {
		title += ", columns scaled"
	}
	return plots.Lines(o.plot, plots.Axes{Title: title, X: "h", Y: "W2²"}, lines...)
}

// drawNLL plots the NLL against h, a line for each method and, for the path integral, number of steps.
func (o options) drawNLL(res *result) error {
	axes := plots.Axes{Title: "negative log-likelihood of the sampler with noise h", X: "h", Y: "NLL, nats per point"}
	relative := slices.ContainsFunc(res.NLL, func(s Likelihood) bool { return s.Change != nil })
	if relative {
		axes.Y = "NLL(h) − NLL(0), nats per point"
	}
	var lines []plots.Series
	for _, s := range res.NLL {
		if s.N == 0 || relative && s.Change == nil && s.H != 0 {
			continue
		}
		name := s.Method
		if s.Steps != nil {
			name += ", " + strconv.Itoa(*s.Steps) + " steps"
		}
		k := slices.IndexFunc(lines, func(l plots.Series) bool { return l.Name == name })
		if k < 0 {
			k = len(lines)
			lines = append(lines, plots.Series{Name: name, Markers: true, Dashed: strings.HasPrefix(name, "wkb")})
		}
		y, e := float64(s.Mean), float64(s.StdErr)
		if relative {
			y, e = 0, 0
			if s.Change != nil {
				y, e = s.Change.Mean.Value, s.Change.Mean.StdErr
			}
		}
		l := &lines[k]
		l.X, l.Y, l.Err = append(l.X, float64(s.H)), append(l.Y, y), append(l.Err, e)
	}
	if len(lines) == 0 {
		return errors.New("--plot-nll: nothing to plot: no point has a value")
	}
	return plots.Lines(o.plotNLL, axes, lines...)
}
