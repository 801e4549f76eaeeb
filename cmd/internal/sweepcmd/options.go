package sweepcmd

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
	"hbar/metrics"
	"hbar/solver"
	"hbar/solver/likelihood"
)

// options are all settings of the command.
type options struct {
	model.Flags
	loglik.Accuracy

	loglik.Source

	strengths []solver.Strength
	h         []float64 // the constants among them
	steps     []float64 // whole numbers

	sampler, grid, lastNoise string
	n, repeats               int
	metric                   string
	measures                 measures
	classifier               string
	groups                   int
	bands                    int
	class                    string
	guidance                 float64
	denoise                  bool

	method     string
	nllN       int
	confidence float64
	margin     float64

	out, csv, plot, plotNLL, sheet string

	given  func(name string) bool // whether an option was named
	shard  shard.Flags
	resume bool
	part   part // what a shard's manifest takes from the command line
}

// define makes the flags, with o as their defaults.
func define(o *options) *flags.Set {
	s := flags.New("sweep", "Finds the best strength h of a sampler's noise: distances between samples and data and likelihoods of data over a grid of h and steps, "+
		"with common random numbers, paired tests and a recommendation.")
	o.DefineModel(s.Group("Model"))

	g := s.Group("Data")
	o.Source.Define(g, "what samples are compared with: a built-in set (drawn anew where it can be) or a file (.npy, a table such as .csv, .idx) in data units; default: the checkpoint's training set")
	g.Uint64(&o.Seed, "seed", "SEED", "of data and all noise")

	g = s.Group("Sweep")
	g.Strengths(&o.strengths, "h", "strengths of the noise")
	g.List(&o.steps, "steps", "STEPS,…", flags.Between(1, 10_000_000), "numbers of steps from Tmax to Tmin")
	g.Int(&o.bands, "bands", "K", flags.Between(0, 16), "also look for a profile of K knots h@λ with the values of --h that beats the best constant at the same number of steps, by the first measure of --metric other than w2, else by w2; compared in pairs on noise that the search has not seen. Costs about K times the constants; 0: do not")
	g.Choice(&o.sampler, "sampler", solver.SamplerNames(), "Euler–Maruyama, exponential integrator, the same of second order, stochastic Heun")
	g.Choice(&o.grid, "grid", solver.GridNames(), "steps uniform in the time, in λ = log(α/σ), or as in Karras 2022")
	g.Bool(&o.denoise, "denoise", "end with the posterior mean E[x₀|x] of the last state, for one more evaluation: as images are drawn")
	g.String(&o.class, "class", "K|all|none", "for networks with classes: samples of a class by its number, of all at random (the default), by the shares of the data if they have labels, or of none")
	g.Float(&o.guidance, "guidance", "W", flags.NonNegative, "for networks with classes: the strength of guidance, for twice the cost")
	g.Choice(&o.lastNoise, "last-noise", solver.LastNoiseNames(), "the last step: full, as the others; mean, without its noise; none, a step at h = 0")

	g = s.Group("Measures")
	g.String(&o.metric, "metric", "auto|w2|sliced|fd[:FILE]|kd[:FILE]|nll,…", "w2: exact W2 in data units. sliced: sliced W2. fd, kd: Fréchet and kernel distance of a classifier's features, those of the data or of FILE, an .npz of features, or, for fd, of mu and sigma. nll: the likelihoods of --method, of profiles that by pathintegral, if h is above 0 at all knots. "+
		"auto: w2,nll; of images sliced,nll, and fd,kd if there is a classifier")
	g.String(&o.classifier, "classifier", "FILE", "what cmd/classify train wrote, for fd and kd")
	g.Int(&o.groups, "groups", "G", flags.Between(4, 10_000), "groups of samples that are left out in turn, for the errors of sliced, fd and kd")

	g = s.Group("Distances")
	g.Int(&o.n, "n", "POINTS", flags.Between(2, 100_000), "samples and data points in each distance; the cost of w2 and kd grows as its square")
	g.Int(&o.repeats, "repeats", "R", flags.Between(0, 100_000), "distances w2 for each h and steps, each with samples and data of its own; at least 4, or 0 for none")

	g = s.Group("Likelihoods")
	g.String(&o.method, "method", "auto|none|flow|wkb|pathintegral|fokkerplanck|all", "methods of cmd/likelihood, comma-separated; auto: flow at h = 0 and fokkerplanck beyond (pathintegral if D > 2)")
	g.Int(&o.nllN, "nll-n", "POINTS", flags.Between(2, 100_000_000), "data points")
	o.DefinePaths(g, 2, "of the path integral, for each point, h and steps (samplers em and exp)")
	o.DefineFlow(g)
	o.DefineGrid(g)

	g = s.Group("Recommendation")
	g.Float(&o.confidence, "confidence", "LEVEL", flags.Range{Min: 0.5, Max: 1, OpenMin: true, OpenMax: true}, "with which none of the h called worse is the best")
	g.Float(&o.margin, "margin", "BITS", flags.NonNegative, "differences of the NLL up to so many bits per dimension do not count: the default is half of the last digit that such figures are given with; 0 counts every difference")

	g = s.Group("Output")
	g.String(&o.out, "out", "FILE", "everything, as .json: distances, likelihoods, tests, recommendations; or one line for each h and steps as a table, .csv")
	g.String(&o.csv, "csv", "FILE.csv", "one line for each h and steps")
	g.String(&o.plot, "plot", "FILE.png", "W2² against h, bands ± 1.96 standard errors")
	g.String(&o.sheet, "sheet", "FILE.png", "images of each h and steps on one noise, a row each")
	g.String(&o.plotNLL, "plot-nll", "FILE.png", "NLL against h, less that at h = 0 if that is among them")

	g = s.Group("Run")
	loglik.DefineRun(&o.Flags, g)
	g.Bool(&o.resume, "resume", "with --shard: go on with a shard that was stopped, from the .part beside its file, to the same bits; the same command does so by itself, with --resume it is an error if there is nothing to go on with")

	o.shard.Define(s, "cells and points")

	s.Note("How the recommendation is made, for each number of steps and each measure: all pairs of h are compared by paired t tests on the same data and noise (over repeats for W2², over points for the NLL), " +
		"with P values adjusted for their number by Holm's method; for the NLL, of a difference beyond --margin, because with thousands of points the tests see differences that nobody would choose by. An h is worse if it loses significantly to any other. The best h is the one with the smallest mean; " +
		"its confidence interval spans those that are not worse. If none is worse there is no significant difference.")
	s.Note("W2 is the exact 2-Wasserstein distance in data units, or in the network's coordinates where the columns of the data are of different size; the published code of arXiv:2403.11262 prints its square. Both exceed the distance of the distributions by about the floor, " +
		"which is what data score against data.")
	s.Example("go run ./cmd/sweep --checkpoint runs/swissroll-simple/model.safetensors --plot w2.png --plot-nll nll.png", "the sampler of the paper, 1000 steps")
	s.Example("go run ./cmd/sweep --checkpoint model.safetensors --h 0,0.2,1 --steps 20,50,200 --sampler exp2 --method none", "few steps: distances alone")
	s.Example("go run ./cmd/sweep --checkpoint model.safetensors --data test.npy --method flow,pathintegral --nll-n 500 --paths 100", "any dimension")
	return s
}

