package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/model"
	"hbar/cmd/internal/ui"
	"hbar/data"
)

// bitsOptions are the settings of bits per dimension and of the fixed mesh.
type bitsOptions struct {
	Bits       bool
	Dequantise string
	Draws      int
	FlowSteps  int
	Class      string
}

// The values that --bits takes where the command line does not say.
const (
	bitsSteps  = 256
	bitsProbes = 4
)

func (b *bitsOptions) define(s *flags.Set) {
	g := s.Group("Bits per dimension")
	g.Bool(&b.Bits, "bits", "bits per dimension of the flow, with a standard error and its shares")
	g.Choice(&b.Dequantise, "dequantise", loglik.DequantiseNames(), "noise that makes whole numbers continuous. uniform: x + u, u in [0, 1). truncnorm: α x + σ ε at Tmin, ε normal within the bin of x. none: for continuous data. With noise the result is a bound, in expectation")
	g.Int(&b.Draws, "draws", "K", flags.Between(1, 1_000_000), "of that noise, for each point; with the exact divergence also for the tight bound, by the logarithm of the mean over draws")
	g.Int(&b.FlowSteps, "flow-steps", "N", flags.Between(0, 10_000_000), fmt.Sprintf("of a fixed mesh for the flow, uniform in λ = log(α/σ), of fourth order, even; its error by halving. 0: steps by --tol, but with --bits %d unless --tol is given", bitsSteps))
	g.String(&b.Class, "class", "K|none", "for networks with classes: the class of all points; by default, of the fixed mesh and of bits each point's label in the data, of others none")
}

// special reports whether the flow is that of loglik.Network.Flow.
func (b *bitsOptions) special() bool {
	return b.Bits || b.FlowSteps > 0 || b.dequantise() != loglik.DequantiseNone
}

func (b *bitsOptions) dequantise() loglik.Dequantise { return loglik.Dequantise(b.Dequantise) }

// checkBits completes the options, and refuses what does not go together.
func (o *options) checkBits(given func(name string) bool) error {
	if o.dequantise() != loglik.DequantiseNone {
		o.Bits = true
	}
	switch {
	case !o.special():
		if given("draws") {
			return ui.Usagef("--draws are those of a dequantisation; name it with --dequantise uniform or truncnorm")
		}
		return nil
	case o.Bits && o.Method != string(loglik.Flow):
		return ui.Usagef("--bits and --dequantise are for --method flow at h = 0, not for %s", o.Method)
	case o.Draws > 1 && o.dequantise() == loglik.DequantiseNone:
		return ui.Usagef("--draws %d are draws of a dequantisation, and --dequantise is none; take uniform or truncnorm", o.Draws)
	case o.FlowSteps > 0 && given("tol") && o.Method == string(loglik.Flow):
		return ui.Usagef("--flow-steps %d and --tol are two ways to choose steps; name one", o.FlowSteps)
	case o.FlowSteps%2 != 0:
		return ui.Usagef("--flow-steps %d: the error is estimated with half as many steps; need an even number", o.FlowSteps)
	case o.Class == model.ClassAll:
		return ui.Usagef("--class all: a point has one class; name one, or none, or leave --class out for the labels in the data")
	}
	if o.Bits && o.FlowSteps == 0 && !given("tol") {
		o.FlowSteps = bitsSteps
	}
	if !given("probes") && o.Method == string(loglik.Flow) {
		o.Probes = bitsProbes
	}
	return nil
}

// labels are those of the points, nil for a network without classes.
func (o *options) labels(net *loglik.Network, p *loglik.Points) ([]int, error) {
	classes := net.Config().Classes()
	if classes == 0 {
		return nil, nil
	}
	labels := make([]int, p.N())
	if o.Class != "" {
		k := classes // none
		if o.Class != model.ClassNone {
			k, _ = strconv.Atoi(o.Class) // the network has checked it
		}
		for i := range labels {
			labels[i] = k
		}
		return labels, nil
	}
	if p.Labels == nil {
		return nil, fmt.Errorf("the network takes one of %d classes, and %s has no labels; name the class of all points with --class", classes, p.Name)
	}
	for i := range labels {
		if labels[i] = int(p.Labels[i]); labels[i] >= classes {
			return nil, fmt.Errorf("point %d of %s has the label %d; the network has the classes 0 to %d", i, p.Name, labels[i], classes-1)
		}
	}
	return labels, nil
}

