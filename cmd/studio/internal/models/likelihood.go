package models

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/model"
	"hbar/solver"
	"hbar/solver/likelihood"
)

// PointOptions say of which point, and how, to compute the likelihood.
type PointOptions struct {
	X     []float64 `json:"x"` // D numbers in data units; of images the pixels, row by row, channels last
	H     float64   `json:"h"`
	Class string    `json:"class"`
	Seed  uint64    `json:"seed"`
	// Of the path integral, h > 0: sampler em or exp, its grid and steps, and the number of paths.
	Sampler string `json:"sampler"`
	Grid    string `json:"grid"`
	Steps   int    `json:"steps"`
	Paths   int    `json:"paths"`
	// Of the flow, h = 0, of images: steps of the mesh, draws of the dequantisation and probes.
	FlowSteps int `json:"flow_steps"`
	Draws     int `json:"draws"`
	Probes    int `json:"probes"`
}

// PointLikelihood is log q^h at a point. What is not known is null.
type PointLikelihood struct {
	ID     string        `json:"id"`
	H      float64       `json:"h"`
	LogQ   loglik.Number `json:"log_q"`   // nats, in data units
	StdErr loglik.Number `json:"std_err"` // of log_q: over probes, draws or paths; 0 where the tolerance of the path is the error
	ESS    loglik.Number `json:"ess"`     // effective sample size of the path integral
	Status string        `json:"status"`  // "ok", or what failed
	Method string        `json:"method"`
	// Of images of bytes: bits per dimension, an upper bound in expectation, with its standard error and the part of the solver.
	Bits       loglik.Number `json:"bits_per_dim"`
	BitsErr    loglik.Number `json:"bits_per_dim_stderr"`
	BitsSolver loglik.Number `json:"bits_per_dim_solver"`
	Seconds    float64       `json:"seconds"`
	Command    string        `json:"command"` // with the point in point.npy
}

// pointTol is the tolerance of a path of the flow.
const pointTol = 1e-5

// derivativeTimes is how many times the memory of values a vector–Jacobian product takes.
const derivativeTimes = 4

// mostPathDims is the largest D in which the path integral is tried: its weights spread with D.
const mostPathDims = 16

func (o *PointOptions) check(c *Checkpoint) error {
	d := c.Model.D()
	if len(o.X) != d {
		return fmt.Errorf("the point has %d numbers; the network takes %d", len(o.X), d)
	}
	for _, v := range o.X {
		if math.IsNaN(v) || math.Abs(v) > 1e12 {
			return fmt.Errorf("the point has the number %g", v)
		}
	}
	switch {
	case !(o.H >= 0) || o.H > 1e6:
		return fmt.Errorf("h = %g; want 0 or more", o.H)
	case o.H > 0 && d > mostPathDims:
		return fmt.Errorf("h = %g: the path integral is tried in at most %d dimensions, and the network has %d; take h = 0", o.H, mostPathDims, d)
	case o.H > 0 && (o.Steps < 1 || o.Steps > mostSteps || o.Paths < 2 || o.Paths > 100_000):
		return fmt.Errorf("%d steps and %d paths; want 1 to %d and 2 to 100000", o.Steps, o.Paths, mostSteps)
	case o.Draws < 0 || o.Draws > 64 || o.Probes < 0 || o.Probes > 64: // memory is reserved by them
		return fmt.Errorf("%d draws and %d probes; want at most 64 of each", o.Draws, o.Probes)
	case o.H == 0 && c.bytes() && (o.FlowSteps < 2 || o.FlowSteps > 1000 || o.FlowSteps%2 != 0 || o.Draws < 1 || o.Probes < 1):
		return fmt.Errorf("%d steps, %d draws and %d probes; want an even number up to 1000, 1 to 64 and 1 to 64", o.FlowSteps, o.Draws, o.Probes)
	}
	return nil
}

