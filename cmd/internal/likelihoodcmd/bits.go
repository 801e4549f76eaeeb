package likelihoodcmd

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

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
	SlopeSteps int
	Class      string
	Against    string
	Resume     bool
}

// classMarginal is --class for the mean over classes.
const classMarginal = "marginal"

// The values that --bits takes where the command line does not say.
const (
	bitsSteps  = 256
	bitsProbes = 4
)

func (b *bitsOptions) define(s *flags.Set) {
	g := s.Group("Bits per dimension")
	g.Bool(&b.Bits, "bits", "bits per dimension at every h, with a standard error and its shares; by flow and pathintegral")
	g.Choice(&b.Dequantise, "dequantise", loglik.DequantiseNames(), "noise that makes whole numbers continuous. uniform: x + u, u in [0, 1). truncnorm: α x + σ ε at Tmin, ε normal within the bin of x. none: for continuous data. With noise the result is a bound, in expectation")
	g.Int(&b.Draws, "draws", "K", flags.Between(1, 1_000_000), "of that noise, for each point; with the exact divergence also for the tight bound, by the logarithm of the mean over draws")
	g.Int(&b.FlowSteps, "flow-steps", "N", flags.Between(0, 10_000_000), fmt.Sprintf("of a fixed mesh for the flow, uniform in λ = log(α/σ), of fourth order, even; its error by halving. 0: steps by --tol, but with --bits %d unless --tol is given", bitsSteps))
	g.Int(&b.SlopeSteps, "slope-steps", "N", flags.Between(0, 1_000_000), fmt.Sprintf("of a fixed mesh for ℓ₁ by probes, uniform in λ, of fourth order, on each part of a path; 0: steps by --tol, but of networks other than MLPs %d unless --tol is given", loglik.SlopeSteps))
	g.String(&b.Class, "class", "K|none|marginal", "for networks with classes: the class of all points, or the mean of the density over all classes, at a cost that grows with their number; by default each point's label in the data, of generated points each class in turn")
	g.String(&b.Against, "against", "OTHER.json", "the result of another model for the same points, noise and probes: the difference, with the error of the pairs")
}

// special reports whether the flow of net is computed by loglik.Network.Flow.
func (b *bitsOptions) special(net *loglik.Network) bool {
	return b.Bits || b.FlowSteps > 0 || b.dequantise() != loglik.DequantiseNone || classes(net) > 0
}

// classes is the number of classes of a network, 0 of one without.
func classes(net *loglik.Network) int { return net.Config().Classes() }

func (b *bitsOptions) dequantise() loglik.Dequantise { return loglik.Dequantise(b.Dequantise) }

