package likelihoodcmd

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/model"
	"hbar/cmd/internal/shard"
	"hbar/cmd/internal/ui"
	"hbar/solver"
	"hbar/solver/likelihood"
)

// options are all settings of the command.
type options struct {
	model.Flags
	loglik.Accuracy

	loglik.Source
	N     int
	First uint64
	// Generated is the number of points of the chain's own that take the place of data.
	Generated int

	// Strengths are those of --h: H if they are constants, or one profile, for which H holds NaN.
	Strengths []solver.Strength
	H         []float64
	Method    string

	Order      int
	Divergence string
	Probes     int

	bitsOptions

	Steps      int
	Sampler    string
	Grid       string
	Richardson bool
	Bootstrap  int
	MinESS     float64
	ownOptions

	Out   string
	CSV   string
	Plot  string
	Image string

	given func(name string) bool // whether an option was named
	shard shard.Flags
	part  part // what a shard's manifest takes from the command line
}

func defaults() options {
	return options{Flags: model.Flags{Precision: loglik.DefaultPrecision}, N: 0, Strengths: []solver.Strength{solver.Constant(0), solver.Constant(0.05), solver.Constant(0.1), solver.Constant(1)}, Method: "flow", Order: 2, Divergence: "auto", Probes: 16, bitsOptions: bitsOptions{Dequantise: string(loglik.DequantiseNone), Draws: 1},
		Accuracy: loglik.DefaultAccuracy(1000), Steps: solver.DefaultSteps, Sampler: "em", Grid: "lambda", ownOptions: ownOptions{OwnScore: ownOff, OwnPaths: 2000}, Out: "likelihood.json"}
}

// defaultN is the number of points of a built-in set.
const defaultN = 1000

