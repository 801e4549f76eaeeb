package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/model"
	"hbar/cmd/internal/ui"
	"hbar/data/npz"
	"hbar/solver"
	"hbar/solver/guidance"
)

// tilt is the options of samples tilted by a reward.
type tilt struct {
	reward, guide, weights string
}

func (t *tilt) define(g *flags.Group) {
	t.guide = "plugin"
	g.String(&t.reward, "reward", "EXPR|FILE.npz", "sample the data's density times e^r, for r of coordinates in data units: a sum of terms like \"2*x0 - 0.5*(x1-3)^2\"; or a file with A, W, C (D numbers each) of Σ A x − ½ W (x − C)², or with known (D numbers, NaN where unknown) and noise, its standard deviation")
	g.Choice(&t.guide, "guide", []string{"plugin", "none"}, "plugin: the score is guided by the reward's gradient at the denoised sample, which is biased; the weights take the bias off. none: samples of the model, weighed by e^r")
	g.Refuse("guide", "exact", "guidance in closed form needs data that are Gaussian, and a network's are not; have plugin, none")
	g.String(&t.weights, "weights", "FILE.npz", "log_weight and reward of each sample: expectations under the target are Σ w f/Σ w")
}

// check refuses what does not go with a reward.
func (t *tilt) check(o *options, set *flags.Set) error {
	if t.reward == "" {
		if set.Given("guide") || t.weights != "" {
			return ui.Usagef("--guide and --weights belong to --reward")
		}
		return nil
	}
	switch {
	case !(o.h > 0):
		return ui.Usagef("--reward weighs paths, which takes noise: --h %g should be above 0, and 1 spreads the weights least", o.h)
	case o.sampler != "em" || o.lastNoise != "full" || o.denoise || len(o.trajectory) > 0 || o.reference:
		return ui.Usagef("--reward runs Euler–Maruyama steps with full noise: leave --sampler, --last-noise, --denoise, --trajectory and --reference out")
	case o.guidance > 0 || o.class != "":
		return ui.Usagef("--reward takes networks without classes: leave --class and --guidance out")
	case t.guide != "plugin" && t.guide != "none":
		return ui.Usagef("--guide: have plugin, none")
	}
	return nil
}

// load reads the reward and takes it to the network's coordinates.
func (t *tilt) load(m *model.Model) (*guidance.Quadratic, error) {
	d := m.D()
	var q *guidance.Quadratic
	var err error
	if strings.EqualFold(filepath.Ext(t.reward), ".npz") {
		q, err = readReward(t.reward, d)
	} else {
		q, err = guidance.Parse(t.reward, d)
	}
	if err != nil {
		return nil, fmt.Errorf("--reward: %w", err)
	}
	mean, end := make([]float64, d), make([]float64, d)
	for i := range end {
		end[i] = 1
	}
	m.Norm.Invert(mean, mean, d)
	m.Norm.Invert(end, end, d)
	q = q.Scaled(func(i int) float64 { return mean[i] }, func(i int) float64 { return end[i] - mean[i] })
	return q, q.Validate(d)
}

// readReward reads A, W and C, or known and noise.
func readReward(path string, d int) (*guidance.Quadratic, error) {
	arrays, err := npz.Read(path)
	if err != nil {
		return nil, err
	}
	q := guidance.NewQuadratic(d)
	if known := arrays["known"]; known != nil {
		noise := arrays["noise"]
		if noise == nil || len(noise.X) != 1 || !(noise.X[0] > 0) || len(known.X) != d {
			return nil, fmt.Errorf("%s: known should have %d numbers and noise one above 0", path, d)
		}
		for i, v := range known.X {
			if v == v {
				q.W[i], q.C[i] = 1/(noise.X[0]*noise.X[0]), v
			}
		}
		return q, q.Validate(d)
	}
	found := false
	for name, to := range map[string]*[]float64{"A": &q.A, "W": &q.W, "C": &q.C} {
		if a := arrays[name]; a != nil {
			if len(a.X) != d {
				return nil, fmt.Errorf("%s: %s has %d numbers, the model %d coordinates", path, name, len(a.X), d)
			}
			*to, found = a.X, true
		}
	}
	if !found {
		return nil, fmt.Errorf("%s has arrays %s; want A, W, C, or known and noise", path, strings.Join(npz.Names(arrays), ", "))
	}
	return q, q.Validate(d)
}

