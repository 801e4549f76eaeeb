package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	"hbar/dynamics"
)

// fitted is a fit by either method.
type fitted struct {
	edmd  *dynamics.EDMD
	ml    *dynamics.LikelihoodFit
	scan  *scanFit
	modes []dynamics.Mode
	notes []string
	why   string // auto chose ml
}

// fit fits by the method that --method names; with auto it chooses one by the data.
func (o *fitOptions) fit(ctx context.Context, data *dynamics.Data) (*fitted, error) {
	method := o.method
	_, regular := data.Step()
	why := ""
	if method == "auto" {
		method = "edmd"
		if !regular && o.plain() {
			method, why = "ml", "the times have no common step"
		}
	}
	if method == "ml" {
		return o.likelihood(ctx, data, why)
	}
	e, err := o.leastSquares(data, o.lift)
	var gaps *dynamics.NoPairsError
	if o.method == "auto" && o.plain() && !o.text() && errors.As(err, &gaps) && small(data) {
		f, failed := o.likelihood(ctx, data, "no two times that follow each other have all outputs")
		if failed == nil || ctx.Err() != nil {
			return f, failed
		}
		return nil, err
	}
	if o.method == "auto" && o.plain() && !o.text() && (err != nil || e.PNoise < 1e-3) {
		f, hidden := o.hidden(ctx, data, e, err)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if f != nil {
			return f, nil
		}
		if err == nil && hidden != nil {
			e.Notes = append(e.Notes, "maximum likelihood was tried and failed: "+hidden.Error())
		}
	}
	if err != nil {
		return nil, err
	}
	if o.method == "auto" && o.lift.Delays > 1 && o.windows() && e.Relative >= exact {
		f, err := o.betterThanDelays(ctx, data, e)
		if f != nil || err != nil {
			return f, err
		}
	}
	return &fitted{edmd: e, modes: e.Modes, notes: e.Notes}, nil
}

// exact bounds relative residuals that only rounding leaves.
const exact = 1e-6

// mostWork bounds the multiply-adds of a fit on delays that nobody asked for: a second or two.
const mostWork = 2e9

// small reports whether maximum likelihood takes a minute or two at most.
func small(data *dynamics.Data) bool { return data.P <= 8 && data.Len() <= 20_000 }

// windows reports whether features are the window itself, of numbers.
func (o *fitOptions) windows() bool {
	return o.lift.Degree == 1 && o.lift.Fourier == 0 && o.rank == 0 && !o.text()
}

// betterThanDelays is a fit by maximum likelihood where that explains the data better, by the Bayesian information criterion.
// Delays fit measurement noise as dynamics, and then modes come out too fast.
func (o *fitOptions) betterThanDelays(ctx context.Context, data *dynamics.Data, e *dynamics.EDMD) (*fitted, error) {
	if !small(data) {
		return nil, nil
	}
	f, err := o.likelihood(ctx, data, "")
	if err != nil {
		return nil, ctx.Err()
	}
	chain, err := e.StateSpace()
	if err != nil {
		return nil, nil
	}
	own, err := f.ml.Model.LogLik(data)
	if err != nil {
		return nil, nil
	}
	theirs, err := chain.LogLik(data)
	if err != nil {
		return nil, nil
	}
	n := math.Log(float64(own.Values))
	p := float64(data.P)
	ml := -2*own.LogLik + n*float64(f.ml.Free)
	delays := -2*theirs.LogLik + n*(p*p*float64(o.lift.Delays)+p*(p+1)/2+p)
	if ml >= delays {
		return nil, nil
	}
	f.why = fmt.Sprintf("it explains the data better than %d delays, by a Bayesian information criterion of %.1f against %.1f; --method edmd keeps to delays", o.lift.Delays, ml, delays)
	return f, nil
}

// plain reports whether no lift was asked for, so that auto may choose another method.
func (o *fitOptions) plain() bool {
	return o.lift.Delays == 1 && o.lift.Degree == 1 && o.lift.Fourier == 0 && o.rank == 0
}

// hidden fits data that the snapshots alone do not explain: by a few delays if the dynamics are exact, else by hidden states with
// measurement noise.
func (o *fitOptions) hidden(ctx context.Context, data *dynamics.Data, e *dynamics.EDMD, failed error) (*fitted, error) {
	for _, delays := range []int{2, 3, 4, 6, 8, 12} {
		if f := float64(delays * data.P); float64(data.Len())*f*f > mostWork {
			break
		}
		lift := o.lift
		lift.Delays = delays
		d, err := o.leastSquares(data, lift)
		if err != nil {
			break
		}
		if d.Relative < exact {
			d.Notes = append(d.Notes, fmt.Sprintf("one snapshot does not determine the next, %d delays do", delays))
			return &fitted{edmd: d, modes: d.Modes, notes: d.Notes}, nil
		}
	}
	if failed != nil {
		return nil, failed // at the branch cut of the logarithm, or too few data: hidden states would only hide that
	}
	if !small(data) {
		return nil, nil
	}
	return o.likelihood(ctx, data, fmt.Sprintf("residuals of least squares are correlated in time (P = %.1g)", e.PNoise))
}

func (o *fitOptions) leastSquares(data *dynamics.Data, lift dynamics.LiftOptions) (*dynamics.EDMD, error) {
	l, err := dynamics.NewLift(data, lift)
	if err != nil {
		return nil, err
	}
	return dynamics.Fit(data, l, dynamics.FitOptions{NoIntercept: !o.intercept, NoBias: !o.bias, Rank: o.rank, OmitBranch: o.branch == "omit" || o.text()})
}

func (o *fitOptions) likelihood(ctx context.Context, data *dynamics.Data, why string) (*fitted, error) {
	f, err := dynamics.FitLikelihood(ctx, data, dynamics.LikelihoodOptions{Order: o.order, Kind: dynamics.Kind(o.kind), NoNoise: !o.noise, NoOffset: !o.intercept})
	if err != nil {
		return nil, err
	}
	return &fitted{ml: f, modes: f.Modes, notes: f.Notes, why: why}, nil
}

// save writes what loglik and generate take.
func (f *fitted) save(path string, data *dynamics.Data, note string) error {
	if f.scan != nil {
		f.scan.fit.Note = note
		return f.scan.fit.Save(path)
	}
	m, err := f.model(data, note)
	if err != nil {
		return err
	}
	return m.Save(path)
}

// model is a state space, or lifted dynamics.
func (f *fitted) model(data *dynamics.Data, note string) (*dynamics.Model, error) {
	m := &dynamics.Model{Names: data.Names, Note: note}
	switch {
	case f.ml != nil:
		m.Space = f.ml.Model
	case f.edmd.Lift.Linear():
		var err error
		if m.Space, err = f.edmd.StateSpace(); err != nil {
			return nil, err
		}
	default:
		m.Lifted = f.edmd.Lifted()
	}
	return m, nil
}
