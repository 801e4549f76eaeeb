package main

import (
	"context"
	"fmt"
	"path/filepath"

	"hbar/checkpoint"
	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/model"
	"hbar/cmd/internal/plots"
	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/solver"
	"hbar/train"
)

// The samples of samples.png: the reverse SDE by the second-order exponential integrator on a grid uniform in λ, which
// serves every schedule with few steps. cmd/sample has all other choices.
var picture = solver.TableOptions{Sampler: solver.Exponential2, Grid: solver.GridLambda, Steps: 200, H: 1}

// pictureSamples is how many are drawn, and pictureData how many of the data are shown at most.
const (
	pictureSamples = 2000
	pictureData    = 1 << 17
)

// drawSamples draws samples, in data units, and plots them beside the data.
func (o options) drawSamples(ctx context.Context, set *data.Dataset, c *checkpoint.Model, where flags.Device, io ui.Streams) (err error) {
	how := model.Options{Workers: o.Workers, Device: where, InTurn: true}
	m, err := model.New(c, how)
	if err != nil {
		return err
	}
	defer func() {
		if e := m.Close(); err == nil {
			err = e
		}
	}()
	n := pictureSamples
	table := picture
	switch {
	case o.Net != train.NetMLP: // evaluations of large networks are expensive
		n, table.Steps, table.Denoise = 36, 40, true
	case set.D > 2: // fewer can be seen
		n = 400
	}
	bar := ui.NewProgress(io.Err, "samples", 0, int64(n), nil)
	x := make([]float64, n*set.D)
	res, err := solver.Sample(ctx, m.Net, m.Schedule, solver.Options{TableOptions: table, N: n, Seed: o.Seed,
		Progress: func(done int) { bar.Report(int64(done)) }},
		func(chunk solver.Chunk) error {
			c.Norm.Invert(x[chunk.Start*set.D:][:len(chunk.X)], chunk.X, set.D)
			return nil
		})
	bar.Done()
	if err != nil {
		return err
	}
	if res.NonFinite == n {
		return fmt.Errorf("none of %s of the trained network is finite: train longer, or at a learning rate below %g", ui.Plural(int64(n), "sample"), o.LR)
	}
	if res.NonFinite > 0 {
		fmt.Fprintf(io.Err, "warning: not finite: %s of %s\n", ui.Count(int64(res.NonFinite)), ui.Plural(int64(n), "sample"))
	}
	heading := fmt.Sprintf("%s, schedule %s, %s", filepath.Base(o.Data), o.Schedule, ui.Plural(int64(o.Steps), "step"))
	_, err = ui.Wait(ctx, io.Err, "drawing the picture", func() (struct{}, error) {
		return struct{}{}, plots.Compare(filepath.Join(o.Dir, samplesFile), heading, set.Shape,
			plots.Cloud{Name: "data", X: set.Head(pictureData), D: set.D, Columns: set.Columns}, plots.Cloud{Name: "samples, h = 1", X: x, D: set.D})
	})
	return err
}
