package likelihoodcmd

import (
	"context"
	"fmt"
	"io"
	"slices"

	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/model"
	"hbar/cmd/internal/ui"
	"hbar/internal/memory"
)

// points reads or generates the points.
func (o *options) points(ctx context.Context, streams ui.Streams, net *loglik.Network, s loglik.Options, own memory.Need) (*loglik.Points, error) {
	count, name := o.N, "--n"
	switch {
	case o.Generated > 0:
		count, name = o.Generated, "--generated"
	case count == 0:
		count = defaultN // of a built-in set; a file is read whole
	}
	if err := s.Fits(o.share(count), net.Net.Dim(), name, own); err != nil {
		return nil, err
	}
	if o.Generated > 0 {
		p, err := o.generate(ctx, net, s)
		if err != nil && ctx.Err() != nil {
			return nil, fmt.Errorf("%w before the points were made; nothing is written", ui.ErrInterrupted)
		}
		return p, err
	}
	p, err := ui.Wait(ctx, streams.Err, "reading the points", func() (*loglik.Points, error) {
		return net.LoadPoints(o.Source, o.First, o.N, defaultN)
	})
	if err != nil {
		return nil, err
	}
	return p, s.Fits(o.share(p.N()), p.D, name, own)
}

// generate draws points of the chain, of the class that --class names or of each class in turn.
func (o *options) generate(ctx context.Context, net *loglik.Network, s loglik.Options) (*loglik.Points, error) {
	var label func(sample uint64) int
	if classes(net) > 0 {
		label = func(sample uint64) int { return int(net.Label(sample)) }
	}
	h := o.H[slices.IndexFunc(o.H, func(h float64) bool { return h != 0 })]
	return net.Generate(ctx, o.First, o.Generated, h, s, label)
}

// needsClass refuses methods that take one class for all points, where none is named.
func (o *options) needsClass(net *loglik.Network, s loglik.Options) error {
	if classes(net) == 0 || o.Class != "" {
		return nil
	}
	if m := loglik.FokkerPlanck; slices.Contains(s.Methods, m) {
		return ui.Usagef("--method %s takes one class for all points, and the network has %d; name it with --class K, or --class %s", m, classes(net), model.ClassNone)
	}
	return nil
}

// reportBounds prints what lies between the bounds, and where a bound is all there is.
func reportBounds(w io.Writer, res *result) {
	for _, s := range res.Summary {
		if s.Bounds > 0 {
			fmt.Fprintf(w, "bounds    %s, h = %s: for %d of %s the value is a lower bound on log q, because few paths carry all the weight; more --paths tighten it\n", s.Method, res.strength(s.H), s.Bounds, ui.Plural(int64(s.N), "point"))
		}
		if e := s.Enclosed; e != nil {
			fmt.Fprintf(w, "enclosed  %s, h = %s: log q of %s is between %s and %s nats, %s apart\n", s.Method, res.strength(s.H), ui.Plural(int64(e.N), "generated point"),
				loglik.PlusMinus(float64(e.Lower), float64(e.LowerStdErr)), loglik.PlusMinus(float64(e.Upper), float64(e.UpperStdErr)), loglik.PlusMinus(float64(e.Width), float64(e.WidthStdErr)))
		}
	}
}
