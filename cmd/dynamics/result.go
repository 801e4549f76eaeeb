package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"hbar/cmd/internal/loglik"
	"hbar/dynamics"
	"hbar/train"
)

type num = loglik.Number

// result is the JSON file of spectrum and fit.
type result struct {
	Options  map[string]any    `json:"options"`
	Versions map[string]string `json:"versions"`
	Method   string            `json:"method"`
	Summary  string            `json:"summary"`
	Data     dataInfo          `json:"data"`
	Span     num               `json:"span"` // the time that the data cover
	EDMD     *edmdInfo         `json:"edmd,omitempty"`
	ML       *mlInfo           `json:"ml,omitempty"`
	Scan     *scanInfo         `json:"scan,omitempty"`
	Modes    []modeInfo        `json:"modes"`
	Notes    []string          `json:"notes"`
}

type dataInfo struct {
	Trajectories int      `json:"trajectories"`
	Times        int      `json:"times"`
	Outputs      int      `json:"outputs"`
	Names        []string `json:"names,omitempty"`
}

type edmdInfo struct {
	Dt             num  `json:"dt"`
	Features       int  `json:"features"`
	Rank           int  `json:"rank"`
	Pairs          int  `json:"pairs"`
	Residual       num  `json:"relative_residual"`
	PCorrelated    num  `json:"p_uncorrelated"` // of residuals that are not correlated in time
	BiasCorrection bool `json:"bias_corrected"`
}

type mlInfo struct {
	Kind       string `json:"kind"`
	Order      int    `json:"order"`
	Parameters int    `json:"parameters"`
	LogLik     num    `json:"loglik"` // nats
	BIC        num    `json:"bic"`
	Noise      []num  `json:"noise"` // standard deviations of the measurement noise
}

// modeInfo is one mode. Intervals are 95 %; null is what is not known or infinite.
type modeInfo struct {
	Re    num    `json:"re"`
	Im    num    `json:"im"`
	ReCI  []num  `json:"re_ci"`
	ImCI  []num  `json:"im_ci"`
	Tau   num    `json:"tau"`
	Class string `json:"class"`
}

func (f *fitted) result(o *fitOptions, data *dynamics.Data) *result {
	version, versions := train.Versions()
	r := &result{Options: o.record(), Versions: map[string]string{"hbar": version, "go": versions["go"]}, Notes: append([]string{}, f.notes...),
		Data: dataInfo{Trajectories: len(data.Records), Times: data.Len(), Outputs: data.P, Names: data.Names}}
	if f.ml != nil {
		m := f.ml
		r.Method, r.Span = "ml", num(m.Span)
		r.ML = &mlInfo{Kind: string(m.Kind), Order: m.Order, Parameters: m.Free, LogLik: num(m.LogLik), BIC: num(m.BIC), Noise: loglik.Numbers(m.Noise)}
		r.Summary = fmt.Sprintf("maximum likelihood, %s, %s, %s", m.Kind, plural(m.Order*data.P, "state", "states"), plural(m.Free, "parameter", "parameters"))
		if f.why != "" {
			r.Notes = append([]string{"maximum likelihood was chosen because " + f.why}, r.Notes...)
		}
	} else if f.scan != nil {
		r.Method, r.Span, r.Scan = "scan", num(data.Span()), &f.scan.info
		r.Summary = f.scan.summary()
	} else {
		e := f.edmd
		r.Method, r.Span = "edmd", num(e.Span)
		r.EDMD = &edmdInfo{Dt: num(e.Dt), Features: e.Features, Rank: e.Rank, Pairs: e.Pairs, Residual: num(e.Relative), PCorrelated: num(e.PNoise), BiasCorrection: e.Corrected}
		r.Summary = fmt.Sprintf("least squares on %s (%s) over %s", e.Lift, plural(e.Features, "feature", "features"), plural(e.Pairs, "pair of snapshots", "pairs of snapshots"))
	}
	for i := range f.modes {
		m := &f.modes[i]
		info := modeInfo{Re: num(real(m.Lambda)), Im: num(imag(m.Lambda)), Tau: num(m.Tau()), Class: string(m.Class)}
		lo, hi := m.ReCI()
		info.ReCI = []num{num(lo), num(hi)}
		lo, hi = m.ImCI()
		info.ImCI = []num{num(lo), num(hi)}
		r.Modes = append(r.Modes, info)
	}
	return r
}

// most is how many modes the report lists.
const most = 20

func (r *result) report(w io.Writer) {
	fmt.Fprintf(w, "method    %s\n", r.Summary)
	if m := r.ML; m != nil {
		fmt.Fprintf(w, "log p     %.4f nats, BIC %.2f; measurement noise", float64(m.LogLik), float64(m.BIC))
		for _, v := range m.Noise {
			fmt.Fprintf(w, " %.4g", float64(v))
		}
		fmt.Fprintln(w)
	}
	if s := r.Scan; s != nil {
		fmt.Fprintf(w, "log p     %.4f nats of the data, %.6f an observation\n", float64(s.LogLik), float64(s.LogLik)/float64(s.Observations))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "Re λ\t95 % interval\tIm λ\t95 % interval\tτ\tclass\t")
	hidden := 0
	for i, m := range r.Modes {
		if i >= most {
			hidden++
			continue
		}
		fmt.Fprintf(t, "%.5g\t%s\t%.5g\t%s\t%s\t%s\t\n", float64(m.Re), interval(m.ReCI), float64(m.Im), interval(m.ImCI), value(m.Tau), m.Class)
	}
	t.Flush()
	if hidden > 0 {
		fmt.Fprintf(w, "and %s that decay faster; --json has all\n", plural(hidden, "mode", "modes"))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note      %s\n", n)
	}
}

func interval(ci []num) string {
	if lo, hi := float64(ci[0]), float64(ci[1]); lo-lo == 0 && hi-hi == 0 {
		return fmt.Sprintf("%.4g … %.4g", lo, hi)
	}
	return "unknown"
}

func value(v num) string {
	if math.IsInf(float64(v), 0) {
		return "∞"
	}
	return fmt.Sprintf("%.4g", float64(v))
}
