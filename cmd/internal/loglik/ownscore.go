package loglik

import (
	"context"
	"fmt"
	"math"

	"hbar/solver/likelihood"
	"hbar/solver/ownscore"
)

// OwnFit is a fitted own score with what held-out paths say of it.
type OwnFit struct {
	*ownscore.Score
	H      float64
	Helps  bool
	Chosen string // none or the kind of the features of c; with none the fit is of the proposal's variance alone
	// Lower and Upper are the mean changes of the bounds on held-out points, with their standard errors, in nats.
	Lower, LowerErr, Upper, UpperErr float64
	N                                int
}

// FitOwn fits the own score of the chain at h and judges it on points and paths of the chain that the fit has not seen. It helps if the
// upper bound falls and the lower one rises; else the variance alone is tried.
func (n *Network) FitOwn(ctx context.Context, h float64, paths int, o Options) (*OwnFit, error) {
	p := o.Path
	p.Seed = o.Seed
	c, report, err := ownscore.Fit(ctx, n.Single, n.Schedule, h, ownscore.Options{Path: p, Paths: paths, Shape: n.SampleShape(), Progress: o.stage(fmt.Sprintf("own score, h = %g:", h))})
	if err != nil {
		return nil, err
	}
	fit := &OwnFit{Score: c, H: h, Chosen: report.Chosen}
	if err := fit.judge(ctx, n, p); err != nil || fit.Helps || c.Weights == nil {
		return fit, err
	}
	plain := *c
	plain.Weights, plain.Omega, plain.Phase, plain.LogRho, plain.Features, plain.Shape = nil, nil, nil, nil, ownscore.Scalars, nil
	refit, err := ownscore.Variances(ctx, n.Single, &plain, p, paths)
	if err != nil {
		return nil, err
	}
	again := &OwnFit{Score: refit, H: h, Chosen: "none"}
	if err := again.judge(ctx, n, p); err != nil || !again.Helps {
		return fit, err
	}
	return again, nil
}

const (
	judgedPaths = 8       // for each point
	heldOut     = 1 << 36 // number of the first, behind those that the fit has seen
)

// judgedPoints is how many points tell whether a fit helps: in few dimensions it changes the bounds by little.
func judgedPoints(d int) int { return max(48, min(1000, 16000/d)) }

// judge compares the bounds on held-out points with those of the proposal without it.
func (f *OwnFit) judge(ctx context.Context, n *Network, p likelihood.PathOptions) error {
	p.Sample0, p.Paths, p.Bootstrap, p.Progress = heldOut, judgedPaths, 0, nil
	judged := judgedPoints(n.Net.Dim())
	bounds := func(c likelihood.Correction) ([]likelihood.PathEstimate, error) {
		q := p
		q.Corrections = []likelihood.Correction{c}
		if c == nil {
			q.Corrections, q.Reference = nil, true // the same states
		}
		made, err := likelihood.Generate(ctx, n.Single, n.Schedule, judged, f.H, q)
		if err != nil {
			return nil, err
		}
		q.Own = made.LogW
		got, err := likelihood.PathIntegral(ctx, n.Single, n.Schedule, made.X, []float64{f.H}, q)
		if err != nil {
			return nil, err
		}
		var out []likelihood.PathEstimate
		for _, e := range got {
			out = append(out, e[0])
		}
		return out, nil
	}
	usual, err := bounds(nil)
	if err != nil {
		return err
	}
	own, err := bounds(f.Score)
	if err != nil {
		return err
	}
	var lower, upper []float64
	for i, e := range own {
		if l, u := e.Lower-usual[i].Lower, e.Upper-usual[i].Upper; l-l == 0 && u-u == 0 {
			lower, upper = append(lower, l), append(upper, u)
		}
	}
	f.N = len(lower)
	var variance float64
	f.Lower, variance = meanVariance(lower)
	f.LowerErr = math.Sqrt(variance / float64(f.N))
	f.Upper, variance = meanVariance(upper)
	f.UpperErr = math.Sqrt(variance / float64(f.N))
	f.Helps = f.N > judged/2 && f.Lower > 0 && f.Upper < 0
	return nil
}