// checkBits completes the options, and refuses what does not go together.
func (o *options) checkBits(given func(name string) bool) error {
	if o.dequantise() != loglik.DequantiseNone {
		o.Bits = true
	}
	switch {
	case given("draws") && !o.Bits:
		return ui.Usagef("--draws are those of a dequantisation; name it with --dequantise uniform or truncnorm")
	case o.Draws > 1 && o.dequantise() == loglik.DequantiseNone:
		return ui.Usagef("--draws %d are draws of a dequantisation, and --dequantise is none; take uniform or truncnorm", o.Draws)
	case o.Bits && !o.takesDraws():
		return ui.Usagef("--bits and --dequantise are for --method flow, wkb and pathintegral, not for %s", o.Method)
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
	if (o.Bits || o.FlowSteps > 0) && !given("probes") && o.takesDraws() {
		o.Probes = bitsProbes
	}
	return nil
}

// takesDraws reports whether the methods are among those that take draws.
func (o *options) takesDraws() bool {
	for name := range strings.SplitSeq(o.Method, ",") {
		if m := loglik.Method(strings.TrimSpace(name)); m != loglik.Flow && m != loglik.WKB && m != loglik.PathIntegral {
			return false
		}
	}
	return true
}

// modelClass is the class that the network is loaded for.
func (o *options) modelClass() string {
	if o.Class == classMarginal {
		return ""
	}
	return o.Class
}

// marginal is the number of classes that the mean is over, 0 without --class marginal.
func (o *options) marginal(net *loglik.Network, s loglik.Options) (int, error) {
	switch {
	case o.Class != classMarginal:
		return 0, nil
	case classes(net) == 0:
		return 0, ui.Usagef("--class marginal is the mean over classes, and the network was trained without labels")
	case o.Generated > 0:
		return 0, ui.Usagef("--class marginal: generated points have the class that made them; leave --class out")
	}
	for _, m := range []loglik.Method{loglik.WKB, loglik.FokkerPlanck} {
		if slices.Contains(s.Methods, m) {
			return 0, ui.Usagef("--class marginal is for --method flow and pathintegral, not for %s", m)
		}
	}
	return classes(net), nil
}

// labels are those of the points, nil for a network without classes.
func (o *options) labels(net *loglik.Network, p *loglik.Points) ([]int, error) {
	classes := net.Config().Classes()
	if classes == 0 || o.Class == classMarginal {
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
		return nil, fmt.Errorf("the network takes one of %d classes, and %s has no labels; name the class of all points with --class K, or take the mean over classes with --class marginal", classes, p.Name)
	}
	for i := range labels {
		if labels[i] = int(p.Labels[i]); labels[i] >= classes {
			return nil, fmt.Errorf("point %d of %s has the label %d; the network has the classes 0 to %d", o.First+uint64(o.part.from+i), p.Name, labels[i], classes-1)
		}
	}
	return labels, nil
}

// found are the figures in bits, as the methods make them.
type found struct {
	flow  *loglik.Bits
	paths []*loglik.Bits // of each h > 0

	journal *loglik.Journal
}

// prepare checks the points, and has flow and path integral take draws and labels.
func (o *options) prepare(net *loglik.Network, p *loglik.Points, s *loglik.Options) (*found, error) {
	if p.Own == nil {
		if err := p.CheckRange(); err != nil {
			return nil, err
		}
		if p.CharBits > 0 && o.dequantise() == loglik.DequantiseUniform {
			return nil, ui.Usagef("--dequantise uniform: analog bits are learnt without noise and read by their signs; take truncnorm, whose noise keeps the sign")
		}
		if p.CharBits > 0 && o.dequantise() == loglik.DequantiseNone {
			p.Notes = append(p.Notes, data.Note{Label: "warning", Text: "a density at analog bits is no probability of characters; --dequantise truncnorm gives bits per character"})
		} else if o.dequantise() == loglik.DequantiseNone && p.AreWhole() {
			p.Notes = append(p.Notes, data.Note{Label: "warning", Text: p.Name + " holds whole numbers without dequantisation: a density at them is no probability, and its bits are not bits per dimension of the data; --dequantise uniform or truncnorm makes them that"})
		}
	}
	if o.dequantise() != loglik.DequantiseNone {
		if err := p.CheckWhole(); err != nil {
			return nil, err
		}
	}
	var err error
	b := loglik.BitsOptions{Dequantise: o.dequantise(), Draws: o.Draws, Steps: o.FlowSteps, SlopeSteps: o.SlopeSteps, First: o.First + uint64(s.Part.First)}
	if b.Labels, err = o.labels(net, p); err != nil {
		return nil, err
	}
	if net.Model.Model.Net != nil && b.SlopeSteps == 0 && !o.given("tol") {
		b.SlopeSteps = loglik.SlopeSteps
	}
	if b.Marginal, err = o.marginal(net, *s); err != nil {
		return nil, err
	}
	if b.Journal, err = o.journal(net, p); err != nil {
		return nil, err
	}
	f := &found{journal: b.Journal}
	if o.special(net) {
		s.FlowBy = func(ctx context.Context) ([]loglik.Value, error) {
			r, err := net.Flow(ctx, p, *s, b)
			if r == nil {
				return nil, err
			}
			f.flow = r
			values := make([]loglik.Value, len(r.Points))
			for i, q := range r.Points {
				values[i] = q.Value
			}
			return values, err
		}
	}
	if o.slopesByMesh(net) {
		s.ExpandBy = func(ctx context.Context, zeroth []loglik.Value) ([]loglik.Expansion, error) {
			return net.Slopes(ctx, p, *s, b, zeroth)
		}
	}
	s.PathBy = func(ctx context.Context, hs []float64) (values [][]loglik.Value, err error) {
		values, f.paths, err = net.Paths(ctx, p, hs, *s, b)
		return values, err
	}
	return f, nil
}

// load reads the network. One with classes takes those of the points, once they are read.
func (o *options) load() (*loglik.Network, error) {
	net, err := loglik.LoadConditional(o.Flags, o.modelClass(), true)
	if err != nil && o.Class != "" {
		return nil, fmt.Errorf("--class: %w", err)
	}
	return net, err
}