func constants(h ...float64) []solver.Strength {
	out := make([]solver.Strength, len(h))
	for i, v := range h {
		out[i] = solver.Constant(v)
	}
	return out
}

// split refuses a strength that is there twice, and sorts: constants from small to large, then the profiles.
func (o *options) split() error {
	var profiles []solver.Strength
	for i, s := range o.strengths {
		if slices.Contains(o.strengths[:i], s) {
			return ui.Usagef("--h names %v twice", s)
		}
		if h, ok := s.IsConstant(); ok {
			o.h = append(o.h, h)
		} else {
			profiles = append(profiles, s)
		}
	}
	slices.Sort(o.h)
	o.strengths = append(constants(o.h...), profiles...)
	return nil
}

// parse reads the command line and checks what flags cannot.
func parse(args []string, help io.Writer) (options, error) {
	o := options{Flags: model.Flags{Precision: loglik.DefaultPrecision}, strengths: constants(0, 0.05, 0.1, 0.2, 0.5, 1), steps: []float64{solver.DefaultSteps}, sampler: "em", grid: "lambda", lastNoise: "full",
		n: 2000, repeats: 10, method: "auto", nllN: 2000, Accuracy: loglik.DefaultAccuracy(100), confidence: 0.95, margin: 0.005, metric: "auto", groups: metrics.DefaultGroups, out: "sweep.json"}
	set := define(&o)
	if err := set.Parse(args, help); err != nil {
		return o, err
	}
	o.given = set.Given
	if err := o.divide(set); err != nil {
		return o, err
	}
	if err := o.Check(); err != nil {
		return o, err
	}
	for i, v := range o.steps {
		if slices.Contains(o.steps[:i], v) {
			return o, ui.Usagef("--steps names %g twice", v)
		}
	}
	if err := o.split(); err != nil {
		return o, err
	}
	for _, v := range o.steps {
		if v != math.Trunc(v) {
			return o, ui.Usagef("--steps: %g is not a whole number", v)
		}
	}
	slices.Sort(o.steps)
	if o.metric != "auto" {
		var err error
		if o.measures, err = parseMeasures(o.metric); err != nil {
			return o, err
		}
	}
	switch {
	case o.repeats > 0 && o.repeats < 4:
		return o, ui.Usagef("--repeats %d is too few for a test; want at least 4, or 0", o.repeats)
	case o.repeats == 0 && o.method == "none":
		return o, ui.Usagef("--repeats 0 and --method none leave nothing to measure")
	case o.bands > 0 && len(o.h) < 2:
		return o, ui.Usagef("--bands takes the values of its knots from --h, which has %d constants; want two or more", len(o.h))
	case o.bands > 0 && o.metric == metricNLL:
		return o, ui.Usagef("--bands goes by a measure of samples, and --metric nll is none")
	case o.out == "":
		return o, ui.Usagef("--out is empty; name the file to write")
	case o.plot != "" && (o.repeats == 0 || len(o.h) == 0):
		return o, ui.Usagef("--plot shows W2 against constant h, and there are none")
	case o.plotNLL != "" && o.method == "none":
		return o, ui.Usagef("--plot-nll shows likelihoods, and --method none computes none")
	}
	outputs := []flags.File{{Name: "out", Path: o.out, Endings: []string{".json", ".csv"}}, {Name: "csv", Path: o.csv}, {Name: "plot", Path: o.plot, Picture: true}, {Name: "plot-nll", Path: o.plotNLL, Picture: true}, {Name: "sheet", Path: o.sheet, Picture: true}}
	return o, flags.CheckOutputs(outputs, []flags.File{{Name: "checkpoint", Path: o.Checkpoint}, {Name: "data", Path: o.Data}, {Name: "classifier", Path: o.classifier}})
}

