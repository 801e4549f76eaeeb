package hbar

import (
	"context"
	"fmt"
	"math"

	"hbar/solver"
	"hbar/solver/likelihood"
)

// exactDim is the number of dimensions up to which the divergence of a flow is exact unless the options say otherwise: it
// costs D derivatives of the network at each step.
const exactDim = 128

// defaultProbes is the number of probes where the divergence is estimated and the options name none.
const defaultProbes = 8

// LikelihoodOptions choose a method by H, and its settings. The zero value is the probability flow, with the exact divergence
// up to 128 dimensions and 8 probes beyond.
type LikelihoodOptions struct {
	// H is the strength of the noise of the process whose density is computed. 0: the probability flow (likelihood.Flow). Above
	// 0: the path integral over the chain of a sampler (likelihood.PathIntegral).
	H float64
	// Profile, if it is one and no constant, is the strength along the way in place of H, above 0 at all knots.
	Profile solver.Strength

	// Of the flow.
	Tol    float64 // of its paths; 0: 1e-5
	Exact  bool    // the exact divergence in any dimension: D derivatives a step
	Probes int     // K of Hutchinson's estimator, ±1; 0: exact up to 128 dimensions, then 8

	// Of the path integral.
	Sampler solver.Sampler // EulerMaruyama or Exponential
	Grid    solver.Grid
	Steps   int // 0: 1000
	Paths   int // for each point; 0: 1000

	Seed uint64
	// First numbers the first point for its random numbers, so that points in several calls get what they would in one.
	First uint64

	// Labels are as in SampleOptions. Consecutive points of one label are computed in one call. There is no guidance
	// here: a guided score is not that of a density.
	Labels []int

	// Progress, unless nil, is called from time to time with the amount of work on the points of one label that is done.
	Progress func(done, total int)
}

// Likelihood is the log density of a point under the process.
type Likelihood struct {
	LogQ float64 // nats, in data units; NaN where Status does not allow a value
	// StdErr is the standard error of LogQ over probes or paths: 0 with the exact divergence, NaN with one probe or path.
	StdErr float64
	// ESS is the effective sample size of the path integral, NaN for the flow.
	ESS float64
	// Status is likelihood.OK, or says why there is no value (likelihood.Diverged, …), or why not to trust it
	// (likelihood.LowESS).
	Status likelihood.Status
}

// LogLikelihood is the log density log q^h of the points x (n×D, data units) that the reverse process with noise of strength
// h really has at Tmin. A point without a value is a status, not an error.
func (m *Model) LogLikelihood(ctx context.Context, x []float64, o LikelihoodOptions) ([]Likelihood, error) {
	ctx, done, err := m.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	n, err := m.count(x, o.Labels)
	if err != nil {
		return nil, err
	}
	if !(o.H >= 0) || math.IsInf(o.H, 1) {
		return nil, fmt.Errorf("hbar: h = %g; want 0 or more", o.H)
	}
	if o.Exact && o.Probes != 0 {
		return nil, fmt.Errorf("hbar: %d probes and the exact divergence; want one of the two", o.Probes)
	}
	if !(o.Tol >= 0) || math.IsInf(o.Tol, 1) {
		return nil, fmt.Errorf("hbar: tolerance %g; want a positive number", o.Tol)
	}
	d := m.Dim()
	y := m.toNetwork(x)
	unit := m.c.Norm.LogDet(d)
	out := make([]Likelihood, 0, n)
	err = m.runs(n, o.Labels, 0, func(net *solver.Network, lo, hi int) error {
		compute := m.flow
		if o.paths() {
			compute = m.path
		}
		part, err := compute(ctx, net, y[lo*d:hi*d], o.First+uint64(lo), o)
		out = append(out, part...)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].LogQ += unit
	}
	return out, nil
}

// flow is log q⁰ in the network's units.
func (m *Model) flow(ctx context.Context, net *solver.Network, y []float64, first uint64, o LikelihoodOptions) ([]Likelihood, error) {
	f := likelihood.FlowOptions{
		Options:    likelihood.Options{Tol: o.Tol, Progress: o.Progress},
		Divergence: likelihood.Rademacher, Probes: o.Probes, Seed: o.Seed, Sample0: first,
	}
	if o.Exact || o.Probes == 0 && m.Dim() <= exactDim {
		f.Divergence = likelihood.Exact
	} else if o.Probes == 0 {
		f.Probes = defaultProbes
	}
	points, err := likelihood.Flow(ctx, net, m.schedule, y, f)
	if err != nil {
		return nil, err
	}
	out := make([]Likelihood, len(points))
	for i, p := range points {
		out[i] = Likelihood{LogQ: p.LogQ, StdErr: p.StdErr, ESS: math.NaN(), Status: p.Status}
	}
	return out, nil
}

// paths reports whether the path integral is asked for.
func (o LikelihoodOptions) paths() bool {
	_, constant := o.Profile.IsConstant()
	return o.H > 0 || !constant
}

// path is log q^h of the chain, in the network's units.
func (m *Model) path(ctx context.Context, net *solver.Network, y []float64, first uint64, o LikelihoodOptions) ([]Likelihood, error) {
	points, err := likelihood.PathIntegral(ctx, net, m.schedule, y, []float64{o.H}, likelihood.PathOptions{
		Profile: o.Profile, Sampler: o.Sampler, Grid: o.Grid, Steps: o.Steps, Paths: o.Paths, Seed: o.Seed, Sample0: first, Progress: o.Progress,
	})
	if err != nil {
		return nil, err
	}
	out := make([]Likelihood, len(points))
	for i, p := range points {
		out[i] = Likelihood{LogQ: p[0].LogQ, StdErr: p[0].StdErr, ESS: p[0].ESS, Status: p[0].Status}
	}
	return out, nil
}
