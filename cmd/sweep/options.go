package main

import (
	"fmt"
	"io"
	"math"
	"slices"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/model"
	"hbar/cmd/internal/ui"
	"hbar/solver"
	"hbar/solver/likelihood"
)

// options are all settings of the command.
type options struct {
	model.Flags
	loglik.Accuracy

	loglik.Source

	h     []float64
	steps []float64 // whole numbers

	sampler, grid, lastNoise string
	n, repeats               int

	method     string
	nllN       int
	confidence float64
	margin     float64

	out, csv, plot, plotNLL string
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
	g.List(&o.h, "h", "H,…", flags.NonNegative, "strengths of the noise")
	g.List(&o.steps, "steps", "STEPS,…", flags.Between(1, 10_000_000), "numbers of steps from Tmax to Tmin")
	g.Choice(&o.sampler, "sampler", solver.SamplerNames(), "Euler–Maruyama, exponential integrator, the same of second order, stochastic Heun")
	g.Choice(&o.grid, "grid", solver.GridNames(), "steps uniform in the time, in λ = log(α/σ), or as in Karras 2022")
	g.Choice(&o.lastNoise, "last-noise", solver.LastNoiseNames(), "the last step: full, as the others; mean, without its noise; none, a step at h = 0")

	g = s.Group("Distances")
	g.Int(&o.n, "n", "POINTS", flags.Between(2, 100_000), "samples and data points in each distance; the cost of one grows as its square")
	g.Int(&o.repeats, "repeats", "R", flags.Between(0, 100_000), "distances for each h and steps, each with samples and data of its own; at least 4, or 0 for none")

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
	g.String(&o.plotNLL, "plot-nll", "FILE.png", "NLL against h, less that at h = 0 if that is among them")

	loglik.DefineRun(&o.Flags, s.Group("Run"))

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

// parse reads the command line and checks what flags cannot.
func parse(args []string, help io.Writer) (options, error) {
	o := options{Flags: model.Flags{Precision: loglik.DefaultPrecision}, h: []float64{0, 0.05, 0.1, 0.2, 0.5, 1}, steps: []float64{solver.DefaultSteps}, sampler: "em", grid: "lambda", lastNoise: "full",
		n: 2000, repeats: 10, method: "auto", nllN: 2000, Accuracy: loglik.DefaultAccuracy(100), confidence: 0.95, margin: 0.005, out: "sweep.json"}
	if err := define(&o).Parse(args, help); err != nil {
		return o, err
	}
	if err := o.Check(); err != nil {
		return o, err
	}
	for _, l := range []struct {
		name   string
		values []float64
	}{{"h", o.h}, {"steps", o.steps}} {
		for i, v := range l.values {
			if slices.Contains(l.values[:i], v) {
				return o, ui.Usagef("--%s names %g twice", l.name, v)
			}
		}
	}
	for _, v := range o.steps {
		if v != math.Trunc(v) {
			return o, ui.Usagef("--steps: %g is not a whole number", v)
		}
	}
	slices.Sort(o.h)
	slices.Sort(o.steps)
	switch {
	case o.repeats > 0 && o.repeats < 4:
		return o, ui.Usagef("--repeats %d is too few for a test; want at least 4, or 0", o.repeats)
	case o.repeats == 0 && o.method == "none":
		return o, ui.Usagef("--repeats 0 and --method none leave nothing to measure")
	case o.out == "":
		return o, ui.Usagef("--out is empty; name the file to write")
	case o.plot != "" && o.repeats == 0:
		return o, ui.Usagef("--plot shows W2, and --repeats 0 measures none")
	case o.plotNLL != "" && o.method == "none":
		return o, ui.Usagef("--plot-nll shows likelihoods, and --method none computes none")
	}
	outputs := []flags.File{{Name: "out", Path: o.out, Endings: []string{".json", ".csv"}}, {Name: "csv", Path: o.csv}, {Name: "plot", Path: o.plot, Picture: true}, {Name: "plot-nll", Path: o.plotNLL, Picture: true}}
	return o, flags.CheckOutputs(outputs, []flags.File{{Name: "checkpoint", Path: o.Checkpoint}, {Name: "data", Path: o.Data}})
}

// table is the sampler at one h and number of steps; the flags have checked the names.
func (o options) table(h float64, steps int) (solver.TableOptions, error) {
	t := solver.TableOptions{H: h, Steps: steps}
	var err error
	if t.Sampler, err = solver.ParseSampler(o.sampler); err != nil {
		return t, err
	}
	if t.Grid, err = solver.ParseGrid(o.grid); err != nil {
		return t, err
	}
	t.LastNoise, err = solver.ParseLastNoise(o.lastNoise)
	return t, err
}

// methods are the likelihoods wanted in d dimensions. The flow comes with any of them that has none at h = 0.
func (o options) methods(d int) ([]loglik.Method, error) {
	switch {
	case o.method == "none":
		return nil, nil
	case o.method == "auto" && d <= 2:
		return []loglik.Method{loglik.Flow, loglik.FokkerPlanck}, nil
	case o.method == "auto":
		return []loglik.Method{loglik.Flow, loglik.PathIntegral}, nil
	}
	list, err := loglik.Parse(o.method, d)
	if err != nil {
		return nil, ui.UsageError{Err: fmt.Errorf("--method: %w", err)}
	}
	if slices.Contains(o.h, 0) && !slices.Contains(list, loglik.Flow) {
		list = append([]loglik.Method{loglik.Flow}, list...)
	}
	return list, nil
}

// settings are what loglik.Run takes for some methods, the path integral of a chain of so many steps.
func (o options) settings(methods []loglik.Method, steps, d int) (loglik.Options, error) {
	t, err := o.table(1, steps)
	if err != nil {
		return loglik.Options{}, err
	}
	out := loglik.Options{Methods: methods, H: o.h, Seed: o.Seed, Tol: o.Tol, Order: 1, Probes: 16, Divergence: loglik.AutoDivergence(d),
		Path: likelihood.PathOptions{Sampler: t.Sampler, Grid: t.Grid, Steps: steps, Paths: o.Paths}, Grid: o.Accuracy.Grid(d, o.Workers)}
	return out, nil
}

// record is the options as the result repeats them.
func (o options) record() map[string]any {
	return map[string]any{"checkpoint": o.Checkpoint, "schedule": o.Schedule, "act": o.Act, "prediction": o.Prediction, "data": o.Data, "columns": o.Columns, "header": o.Header, "seed": o.Seed, "h": o.h, "steps": o.steps,
		"sampler": o.sampler, "grid": o.grid, "last_noise": o.lastNoise, "n": o.n, "repeats": o.repeats, "method": o.method, "nll_n": o.nllN,
		"paths": o.Paths, "tol": o.Tol, "cells": o.Cells, "grid_tol": o.GridTol, "confidence": o.confidence, "margin": o.margin, "out": o.out, "csv": o.csv,
		"plot": o.plot, "plot_nll": o.plotNLL, "device": o.Device.String(), "precision": o.Precision, "workers": o.Workers}
}