// Likelihood is log q^h at a point.
func (c *Checkpoint) Likelihood(ctx context.Context, o PointOptions, progress func(done, total int)) (*PointLikelihood, error) {
	if err := o.check(c); err != nil {
		return nil, err
	}
	if o.Class == model.ClassAll {
		o.Class = model.ClassNone
	}
	net, done, err := c.under(o.Class, false, 0)
	if err != nil {
		return nil, err
	}
	defer done()
	release, err := c.take(net, o.Draws*o.Probes, len(o.X), derivativeTimes)
	if err != nil {
		return nil, err
	}
	defer release()
	began := time.Now()
	nan := loglik.Number(math.NaN())
	p := &PointLikelihood{ID: c.ID, H: o.H, LogQ: nan, StdErr: nan, ESS: nan, Bits: nan, BitsErr: nan, BitsSolver: nan}
	switch {
	case o.H == 0 && c.bytes():
		err = c.bits(ctx, net, o, p, progress)
	default:
		err = c.nats(ctx, net, o, p, progress)
	}
	p.Seconds = time.Since(began).Seconds()
	p.Command = pointCommand(c, o)
	return p, err
}

// nats is log q^h of numbers, by the flow or the path integral.
func (c *Checkpoint) nats(ctx context.Context, net *loglik.Network, o PointOptions, p *PointLikelihood, progress func(done, total int)) error {
	d := c.Model.D()
	z := make([]float64, d)
	net.Norm.Apply(z, o.X, d)
	s := loglik.Options{Methods: []loglik.Method{loglik.Flow}, H: []float64{o.H}, Seed: o.Seed, Tol: pointTol, Divergence: loglik.AutoDivergence(d), Probes: 16}
	if progress != nil {
		s.Progress = func(_ string, done, total int) { progress(done, total) }
	}
	if o.H > 0 {
		sampler, err := solver.ParseSampler(o.Sampler)
		if err != nil {
			return err
		}
		grid, err := solver.ParseGrid(o.Grid)
		if err != nil {
			return err
		}
		s.Methods = []loglik.Method{loglik.PathIntegral}
		s.Path = likelihood.PathOptions{Sampler: sampler, Grid: grid, Steps: o.Steps, Paths: o.Paths}
	}
	r, err := loglik.Run(ctx, net.Models(), z, s)
	if err != nil {
		return err
	}
	v := loglik.Value{}
	p.Method = string(s.Methods[0])
	if o.H > 0 {
		v = r.Path[0][0]
	} else {
		v = r.Flow[0]
	}
	p.Status, p.LogQ, p.StdErr, p.ESS = v.Status, loglik.Number(v.LogQ+net.Norm.LogDet(d)), loglik.Number(v.Err), loglik.Number(v.ESS)
	return nil
}

// bits is log q⁰ of an image of bytes, with uniform dequantisation.
func (c *Checkpoint) bits(ctx context.Context, net *loglik.Network, o PointOptions, p *PointLikelihood, progress func(done, total int)) error {
	for i, v := range o.X {
		if v != math.Trunc(v) || v < 0 || v > 255 {
			return fmt.Errorf("number %d of the image is %g; the network takes bytes, 0 to 255", i, v)
		}
	}
	d := c.Model.D()
	s := loglik.Options{Seed: o.Seed, Divergence: likelihood.Rademacher, Probes: o.Probes}
	if progress != nil {
		s.Progress = func(_ string, done, total int) { progress(done, total) }
	}
	points := &loglik.Points{D: d, X: o.X, Norm: net.Norm, Shape: c.Shape, Bytes: true}
	b := loglik.BitsOptions{Dequantise: loglik.DequantiseUniform, Draws: o.Draws, Steps: o.FlowSteps}
	if k := net.Config().Classes(); k > 0 {
		label := k // none
		if o.Class != "" && o.Class != model.ClassNone {
			label, _ = strconv.Atoi(o.Class) // under has checked it
		}
		b.Labels = []int{label}
	}
	r, err := net.Flow(ctx, points, s, b)
	if err != nil {
		return err
	}
	q := r.Points[0]
	p.Method, p.Status = "flow, dequantised", q.Status
	p.LogQ, p.StdErr = loglik.Number(q.LogQ+net.Norm.LogDet(d)), loglik.Number(q.Err)
	p.Bits, p.BitsErr, p.BitsSolver = loglik.Number(q.PerDim), loglik.Number(q.BitsErr), loglik.Number(math.Abs(q.Halving))
	return nil
}
