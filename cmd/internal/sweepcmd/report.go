package sweepcmd

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/ui"
	"hbar/metrics"
)

// report prints tables and recommendations.
func report(w io.Writer, res *result) {
	fmt.Fprintf(w, "data      %s; %s\n", res.Data.Name, res.Data.counts())
	if res.Data.Units == unitsNetwork {
		fmt.Fprintln(w, "distances are in the network's coordinates: the columns of the data have units of their own")
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	if res.Floor != nil {
		fmt.Fprintln(t, "steps\th\tW2²\t± s.e.\tW2\t± s.e.\tnot finite\t")
		for _, c := range res.Cells {
			sq, root := metrics.Estimate{Value: math.NaN(), StdErr: math.NaN()}, metrics.Estimate{Value: math.NaN(), StdErr: math.NaN()}
			if c.W2 != nil {
				sq, root = *c.W2Squared, *c.W2
			}
			fmt.Fprintf(t, "%d\t%v\t%s\t%s\t%s\t%s\t%d\t\n", c.Steps, c.H, loglik.Fixed(sq.Value), loglik.Fixed(sq.StdErr), loglik.Fixed(root.Value), loglik.Fixed(root.StdErr), c.NonFinite)
		}
		fmt.Fprintf(t, "\tdata\t%s\t%s\t\t\t\t\n", loglik.Fixed(res.Floor.Mean.Value), loglik.Fixed(res.Floor.Mean.StdErr))
		t.Flush()
	}
	reportResampled(t, res)
	if len(res.NLL) > 0 {
		units := ""
		if res.Data.LogDet != 0 {
			units = "in data units\tbits/dim\t± s.e.\t"
		}
		fmt.Fprintf(t, "method\tsteps\th\tNLL, nats\t± s.e.\t%schange from h = 0\t± s.e.\tpoints\tfailures\t\n", units)
		for _, s := range res.NLL {
			steps, change, err := "", "", ""
			if s.Steps != nil {
				steps = strconv.Itoa(*s.Steps)
			}
			if s.Change != nil {
				change, err = loglik.Signed(s.Change.Mean.Value), loglik.Fixed(s.Change.Mean.StdErr)
			}
			if res.Data.LogDet != 0 {
				units = s.InDataUnits() + "\t" + bitsPerDim(s.DataUnits) + "\t"
			}
			fmt.Fprintf(t, "%s\t%s\t%v\t%s\t%s\t%s%s\t%s\t%d\t%d\t\n", s.Method, steps, s.strength(), loglik.Fixed(float64(s.Mean)), loglik.Fixed(float64(s.StdErr)), units, change, err, s.N, s.Failures)
		}
		t.Flush()
		if lone := loglik.Lone(summaries(res.NLL)); lone != "" {
			fmt.Fprintf(w, "errors    %s\n", lone)
		}
		for _, s := range res.NLL {
			if s.Bounds > 0 {
				fmt.Fprintf(w, "bounds    %s, h = %v: for %d of %s the value is a lower bound on log q, so that the NLL is an upper one; more --paths tighten it\n", s.Method, s.strength(), s.Bounds, ui.Plural(int64(s.N), "point"))
			}
			for _, why := range slices.Sorted(maps.Keys(s.Reasons)) {
				fmt.Fprintf(w, "left out  %s, h = %v: %s: %s%s\n", s.Method, s.strength(), ui.Plural(int64(s.Reasons[why]), "point"), why, loglik.Advice(why))
			}
		}
	}
	for _, b := range res.Bands {
		fmt.Fprintf(w, "bands, %s, %s, %s: %s\n", b.Measure, ui.Plural(int64(b.Steps), "step"), ui.Plural(int64(b.Evaluations), "evaluation"), b.Text)
	}
	for _, r := range res.Recommendations {
		fmt.Fprintf(w, "%s: %s\n", r.name(), r.Text)
	}
	fmt.Fprintf(w, "=> %s\n", res.Text)
}

// reportResampled prints the measures in features and slices, with the evaluations of the network beside each.
func reportResampled(t *tabwriter.Writer, res *result) {
	var names []string
	for _, name := range []string{metricSliced, metricFrechet, metricKernel} {
		if slices.ContainsFunc(res.Cells, func(c Cell) bool { return c.Metrics[metricNames[name]] != nil }) {
			names = append(names, metricNames[name])
		}
	}
	if len(names) == 0 {
		return
	}
	fmt.Fprint(t, "steps\th\tevaluations\t")
	for _, n := range names {
		fmt.Fprintf(t, "%s\t± s.e.\tbias taken off\t", n)
	}
	fmt.Fprintln(t, "not finite\t")
	line := func(of map[string]*metrics.Resampled) {
		for _, n := range names {
			if r := of[n]; r != nil {
				fmt.Fprintf(t, "%.4g\t%.2g\t%.2g\t", r.Estimate.Value, r.Estimate.StdErr, r.Bias)
			} else {
				fmt.Fprint(t, "\t\t\t")
			}
		}
	}
	for _, c := range res.Cells {
		fmt.Fprintf(t, "%d\t%v\t%d\t", c.Steps, c.H, c.Evaluations)
		line(c.Metrics)
		fmt.Fprintf(t, "%d\t\n", c.NonFinite)
	}
	if len(res.Floors) > 0 {
		fmt.Fprint(t, "\tdata\t\t")
		line(res.Floors)
		fmt.Fprintln(t, "\t")
	}
	t.Flush()
}

// counts are the numbers of points that were used.
func (d dataInfo) counts() string {
	var parts []string
	if d.N > 0 {
		parts = append(parts, ui.Plural(int64(d.N), "point")+" a distance")
	}
	if d.NLLN > 0 {
		parts = append(parts, ui.Plural(int64(d.NLLN), "point")+" for likelihoods")
	}
	return strings.Join(parts, ", ")
}

func summaries(of []Likelihood) []loglik.Summary {
	out := make([]loglik.Summary, len(of))
	for i, l := range of {
		out[i] = l.Summary
	}
	return out
}

// bitsPerDim is a likelihood in data units as bits per dimension, with its error over the points.
func bitsPerDim(l *metrics.LogLikelihood) string {
	if l == nil {
		return "\t"
	}
	return fmt.Sprintf("%s\t%s", loglik.Fixed(l.NLLBitsPerDim.Value), loglik.Fixed(l.NLLBitsPerDim.StdErr))
}

// name is the measure with its steps.
func (r *Recommendation) name() string {
	if r.Steps != nil {
		return r.Measure + ", " + ui.Plural(int64(*r.Steps), "step")
	}
	return r.Measure
}
