package samplecmd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"hbar/classify"
	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/model"
	"hbar/cmd/internal/shard"
	"hbar/cmd/internal/ui"
	"hbar/data/npz"
	"hbar/solver"
	"hbar/solver/guidance"
)

// guides are the values of --guide.
var guides = []string{"plugin", "exact", "pseudo", "none"}

// mostForms is the largest number of squares that --guide exact takes a derivative for at each step.
const mostForms = 256

// tilt is the options of samples tilted by a reward.
type tilt struct {
	reward, guide, weights string
	class                  int     // of a classifier as the reward
	factor                 float64 // of its log probability
}

func (t *tilt) define(g *flags.Group) {
	t.guide, t.class, t.factor = "plugin", -1, 1
	g.String(&t.reward, "reward", "EXPR|FILE", "sample the data's density times e^r, for r of coordinates in data units: a sum of terms like \"2*x0 - 0.5*(x1-3)^2\"; or a file with A, W, C (D numbers each) of Σ A x − ½ W (x − C)², or with known (D numbers, NaN where unknown) and noise, its standard deviation; or with forms (k × D), values (k) and noise of linear forms that were measured; or a classifier.safetensors of cmd/classify, for the log probability of --reward-class")
	g.Int(&t.class, "reward-class", "K", flags.Between(-1, 1<<20), "the class that a classifier as --reward rewards, by its number")
	g.Float(&t.factor, "reward-factor", "S", flags.NonNegative, "of a classifier's log probability: above 1 asks for clearer cases")
	g.Choice(&t.guide, "guide", guides, "plugin: the score is guided by the reward's gradient at the denoised sample, which is biased. exact: in closed form for a Gaussian posterior with the covariance that the network gives, exact for Gaussian data, at a derivative for each square of the reward. pseudo: the same with a covariance that is one number, which images can afford. none: samples of the model, weighed by e^r. The weights take the bias off")
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
	h, constant := o.h.IsConstant()
	switch {
	case t.classifier() && t.class < 0:
		return ui.Usagef("--reward %s is a classifier; name the class to reward with --reward-class K", t.reward)
	case !t.classifier() && (set.Given("reward-class") || set.Given("reward-factor")):
		return ui.Usagef("--reward-class and --reward-factor belong to a classifier, --reward FILE.safetensors")
	case t.classifier() && (t.guide == "exact" || t.guide == "pseudo"):
		return ui.Usagef("--guide %s is for quadratic rewards; a classifier has plugin and none", t.guide)
	case !constant:
		return ui.Usagef("--reward weighs paths of a constant strength; --h %v varies", o.h)
	case !(h > 0):
		return ui.Usagef("--reward weighs paths, which takes noise: --h %g should be above 0, and 1 spreads the weights least", h)
	case o.sampler != "em" && o.sampler != "exp" || o.lastNoise != "full" || o.denoise || len(o.trajectory) > 0 || o.reference:
		return ui.Usagef("--reward weighs steps of --sampler em or exp with full noise: leave --last-noise, --denoise, --trajectory and --reference out")
	case o.guidance > 0 || o.class == model.ClassAll:
		return ui.Usagef("--reward takes samples of one class: name it with --class, or none, and leave --guidance out")
	}
	return nil
}

// loadReward reads the reward, of a shard with the hash of its file.
func (o options) loadReward(m *model.Model) (tilted, error) {
	if !o.rewardFile() {
		return o.tilt.load(m)
	}
	return shard.Input(o.shard.Inputs, o.tilt.reward, shard.Hash, func() (tilted, error) { return o.tilt.load(m) })
}

// load reads the reward and takes it to the network's coordinates.
func (t *tilt) load(m *model.Model) (tilted, error) {
	d := m.D()
	if t.classifier() {
		c, err := classify.Load(t.reward)
		if err != nil {
			return nil, fmt.Errorf("--reward: %w", err)
		}
		r, err := c.NewReward(t.class, t.factor, m.Norm, m.SampleShape())
		if err != nil {
			return nil, fmt.Errorf("--reward %s: %w", t.reward, err)
		}
		return r, r.Validate(d)
	}
	var q tilted
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
	at, scale := func(i int) float64 { return mean[i] }, func(i int) float64 { return end[i] - mean[i] }
	switch r := q.(type) {
	case *guidance.Quadratic:
		q = r.Scaled(at, scale)
	case *guidance.Forms:
		q = r.Scaled(at, scale)
	}
	return q, q.Validate(d)
}

// classifier reports whether the reward is one.
func (t *tilt) classifier() bool { return strings.EqualFold(filepath.Ext(t.reward), ".safetensors") }

// tilted is a reward that was read.
type tilted interface {
	guidance.Reward
	Validate(d int) error
}

