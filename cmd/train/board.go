package main

import (
	"os"

	"hbar/cmd/internal/ui"
	"hbar/internal/tfevents"
	"hbar/train"
)

// The names under which TensorBoard shows a run. It groups numbers by what is before the slash.
const (
	tagLoss     = "train/loss"
	tagLR       = "train/learning_rate"
	tagGradNorm = "train/gradient_norm"
	tagGrid     = "samples"             // contact sheets during training
	tagCompare  = "data_beside_samples" // samples.png
)

// board writes a run for TensorBoard. A nil board writes nothing.
type board struct{ events *tfevents.Writer }

// openBoard begins the event file of a run that has done so many steps, if one is wanted. A run that begins anew removes those of the
// run that it replaces.
func (o options) openBoard(done int) (*board, error) {
	if !o.Resume {
		if err := tfevents.Remove(o.Dir); err != nil {
			return nil, err
		}
	}
	if !o.TensorBoard {
		return nil, nil
	}
	w, err := tfevents.Open(o.Dir, int64(done))
	if err != nil {
		return nil, err
	}
	return &board{w}, nil
}

// report writes the figures of a line of the log.
func (b *board) report(r train.Report, pace []ui.Field) error {
	if b == nil {
		return nil
	}
	scalars := []tfevents.Scalar{{Tag: tagLoss, Value: r.Loss}, {Tag: tagLR, Value: r.LR}, {Tag: tagGradNorm, Value: r.GradNorm}}
	for _, f := range pace {
		scalars = append(scalars, tfevents.Scalar{Tag: "train/" + ui.Key(f.Name), Value: f.Value})
	}
	return b.events.Scalars(int64(r.Step), scalars...)
}

// picture writes a PNG that a run has left.
func (b *board) picture(step int, tag, path string) error {
	if b == nil {
		return nil
	}
	png, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return b.events.Image(int64(step), tag, png)
}

func (b *board) close() error {
	if b == nil {
		return nil
	}
	return b.events.Close()
}
