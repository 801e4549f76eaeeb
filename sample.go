package hbar

import (
	"context"
	"fmt"
	"math"

	"hbar/solver"
)

// SampleOptions say what to sample. The zero value is one sample of the probability-flow ODE in 1000 Euler steps.
type SampleOptions struct {
	N int // samples; 0: 1
	// H ≥ 0 is the strength of the noise: 0 is the probability-flow ODE, 1 the reverse SDE (arXiv:2403.11262, eq. 9).
	H float64
	// Profile, if it is one and no constant, is the strength along the way, in place of H: solver.ParseStrength("0@-4,0.5@0,1@3").
	Profile solver.Strength
	Sampler solver.Sampler // the method of a step
	Grid    solver.Grid    // the times of the steps
	Steps   int            // 0: 1000
	// Denoise ends with the posterior mean E[x₀|x] of the last state x: it removes the noise of deviation σ(Tmin).
	Denoise bool
	Seed    uint64
	// First numbers the first sample: a sample depends on Seed and its number alone.
	First uint64

	// Labels are for networks with classes: none, one for all samples, or one for each; None is no label.
	Labels []int
	// Guidance is w in (1 + w) s(x | label) − w s(x | none) (Ho and Salimans 2022, arXiv:2207.12598).
	Guidance float64

	// Progress, unless nil, is called from time to time with the amount of work that is done, in samples, from any goroutine,
	// one at a time.
	Progress func(done, total int)
}

// Samples are what was drawn.
type Samples struct {
	X           []float64 // N×D, in data units
	N           int
	Evaluations int // of the network, for each sample
	// NonFinite counts samples with a number that is NaN or infinite. They are in X like all others.
	NonFinite int
}

// Sample draws samples of the reverse process at Tmin, in data units. On an error, ctx's included, the samples that were
// finished before it are returned with it.
func (m *Model) Sample(ctx context.Context, o SampleOptions) (*Samples, error) {
	s := &Samples{}
	if d := m.Dim(); o.N > math.MaxInt/8/d {
		return s, fmt.Errorf("hbar: %d samples of %d numbers are more than memory can hold; use SampleEach", o.N, d)
	}
	r, err := m.SampleEach(ctx, o, func(x []float64) error {
		s.X = append(s.X, x...)
		return nil
	})
	s.N, s.Evaluations, s.NonFinite = r.Samples, r.Evaluations, r.NonFinite
	return s, err
}

// SampleEach draws samples as Sample does, and hands them on in chunks of whole samples, in order, so that memory does not grow
// with their number. x is valid during the call. An error from deliver ends the run.
func (m *Model) SampleEach(ctx context.Context, o SampleOptions, deliver func(x []float64) error) (solver.Result, error) {
	ctx, done, err := m.use(ctx)
	if err != nil {
		return solver.Result{}, err
	}
	defer done()
	if o.N == 0 {
		o.N = 1
	}
	if len(o.Labels) > 1 && len(o.Labels) != o.N {
		return solver.Result{}, fmt.Errorf("hbar: %d labels for %d samples; want none, one, or one each", len(o.Labels), o.N)
	}
	c, err := m.condition(o.Labels, o.First, o.Guidance)
	if err != nil {
		return solver.Result{}, err
	}
	net, err := m.network(c)
	if err != nil {
		return solver.Result{}, err
	}
	opt := solver.Options{
		TableOptions: solver.TableOptions{Sampler: o.Sampler, Grid: o.Grid, Steps: o.Steps, H: o.H, Denoise: o.Denoise},
		N:            o.N, Seed: o.Seed, First: o.First, Overlap: m.engine.OnGPU(),
	}
	if err := o.Profile.Suits(m.schedule); err != nil {
		return solver.Result{}, err
	}
	if _, constant := o.Profile.IsConstant(); !constant {
		opt.TableOptions = opt.WithStrength(o.Profile, m.schedule)
	}
	if o.Progress != nil {
		opt.Progress = func(done int) { o.Progress(done, o.N) }
	}
	return solver.Sample(ctx, net, m.schedule, opt, func(k solver.Chunk) error {
		x := make([]float64, len(k.X))
		m.c.Norm.Invert(x, k.X, k.D)
		return deliver(x)
	})
}

// ScoreOptions are the condition of a score. The zero value is the label None.
type ScoreOptions struct {
	Labels   []int // as in SampleOptions
	Guidance float64
}

// Score is ∇ₓ log p_t(x), n×D, at n points x (n×D) and a time t, in data units: p_t is the density of α(t) x₀ + σ(t) z in the
// network's units, brought to data units. t is of the schedule, from Tmin to Tmax.
func (m *Model) Score(ctx context.Context, x []float64, t float64, o ScoreOptions) ([]float64, error) {
	ctx, done, err := m.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	n, err := m.count(x, o.Labels)
	if err != nil {
		return nil, err
	}
	if lo, hi := m.schedule.Tmin(), m.schedule.Tmax(); !(t >= lo && t <= hi) {
		return nil, fmt.Errorf("hbar: time %g; the schedule %s has times from %g to %g", t, m.schedule.Name(), lo, hi)
	}
	d := m.Dim()
	y, s := m.toNetwork(x), make([]float64, len(x))
	err = m.runs(n, o.Labels, o.Guidance, func(net *solver.Network, lo, hi int) error {
		return net.Score(ctx, s[lo*d:hi*d], y[lo*d:hi*d], []float64{t})
	})
	if err != nil {
		return nil, err
	}
	m.perUnit(s)
	return s, nil
}