// define makes the flags, with o as their defaults.
func define(o *options) *flags.Set {
	s := flags.New("likelihood", "Computes log q^h at data points: the density that the reverse process "+
		"dx = [a x − ((1+h)/2) g² s] dt + √h g dw really has at Tmin, for a network's score s and any h ≥ 0.")
	o.DefineModel(s.Group("Model"))

	g := s.Group("Points")
	o.Source.Define(g, "a built-in set or a file (.npy, a table such as .csv, .idx) in data units; default: the checkpoint's training set. Built-in sets are drawn anew, not the training points, where they can be")
	g.Int(&o.N, "n", "POINTS", flags.Between(0, 100_000_000), "how many; 0 means all of a file, 1000 of a built-in set")
	g.Uint64(&o.First, "first", "NUMBER", "the first point")
	g.Int(&o.Generated, "generated", "N", flags.Between(0, 100_000_000), "points that the chain makes, in place of data: samples FIRST and on of the chain of --sampler, --grid and --steps at one h > 0. Each keeps its path, so that log q has an upper bound")
	g.Uint64(&o.Seed, "seed", "SEED", "of the points of a built-in set, of probes and paths")

	g = s.Group("Methods")
	g.Strengths(&o.Strengths, "h", "strengths of the noise; for --method flow the default is 0. Of a profile, one alone, with h above 0 at all knots, the path integral and its bounds are computed")
	g.String(&o.Method, "method", "flow|wkb|pathintegral|fokkerplanck|all",
		"flow: h = 0 by the probability-flow ODE. wkb: expansion log q⁰ + h ℓ₁ + h² ℓ₂. pathintegral: h > 0, the chain that cmd/sample runs, any D. fokkerplanck: h > 0 on a grid, D ≤ 2. all: those that work in this D, and what an --h above 0 means without --method; or several, comma-separated")

	g = s.Group("Flow and WKB")
	o.DefineFlow(g)
	g.Int(&o.Order, "order", "ORDER", flags.Between(1, 2), "of the expansion; 2 for D ≤ 2, at three times the cost of 1")
	g.Choice(&o.Divergence, "divergence", []string{"auto", "exact", "rademacher", "normal"}, "∇·s exactly or by Hutchinson's estimator; auto: exact up to D = 128")
	g.Int(&o.Probes, "probes", "K", flags.Between(1, 1_000_000), "of Hutchinson's estimator, and of ℓ₁ where D > 3")

	o.bitsOptions.define(s)

	g = s.Group("Path integral")
	o.DefinePaths(g, 1, "for each point and h; 1 gives the usual variational bound")
	g.Int(&o.Steps, "steps", "STEPS", flags.Between(1, 10_000_000), "of the chain, from Tmax to Tmin")
	g.Choice(&o.Sampler, "sampler", []string{"em", "exp"}, "Euler–Maruyama or exponential integrator")
	g.Choice(&o.Grid, "grid", solver.GridNames(), "steps uniform in the time, in λ = log(α/σ), or as in Karras 2022")
	g.Bool(&o.Richardson, "richardson", "extrapolate to infinitely many steps, from STEPS/2 and STEPS")
	g.Int(&o.Bootstrap, "bootstrap", "B", flags.Between(0, 1_000_000), "standard errors from that many resamples; 0: by the delta method")
	g.Float(&o.MinESS, "min-ess", "ESS", flags.NonNegative, "of a value: points with less are flagged and have none. 0: a twentieth of the paths, at least 10 (or half of the paths, if that is less), and where it is less the lower bound is presented in place of a value")
	o.ownOptions.define(g)

	o.DefineGrid(s.Group("Fokker–Planck"))

	g = s.Group("Output")
	g.String(&o.Out, "out", "FILE", "options, versions, summaries and points, as .json; or the points alone as a table, .csv")
	g.Bool(&o.Resume, "resume", "go on with a run that was stopped, from OUT.part, to the same bits; the same command does so by itself, with --resume it is an error if there is nothing to go on with")
	g.String(&o.CSV, "csv", "FILE.csv", "the points as a table")
	g.String(&o.Plot, "plot", "FILE.png", "mean NLL against h, bands ± 1.96 standard errors")
	g.String(&o.Image, "image", "FILE.png", "the densities of fokkerplanck")

	loglik.DefineRun(&o.Flags, s.Group("Run"))

	o.shard.Define(s, "points")

	s.Note("Log densities are in nats, of the coordinates that the network sees; log_det in the result is what to add for data units, and the table that is printed has the NLL in both. " +
		"Each point has: x (data units); log_q0, score_q0 = ∇log q⁰ and laplacian_q0 = Δlog q⁰; wkb1 = ℓ₁ and wkb2 = ℓ₂; then, as lists over h, log_q with its stderr and ess, and its kind: value, estimate or bound; lower and upper, the bounds of the path integral on log q of the chain, with lower_stderr and upper_stderr; status, \"ok\" or what failed. " +
		"What was not computed or is not to be trusted is null. lower is the log of the mean weight of the paths, upper that with the path that made the point among them, so of --generated points only; " +
		"both hold in expectation, and the summary's enclosed has their means. Where the effective sample size is too small for a value, log_q is lower and its kind is bound.")
	s.Note("log_q is the value of the method asked for (of wkb, log q⁰ + h ℓ₁); at h = 0 of the flow, for pathintegral and fokkerplanck too. Of several methods it is the path integral's at h > 0, " +
		"else fokkerplanck's, else the first-order expansion's; log_q_method lists which. Each method that ran also has a list of its own: log_q_wkb1, log_q_wkb2, log_q_pathintegral with stderr_pathintegral, log_q_fokkerplanck with error_fokkerplanck. " +
		"stderr is a Monte Carlo error, for fokkerplanck that of the discretisation.")
	s.Note("With --bits the result and each point have bits_per_dim = −log₂ of the density in data units, a dimension, averaged over draws and points; kind is value, estimate (by probes) or bound (by dequantisation). " +
		"bits_per_dim_tight takes the logarithm of the mean over draws; it is null unless the divergence is exact, since noise of probes in the exponent would break the bound. " +
		"bits_per_dim_stderr is that of all together, and bits_per_dim_shares its parts: images, dequantisation, probes, solver; their squares add up, and a part that draws and probes do not tell from another is null. " +
		"log_q is then the mean over draws. Points of more than 256 dimensions are not repeated in x.")
	s.Example("go run ./cmd/likelihood --checkpoint mnist-unet/ --data test.npz --n 100 --bits --dequantise uniform --draws 4", "bits per dimension of images, as score_sde computes them")
	s.Example("go run ./cmd/likelihood --checkpoint mnist-unet/ --generated 20 --h 1 --steps 200 --paths 32 --bits", "how far the lower and the upper bound are apart, on samples of the network itself")
	s.Example("go run ./cmd/likelihood --checkpoint runs/swissroll-simple/model.safetensors --method wkb --h 0,0.01,0.05 --plot nll.png", "1000 fresh points of the training distribution: NLL, and its slope in h")
	s.Example("go run ./cmd/likelihood --checkpoint model.safetensors --data points.npy --method fokkerplanck --h 0,0.05,0.1,0.5,1 --csv q.csv", "the truth in one or two dimensions")
	s.Example("go run ./cmd/likelihood --checkpoint model.safetensors --data swissroll --n 100 --method all --paths 300 --steps 500 --richardson", "all methods beside each other")
	return s
}