// guided is the model under the reward.
func (t *tilt) guided(m *model.Model, r tilted) (solver.Model, error) {
	if t.guide == "none" {
		return m.Net, nil
	}
	if t.guide == "plugin" {
		return &guidance.PlugIn{Model: m.Net, Schedule: m.Schedule, Reward: r, MinLambda: guidance.DefaultMinLambda}, nil
	}
	f, ok := r.(*guidance.Forms)
	if !ok {
		var err error
		if f, err = guidance.FormsOf(r.(*guidance.Quadratic)); err != nil {
			return nil, fmt.Errorf("--guide %s: %w", t.guide, err)
		}
	}
	p := &guidance.Posterior{Model: m.Net, Schedule: m.Schedule, Reward: f, MinLambda: guidance.DefaultMinLambda}
	if t.guide == "pseudo" {
		p.Var = 1 // of normalised data
		if m.Prediction.SigmaData > 0 {
			p.Var = m.Prediction.SigmaData * m.Prediction.SigmaData
		}
		return p, nil
	}
	if len(f.F) > mostForms {
		return nil, fmt.Errorf("--guide exact takes a derivative of the network for each of the reward's %d squares at each step; up to %d are reasonable, --guide pseudo takes any number", len(f.F), mostForms)
	}
	return p, nil
}

// readReward reads A, W and C, or known and noise.
func readReward(path string, d int) (tilted, error) {
	arrays, err := npz.Read(path)
	if err != nil {
		return nil, err
	}
	if forms := arrays["forms"]; forms != nil {
		return readForms(path, d, arrays)
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
		return nil, fmt.Errorf("%s has arrays %s; want A, W, C, or known and noise, or forms, values and noise", path, strings.Join(npz.Names(arrays), ", "))
	}
	return q, q.Validate(d)
}

// readForms reads forms, values and noise.
func readForms(path string, d int, arrays map[string]*npz.Array) (tilted, error) {
	forms, values, noise := arrays["forms"], arrays["values"], arrays["noise"]
	if len(forms.X) == 0 || len(forms.X)%d != 0 {
		return nil, fmt.Errorf("%s: forms has %d numbers; want k × %d", path, len(forms.X), d)
	}
	k := len(forms.X) / d
	if values == nil || len(values.X) != k || noise == nil || len(noise.X) != 1 && len(noise.X) != k {
		return nil, fmt.Errorf("%s: %d forms need values, as many numbers, and noise, one or as many standard deviations", path, k)
	}
	f := &guidance.Forms{A: make([]float64, d), C: values.X}
	for j := range k {
		s := noise.X[j%len(noise.X)]
		if !(s > 0) {
			return nil, fmt.Errorf("%s: noise is %g; want a standard deviation above 0", path, s)
		}
		f.F, f.W = append(f.F, forms.X[j*d:(j+1)*d]), append(f.W, 1/(s*s))
	}
	return f, f.Validate(d)
}

// runTilted draws the samples, hands them to out, and reports what the weights are worth.
func (o options) runTilted(ctx context.Context, io ui.Streams, m *model.Model, table solver.TableOptions, out *output) error {
	if b := solver.BlocksOf(m.Schedule); b != nil && table.Sampler != solver.Exponential {
		return fmt.Errorf("--reward under schedule %s weighs steps of --sampler exp, not of %s", b.Name(), o.sampler)
	}
	if classes := m.Config().Classes(); classes > 0 && o.class == "" {
		return fmt.Errorf("--reward takes samples of one class; name it with --class 0 … %d, or none if the network knows that", classes-1)
	}
	q, err := o.loadReward(m)
	if err != nil {
		return err
	}
	if r, ok := q.(*classify.Reward); ok {
		defer r.Close()
	}
	guided, err := o.tilt.guided(m, q)
	if err != nil {
		return err
	}
	bar := ui.NewProgress(io.Err, "samples", 0, int64(o.n), nil)
	begin := time.Now()
	res, err := guidance.Sample(ctx, m.Net, guided, m.Schedule, q, guidance.Options{N: o.n, H: table.H, Steps: o.steps, Grid: table.Grid, Sampler: table.Sampler, Seed: o.seed, First: o.first, Chunk: o.batch,
		Progress: func(done int) { bar.Report(int64(done)) }})
	bar.Done()
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w; nothing is written", ui.ErrInterrupted)
	}
	if err != nil {
		return err
	}
	if r, ok := q.(*classify.Reward); ok && r.Err() != nil {
		return r.Err()
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
	if ess == 0 && !o.shard.Shard.Given() {
		err := errors.New("no sample has a weight: all paths overflow, or the reward is not finite on them")
		if range16 := o.range16(m); range16 != "" {
			err = fmt.Errorf("%w; %s", err, range16)
		}
		return err
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