// table is the sampler at one h and number of steps; the flags have checked the names.
func (o options) table(h solver.Strength, steps int, schedule solver.Schedule) (solver.TableOptions, error) {
	err := h.Suits(schedule)
	if err != nil {
		return solver.TableOptions{}, err
	}
	t := solver.TableOptions{Steps: steps}.WithStrength(h, schedule)
	if t.Sampler, err = solver.ParseSampler(o.sampler); err != nil {
		return t, err
	}
	if t.Grid, err = solver.ParseGrid(o.grid); err != nil {
		return t, err
	}
	t.Denoise = o.denoise
	t.LastNoise, err = solver.ParseLastNoise(o.lastNoise)
	return t, err
}

// methods are the likelihoods wanted in d dimensions. The flow comes with any of them that has none at h = 0.
func (o options) methods(d int, s solver.Schedule) ([]loglik.Method, error) {
	blocks := solver.BlocksOf(s) != nil
	switch {
	case o.method == "none" || !o.measures.has(metricNLL) || len(o.h)+len(o.likelyProfiles()) == 0:
		return nil, nil
	case o.method == "auto" && d <= 2 && !blocks && len(o.likelyProfiles()) > 0 && o.pathSampler():
		return []loglik.Method{loglik.Flow, loglik.PathIntegral, loglik.FokkerPlanck}, nil
	case o.method == "auto" && d <= 2 && !blocks:
		return []loglik.Method{loglik.Flow, loglik.FokkerPlanck}, nil
	case o.method == "auto":
		return []loglik.Method{loglik.Flow, loglik.PathIntegral}, nil
	}
	list, err := loglik.Parse(o.method, d)
	if err != nil {
		return nil, ui.UsageError{Err: fmt.Errorf("--method: %w", err)}
	}
	of := loglik.Options{Methods: list}
	if err := of.ForSchedule(s, strings.Contains(o.method, "all"), false); err != nil {
		return nil, ui.UsageError{Err: err}
	}
	list = of.Methods
	if slices.Contains(o.h, 0) && !slices.Contains(list, loglik.Flow) {
		list = append([]loglik.Method{loglik.Flow}, list...)
	}
	return list, nil
}

