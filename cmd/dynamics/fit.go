package main

import (
	"context"
	"fmt"

	"hbar/dynamics"
)

// fitted is a fit by either method.
type fitted struct {
	edmd  *dynamics.EDMD
	ml    *dynamics.LikelihoodFit
	modes []dynamics.Mode
	notes []string
	why   string // auto chose ml
}

// fit fits by the method asked for, or by the one that the data need.
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
	return &fitted{edmd: e, modes: e.Modes, notes: e.Notes}, nil
}

// plain reports whether no lift was asked for, so that auto may choose another method.
func (o *fitOptions) plain() bool {
	return o.lift.Delays == 1 && o.lift.Degree == 1 && o.lift.Fourier == 0 && o.rank == 0
}

// hidden fits what snapshots alone do not explain: exact dynamics of a few delays where there is no noise, else hidden
// states and measurement noise.
func (o *fitOptions) hidden(ctx context.Context, data *dynamics.Data, e *dynamics.EDMD, failed error) (*fitted, error) {
	const exact = 1e-6 // relative residuals that only rounding leaves
	for _, delays := range []int{2, 3, 4, 6, 8, 12} {
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
		return nil, failed // at the branch of the logarithm, or too short: hidden states would only cover that
	}
	const most = 20_000 // observations for which the search takes a minute or two
	if data.P > 8 || data.Len() > most {
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

// model is what loglik and generate take.
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