// runTilted draws the samples, hands them to out, and reports what the weights are worth.
func (o options) runTilted(ctx context.Context, io ui.Streams, m *model.Model, table solver.TableOptions, out *output) error {
	if m.Config().Classes() > 0 {
		return fmt.Errorf("--reward takes networks without classes; this one has %d", m.Config().Classes())
	}
	q, err := o.tilt.load(m)
	if err != nil {
		return err
	}
	var plain solver.Model = m.Net
	guided := plain
	if o.tilt.guide == "plugin" {
		v, ok := plain.(solver.VJPer)
		if !ok {
			return errors.New("--guide plugin needs a network with adjoint derivatives")
		}
		guided = &guidance.PlugIn{Model: v, Schedule: m.Schedule, Reward: q, MinLambda: guidance.DefaultMinLambda}
	}
	bar := ui.NewProgress(io.Err, "samples", 0, int64(o.n), nil)
	begin := time.Now()
	res, err := guidance.Sample(ctx, plain, guided, m.Schedule, q, guidance.Options{N: o.n, H: o.h, Steps: o.steps, Grid: table.Grid, Seed: o.seed, First: o.first, Chunk: o.batch,
		Progress: func(done int) { bar.Report(int64(done)) }})
	bar.Done()
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w; nothing is written", ui.ErrInterrupted)
	}
	if err != nil {
		return err
	}
	d := m.D()
	reward := make([]float64, o.n)
	for i := range reward {
		reward[i] = q.Value(res.X[i*d : (i+1)*d])
	}
	if err := o.reportTilted(io, m, res, reward, time.Since(begin).Seconds()); err != nil {
		return err
	}
	if err := out.take(solver.Chunk{N: o.n, D: d, X: res.X}); err != nil {
		return err
	}
	if err := out.commit(nil); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "written   %s\n", o.out)
	if o.tilt.weights == "" {
		return nil
	}
	shape := []int{o.n}
	if err := npz.Write(o.tilt.weights, map[string]*npz.Array{"log_weight": {Shape: shape, X: res.LogWeight}, "reward": {Shape: shape, X: reward}}); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "written   %s\n", o.tilt.weights)
	return nil
}

// reportTilted says what is expected under the target, before out.take changes the samples to data units.
func (o options) reportTilted(io ui.Streams, m *model.Model, res *guidance.Result, reward []float64, seconds float64) error {
	d, n := m.D(), float64(o.n)
	x := append([]float64(nil), res.X...)
	m.Norm.Invert(x, x, d)
	_, ess := guidance.Expectation(res.LogWeight, reward)
	if ess == 0 {
		return errors.New("no sample has a weight: all paths overflow, or the reward is not finite on them")
	}
	fmt.Fprintf(io.Out, "weights   effective sample size %.0f of %s (%.1f %%), in %s\n", ess, ui.Count(int64(o.n)), 100*ess/n, ui.Span(time.Duration(seconds*1e9)))
	line := func(name string, f []float64) {
		raw := 0.0
		for _, v := range f {
			raw += v / n
		}
		e, _ := guidance.Expectation(res.LogWeight, f)
		fmt.Fprintf(io.Out, "%-9s weighted mean %.5g ± %.2g, of the samples as they are %.5g\n", name, e.Value, e.StdErr, raw)
	}
	line("reward", reward)
	for j := range min(d, 4) {
		f := make([]float64, o.n)
		for i := range f {
			f[i] = x[i*d+j]
		}
		line(fmt.Sprintf("x%d", j), f)
	}
	if ess < math.Max(50, 0.02*n) {
		fmt.Fprintf(io.Out, "warning   the effective sample size is small: weighted means and their errors are not to be trusted; take --h 1, more samples or a weaker reward\n")
	}
	return nil
}