// parse reads the command line and checks what flags cannot.
func parse(args []string, help io.Writer) (options, error) {
	o := defaults()
	set := define(&o)
	if err := set.Parse(args, help); err != nil {
		return o, err
	}
	if err := o.Check(); err != nil {
		return o, err
	}
	o.given = set.Given
	if err := o.divide(set); err != nil {
		return o, err
	}
	if err := o.split(); err != nil {
		return o, err
	}
	positive := slices.IndexFunc(o.H, func(h float64) bool { return h > 0 })
	switch {
	case set.Given("method"):
	case o.profile() != "":
		o.Method = string(loglik.PathIntegral)
	case o.Generated > 0:
		o.Method = string(loglik.PathIntegral)
	case set.Given("h") && positive >= 0 && (o.Bits || o.dequantise() != loglik.DequantiseNone):
		o.Method = string(loglik.Flow) + "," + string(loglik.PathIntegral)
	case set.Given("h") && positive >= 0:
		o.Method = "all"
	}
	if o.profile() != "" && (o.Method != string(loglik.PathIntegral) || o.Plot != "" || o.Against != "") {
		return o, ui.Usagef("--h %s is a profile: --method pathintegral has its likelihood, no other method, and neither --plot nor --against", o.profile())
	}
	if o.Method == string(loglik.Flow) {
		if !set.Given("h") {
			o.H, o.Strengths = []float64{0}, []solver.Strength{{}}
		} else if positive >= 0 {
			return o, ui.Usagef("--method flow gives h = 0 only; for h = %g use wkb, pathintegral, fokkerplanck or all", o.H[positive])
		}
	}
	for i, h := range o.H {
		if slices.Contains(o.H[:i], h) {
			return o, ui.Usagef("--h names %g twice", h)
		}
	}
	if err := o.checkBits(set.Given); err != nil {
		return o, err
	}
	if err := o.checkGenerated(set.Given); err != nil {
		return o, err
	}
	if err := o.checkOwn(set.Given); err != nil {
		return o, err
	}
	if o.Richardson && o.Steps%2 != 0 {
		return o, ui.Usagef("--richardson halves the steps: --steps %d should be even", o.Steps)
	}
	if o.Out == "" {
		return o, ui.Usagef("--out is empty; name the file to write")
	}
	outputs := []flags.File{{Name: "out", Path: o.Out, Endings: []string{".json", ".csv"}}, {Name: "csv", Path: o.CSV}, {Name: "plot", Path: o.Plot, Picture: true}, {Name: "image", Path: o.Image, Picture: true}}
	return o, flags.CheckOutputs(outputs, []flags.File{{Name: "checkpoint", Path: o.Checkpoint}, {Name: "data", Path: o.Data}, {Name: "against", Path: o.Against}})
}

// split takes H from the strengths.
func (o *options) split() error {
	o.H = nil
	for _, s := range o.Strengths {
		h, constant := s.IsConstant()
		switch {
		case !constant && len(o.Strengths) > 1:
			return ui.Usagef("--h: the profile %v stands alone here; run the others by themselves, with the same --seed", s)
		case !constant && !(s.Least() > 0):
			return ui.Usagef("--h %v: the path integral needs noise all along the way; every knot's h must be above 0", s)
		case !constant:
			h = math.NaN()
		}
		o.H = append(o.H, h)
	}
	return nil
}

// profile is the strength as text, if it varies along the way.
func (o *options) profile() string {
	if len(o.H) == 1 && math.IsNaN(o.H[0]) {
		return o.Strengths[0].String()
	}
	return ""
}