// prepare checks the points, and makes the flow one over draws where the options ask for that; found is then the result.
func (o *options) prepare(net *loglik.Network, p *loglik.Points, s *loglik.Options) (found **loglik.Bits, err error) {
	if err := p.CheckRange(); err != nil {
		return nil, err
	}
	if o.dequantise() == loglik.DequantiseNone && p.AreWhole() {
		p.Notes = append(p.Notes, data.Note{Label: "warning", Text: p.Name + " holds whole numbers without dequantisation: a density at them is no probability, and its bits are not bits per dimension of the data; --dequantise uniform or truncnorm makes them that"})
	}
	found = new(*loglik.Bits)
	if !o.special() {
		return found, nil
	}
	if o.dequantise() != loglik.DequantiseNone {
		if err := p.CheckWhole(); err != nil {
			return nil, err
		}
	}
	b := loglik.BitsOptions{Dequantise: o.dequantise(), Draws: o.Draws, Steps: o.FlowSteps, First: o.First}
	if b.Labels, err = o.labels(net, p); err != nil {
		return nil, err
	}
	s.FlowBy = func(ctx context.Context) ([]loglik.Value, error) {
		r, err := net.Flow(ctx, p, *s, b)
		if r == nil {
			return nil, err
		}
		*found = r
		values := make([]loglik.Value, len(r.Points))
		for i, q := range r.Points {
			values[i] = q.Value
		}
		return values, err
	}
	return found, nil
}

// load reads the network. One with classes is told the points' own, once they are read.
func (o *options) load() (*loglik.Network, error) {
	net, err := loglik.LoadConditional(o.Flags, o.Class, o.special())
	if err != nil && o.Class != "" {
		return nil, fmt.Errorf("--class: %w", err)
	}
	return net, err
}

// bitsInfo are the figures of the set.
type bitsInfo struct {
	PerDim num       `json:"bits_per_dim"`
	Tight  num       `json:"bits_per_dim_tight"`
	StdErr num       `json:"bits_per_dim_stderr"`
	Shares bitsShare `json:"bits_per_dim_shares"`
	Kind   string    `json:"bits_per_dim_kind"`
	// Halving is the mean over points of what halving the steps changed; null for steps by tolerance.
	Halving num `json:"bits_per_dim_halving"`
	N       int `json:"bits_per_dim_n"`
}

type bitsShare struct {
	Images         num `json:"images"`
	Dequantisation num `json:"dequantisation"`
	Probes         num `json:"probes"`
	Solver         num `json:"solver"`
}

// pointBits are the figures of a point.
type pointBits struct {
	PerDim num    `json:"bits_per_dim"`
	Tight  num    `json:"bits_per_dim_tight"`
	StdErr num    `json:"bits_per_dim_stderr"`
	Kind   string `json:"kind"`
	Draws  int    `json:"draws"`
}

// addBits puts bits per dimension into the result.
func (res *result) addBits(o *options, b *loglik.Bits) {
	if b == nil {
		return
	}
	if o.dequantise() == loglik.DequantiseTruncNorm {
		for i := range res.Summary {
			res.Summary[i].DataUnits = nil // a density of the noisy state, which is not that of the data in other units
		}
	}
	if res.Model.D > loglik.MostCoordinates {
		for i := range res.Points {
			res.Points[i].X = nil
		}
	}
	if !o.Bits {
		return
	}
	halving, n := 0.0, 0.0
	for i, p := range b.Points {
		res.Points[i].pointBits = &pointBits{PerDim: num(p.PerDim), Tight: num(p.Tight), StdErr: num(p.BitsErr), Kind: b.Kind, Draws: p.Draws}
		if p.Status == loglik.OK {
			halving, n = halving+p.Halving, n+1
		}
	}
	s := b.Shares
	res.bitsInfo = &bitsInfo{PerDim: num(b.PerDim), Tight: num(b.Tight), StdErr: num(b.StdErr), Kind: b.Kind, Halving: num(halving / n), N: b.N,
		Shares: bitsShare{Images: num(s.Images), Dequantisation: num(s.Dequantisation), Probes: num(s.Probes), Solver: num(s.Solver)}}
}

// reportBits prints them.
func reportBits(w io.Writer, res *result) {
	b := res.bitsInfo
	if b == nil || b.N == 0 {
		return
	}
	fmt.Fprintf(w, "bits      %.5f ± %.5f per dimension, %s\n", float64(b.PerDim), float64(b.StdErr), map[string]string{
		loglik.KindValue: "a value", loglik.KindEstimate: "an estimate", loglik.KindBound: "a bound from above",
	}[b.Kind])
	if finite(float64(b.Tight)) {
		fmt.Fprintf(w, "tight     %.5f by the logarithm of the mean over draws\n", float64(b.Tight))
	}
	fmt.Fprint(w, "shares   ")
	for _, s := range []struct {
		name string
		v    num
	}{{"images", b.Shares.Images}, {"dequantisation", b.Shares.Dequantisation}, {"probes", b.Shares.Probes}, {"solver", b.Shares.Solver}} {
		if v := float64(s.v); math.IsNaN(v) {
			fmt.Fprintf(w, " %s unknown", s.name)
		} else {
			fmt.Fprintf(w, " %s %.2g", s.name, v)
		}
	}
	fmt.Fprintln(w)
}
