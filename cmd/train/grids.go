package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/model"
	"hbar/cmd/internal/ui"
	"hbar/samples"
	"hbar/solver"
	"hbar/train"
)

// The sampler of the grids during training: few steps, so that they cost little. All grids of a run are drawn from the same noise.
var gridSampler = solver.TableOptions{Sampler: solver.Exponential2, Grid: solver.GridLambda, Steps: 16, H: 1, Denoise: true}

const (
	gridSamples = 20
	// gridShare: after a grid there is none until this many times its own time has passed, so that grids cost little.
	gridShare = 50
)

// grids draws samples of the averaged weights at checkpoints. A nil value draws none.
type grids struct {
	o     options
	ctx   context.Context
	io    ui.Streams
	where flags.Device
	board *board
	after time.Time // no grid before this
}

// newGrids is nil for networks whose samples are no images, and where none are wanted.
func (o options) newGrids(ctx context.Context, shape []int, events *board, where flags.Device, io ui.Streams) *grids {
	if o.NoGrids || o.Net == train.NetMLP || !(samples.Options{Shape: shape}).IsImage() {
		return nil
	}
	return &grids{o: o, ctx: ctx, io: io, where: where, board: events}
}

// draw draws the grid of the checkpoint that was just saved. One that cannot be drawn is a warning: training goes on. The last
// checkpoint has a picture of its own.
func (g *grids) draw(step int) {
	if g == nil || step >= g.o.Steps || g.ctx.Err() != nil || time.Now().Before(g.after) {
		return
	}
	begin := time.Now()
	path := filepath.Join(g.o.Dir, fmt.Sprintf("samples-%d.png", step))
	err := g.sample(path)
	if err == nil {
		err = g.board.picture(step, tagGrid, path)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(g.io.Err, "train: warning: no picture of step %s: %v\n", ui.Count(int64(step)), err)
	}
	g.after = time.Now().Add(gridShare * time.Since(begin))
}

// sample draws samples of the model file into a contact sheet.
func (g *grids) sample(path string) (err error) {
	m, err := model.Load(filepath.Join(g.o.Dir, train.ModelFile), model.Options{Workers: g.o.Workers, Device: g.where, InTurn: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	what := samples.Options{N: gridSamples, Shape: m.SampleShape()}
	low, high, ok := samples.FromNormalisation(m.Norm)
	if !ok {
		return errors.New("the images were scaled pixel by pixel, so no value is known to be black or white")
	}
	what.Low, what.High = low, high
	if m.Label != nil {
		what.Label = func(i int) int { return int(m.Label(uint64(i))) }
	}
	sheet, err := samples.NewSheet(what, gridSamples, gridSamples/2)
	if err != nil {
		return err
	}
	_, err = solver.Sample(g.ctx, m.Net, m.Schedule, solver.Options{TableOptions: gridSampler, N: gridSamples, Seed: g.o.Seed},
		func(c solver.Chunk) error {
			m.Norm.Invert(c.X, c.X, c.D)
			sheet.Add(c.X)
			return nil
		})
	if err != nil {
		return err
	}
	return sheet.Write(path)
}

// clearGrids removes the grids of a run that a new one replaces.
func (o options) clearGrids() error {
	if o.Resume {
		return nil
	}
	old, err := fs.Glob(os.DirFS(o.Dir), "samples-[0-9]*.png")
	for _, name := range old {
		err = errors.Join(err, os.Remove(filepath.Join(o.Dir, name)))
	}
	return err
}