// pathSampler reports whether the path integral knows the sampler's chain.
func (o options) pathSampler() bool { return o.sampler == "em" || o.sampler == "exp" }

// likelyProfiles are the profiles that have a likelihood, by the path integral: those with h above 0 at all knots.
func (o options) likelyProfiles() []solver.Strength {
	return slices.DeleteFunc(slices.Clone(o.strengths), func(s solver.Strength) bool {
		_, constant := s.IsConstant()
		return constant || !(s.Least() > 0)
	})
}

// settings are what loglik.Run takes for some methods, the path integral of a chain of so many steps.
func (o options) settings(methods []loglik.Method, steps, d int) (loglik.Options, error) {
	t, err := o.table(solver.Constant(1), steps, nil)
	if err != nil {
		return loglik.Options{}, err
	}
	out := loglik.Options{Methods: methods, H: o.h, Seed: o.Seed, Tol: o.Tol, Velocities: o.Velocities, Order: 1, Probes: 16, Divergence: loglik.AutoDivergence(d),
		Path: likelihood.PathOptions{Sampler: t.Sampler, Grid: t.Grid, Steps: steps, Paths: o.Paths}, Grid: o.Accuracy.Grid(d, o.Workers)}
	out.PresentBounds = d > 3 // where few paths carry the weight, the bound is the answer
	return out, nil
}

// record is the options as the result repeats them.
func (o options) record() map[string]any {
	return map[string]any{"checkpoint": o.Checkpoint, "schedule": o.Schedule, "act": o.Act, "prediction": o.Prediction, "data": o.Data, "columns": o.Columns, "header": o.Header, "seed": o.Seed, "h": o.strengths, "steps": o.steps,
		"sampler": o.sampler, "grid": o.grid, "last_noise": o.lastNoise, "metric": o.measures.names, "classifier": o.classifier, "groups": o.groups, "bands": o.bands, "class": o.class, "guidance": o.guidance, "denoise": o.denoise, "n": o.n, "repeats": o.repeats, "method": o.method, "nll_n": o.nllN,
		"paths": o.Paths, "tol": o.Tol, "velocities": o.Velocities, "cells": o.Cells, "grid_tol": o.GridTol, "confidence": o.confidence, "margin": o.margin, "out": o.out, "csv": o.csv,
		"plot": o.plot, "plot_nll": o.plotNLL, "device": o.Device.String(), "precision": o.Precision, "workers": o.Workers}
}
