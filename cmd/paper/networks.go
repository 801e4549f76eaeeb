package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"hbar/cmd/internal/model"
	"hbar/cmd/internal/rundir"
	"hbar/data"
	"hbar/solver"
	"hbar/train"
)

// network is a trained network with fresh data to judge it by.
type network struct {
	experiment
	*model.Model
	loss   float64   // mean over the last sixteenth of the run; NaN if the run was complete already
	points []float64 // fresh data, n×2
}

// watch is a train.Watcher that shows the steps.
type watch func(done, total int)

func (w watch) Progress(r train.Report) error { w(r.Step, r.Steps); return nil }
func (w watch) Saved(int)                     {}

// train trains the network of an experiment, or takes the finished one.
func (p *page) train(ctx context.Context, e experiment) (*network, error) {
	p.progress("%s: training, %d steps", e, p.trainSteps)
	set, err := data.ByName(e.data, 3000, 0)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(p.runs, e.String())
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	lock, err := rundir.Acquire(dir)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	result, err := train.Fit(ctx, set, trainOptions(e, p.trainSteps, dir), watch(p.stage("training")))
	if err != nil {
		return nil, err
	}
	m, err := model.New(result.Model, model.Options{Precision: solver.Float64})
	if err != nil {
		return nil, err
	}
	fresh, err := data.ByName(e.data, max(p.points, p.samples*p.repeats), 1)
	if err != nil {
		return nil, err
	}
	return &network{experiment: e, Model: m, loss: result.Loss, points: fresh.X}, nil
}

func (p *page) training(ctx context.Context, networks []*network) error {
	p.printf("## The networks\n\n")
	p.printf("3000 points, batch 512, Adam 10⁻³, %d steps, t uniform on 1000 grid points, (x, t) → 128 → 128 → 128 → 2 with SiLU.\n", p.trainSteps)
	p.printf("The loss is the mean over the last sixteenth of the steps and over both coordinates of g²·|s + z/σ|².\n\n")
	p.printf("| data | schedule | loss |\n|---|---|---|\n")
	for _, n := range networks {
		loss := "run reused"
		if !math.IsNaN(n.loss) {
			loss = fmt.Sprintf("%.3f", n.loss)
		}
		p.printf("| %s | %s | %s |\n", n.data, n.schedule, loss)
	}
	p.printf("\n")
	return nil
}

// draw returns n samples (n×D) at Tmin.
func draw(ctx context.Context, m solver.Model, s solver.Schedule, n, steps int, h solver.Strength, seed uint64) ([]float64, error) {
	x := make([]float64, 0, n*m.Dim())
	r, err := solver.Sample(ctx, m, s, solver.Options{TableOptions: solver.TableOptions{Steps: steps}.WithStrength(h, s), N: n, Seed: seed}, func(c solver.Chunk) error {
		x = append(x, c.X...)
		return nil
	})
	if err == nil && r.NonFinite > 0 {
		err = errors.New("samples that are not finite")
	}
	return x, err
}

// quantileDistance is W₂ between a 1-D sample and N(0, sd²), by the quantiles of the latter.
func quantileDistance(x []float64, sd float64) float64 {
	x = slices.Sorted(slices.Values(x))
	s := 0.0
	for i, q := range quantiles(len(x), sd) {
		s += (x[i] - q) * (x[i] - q)
	}
	return math.Sqrt(s / float64(len(x)))
}
