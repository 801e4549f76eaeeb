package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"hbar/checkpoint"
	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/model"
	"hbar/cmd/internal/ui"
	"hbar/samples"
	"hbar/solver"
)

// textFile has samples of a network for text, as samplesFile has those of others.
const textFile = "samples.txt"

// texts is how many windows it has.
const texts = 20

// writeText draws windows of text.
func (o options) writeText(ctx context.Context, c *checkpoint.Model, where flags.Device, io ui.Streams) (err error) {
	m, err := model.New(c, model.Options{Workers: o.Workers, Device: where, InTurn: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	w, err := samples.Create(filepath.Join(o.Dir, textFile), samples.Options{N: texts, Shape: m.SampleShape(), Alphabet: m.Alphabet})
	if err != nil {
		return err
	}
	defer w.Abort()
	table := picture
	table.Steps, table.Denoise = 40, true
	bar := ui.NewProgress(io.Err, "samples", 0, texts, nil)
	res, err := solver.Sample(ctx, m.Net, m.Schedule, solver.Options{TableOptions: table, N: texts, Seed: o.Seed,
		Progress: func(done int) { bar.Report(int64(done)) }},
		func(chunk solver.Chunk) error {
			m.Norm.Invert(chunk.X, chunk.X, chunk.D)
			return w.WriteFloat64(chunk.X)
		})
	bar.Done()
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w while drawing samples; the trained network is in %s", ui.ErrInterrupted, o.Dir)
	}
	if err != nil {
		return err
	}
	if res.NonFinite > 0 {
		return fmt.Errorf("%d of %d samples of the trained network are not finite: train longer, or at a learning rate below %g", res.NonFinite, texts, o.LR)
	}
	return w.Commit()
}