// checkGenerated refuses what generated points do not go with.
func (o *options) checkGenerated(given func(name string) bool) error {
	if o.Generated == 0 {
		return nil
	}
	var positive []float64
	for _, h := range o.H {
		if h != 0 { // NaN stands for a profile
			positive = append(positive, h)
		}
	}
	switch {
	case !given("h") || len(positive) != 1:
		return ui.Usagef("--generated draws points of the chain at one h > 0, and --h has %d of them; name one, such as --h 1", len(positive))
	case given("data") || given("n"):
		return ui.Usagef("--generated %d makes the points; leave --data and --n out", o.Generated)
	case o.dequantise() != loglik.DequantiseNone:
		return ui.Usagef("--generated points are continuous; leave --dequantise out")
	case o.Richardson:
		return ui.Usagef("--generated points are those of one chain; leave --richardson out")
	}
	return nil
}

// settings are what loglik.Run takes, for a network of d dimensions.
func (o options) settings(d int, s solver.Schedule) (loglik.Options, error) {
	out := loglik.Options{H: o.H, Seed: o.Seed, Tol: o.Tol, Order: o.Order, Probes: o.Probes, Velocities: o.Velocities, Extrapolate: o.Richardson, PresentBounds: o.MinESS == 0}
	var err error
	if out.Methods, err = loglik.Parse(o.Method, d); err != nil {
		return out, ui.UsageError{Err: fmt.Errorf("--method: %w", err)}
	}
	if slices.Contains(o.H, 0) && !slices.Contains(out.Methods, loglik.Flow) && !slices.Contains(out.Methods, loglik.WKB) {
		out.Methods = append([]loglik.Method{loglik.Flow}, out.Methods...)
	}
	if d > 2 {
		out.Order = 1
	}
	if out.Divergence, err = divergence(o.Divergence, d); err != nil {
		return out, err
	}
	out.Path = likelihood.PathOptions{Steps: o.Steps, Paths: o.Paths, Bootstrap: o.Bootstrap, MinESS: o.MinESS}
	if o.profile() != "" {
		out.Path.Profile = o.Strengths[0]
	}
	if out.Path.Sampler, err = solver.ParseSampler(o.Sampler); err != nil {
		return out, err
	}
	if out.Path.Grid, err = solver.ParseGrid(o.Grid); err != nil {
		return out, err
	}
	out.Grid = o.Accuracy.Grid(d, o.Workers)
	if err := out.ForSchedule(s, strings.Contains(o.Method, "all"), o.given("sampler")); err != nil {
		return out, ui.UsageError{Err: err}
	}
	return out, nil
}

func divergence(name string, d int) (likelihood.Probe, error) {
	if name == "auto" {
		return loglik.AutoDivergence(d), nil
	}
	return likelihood.ParseProbe(name)
}

// primary says which method log_q is at h.
func primary(methods []loglik.Method, h float64) loglik.Method {
	for _, m := range []loglik.Method{loglik.Flow, loglik.PathIntegral, loglik.FokkerPlanck, loglik.WKB} {
		if slices.Contains(methods, m) && m.Has(h) {
			return m
		}
	}
	return "" // flow alone, which parse allows at h = 0 only
}

// record is the options as the result repeats them.
func (o options) record() map[string]any {
	return map[string]any{"checkpoint": o.Checkpoint, "schedule": o.Schedule, "act": o.Act, "prediction": o.Prediction, "data": o.Data, "columns": o.Columns, "header": o.Header, "n": o.N, "generated": o.Generated, "first": o.First, "seed": o.Seed,
		"h": o.Strengths, "method": o.Method, "tol": o.Tol, "velocities": o.Velocities, "order": o.Order, "divergence": o.Divergence, "probes": o.Probes,
		"bits": o.Bits, "dequantise": o.Dequantise, "draws": o.Draws, "flow_steps": o.FlowSteps, "slope_steps": o.SlopeSteps, "class": o.Class, "against": o.Against,
		"paths": o.Paths, "steps": o.Steps, "sampler": o.Sampler, "grid": o.Grid, "richardson": o.Richardson, "bootstrap": o.Bootstrap,
		"min_ess": o.MinESS, "own_score": o.OwnScore, "own_paths": o.OwnPaths, "cells": o.Cells, "grid_tol": o.GridTol, "out": o.Out, "csv": o.CSV, "plot": o.Plot, "image": o.Image,
		"device": o.Device.String(), "precision": o.Precision, "workers": o.Workers}
}

// finite reports whether v is a number.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
