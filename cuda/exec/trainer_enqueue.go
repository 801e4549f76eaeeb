//go:build gpu && cgo

package exec

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"hbar/cuda/driver"
	"hbar/kernels/fit"
)

// begin writes which step comes next and the rates of the steps from there.
func (t *Trainer) begin(lrs []float64) error {
	if t.module == nil {
		return errors.New("cuda: the trainer is closed")
	}
	if t.batch > t.room {
		return fmt.Errorf("cuda: there is no memory for batches of %d rows; SetBatch has said so", t.batch)
	}
	if err := driver.Upload(t.report, []trainControl{{Step: t.step, Base: t.step}}); err != nil {
		return err
	}
	rows := make([]adamRow, len(lrs))
	for i, lr := range lrs {
		a := t.opt.Adam(t.step+int64(i), lr)
		rows[i] = adamRow{a.LR, a.C1, a.C2, a.EMA}
	}
	return driver.Upload(t.rates, rows)
}

// direct runs one step, or its gradient, without a graph.
func (t *Trainer) direct(src fit.Source, update bool) (trainControl, []float64, error) {
	a := t.draw.args
	if src != nil {
		if err := t.SetInputs(src); err != nil {
			return trainControl{}, nil, err
		}
		a = t.given()
	} else if a.Data == 0 {
		return trainControl{}, nil, errors.New("cuda: a trainer without kernels.Batches takes its batches from a source")
	}
	if err := t.enqueue(a, update); err != nil {
		return trainControl{}, nil, err
	}
	return t.read(0)
}

// replay enqueues n steps with batches of the device's own.
func (t *Trainer) replay(n int) error {
	g := t.graphs[n]
	if g == nil {
		if t.draw.args.Data == 0 {
			return errors.New("cuda: a trainer without kernels.Batches takes its batches from a source, by Step")
		}
		var err error
		if g, err = t.d.Capture(func() error {
			for range n {
				if err := t.enqueue(t.draw.args, true); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		t.graphs[n] = g
	}
	return g.Replay()
}

// enqueue launches a step.
func (t *Trainer) enqueue(a DrawArgs, update bool) error {
	if err := t.pass.Launch(a, t.report, t.rowLoss, t.batch); err != nil {
		return err
	}
	return t.enqueueUpdate(update)
}

// enqueueUpdate launches what follows the pass of the rows: the gradient, and unless update is false the step.
func (t *Trainer) enqueueUpdate(update bool) error {
	outputs := float64(t.batch) * float64(t.prog.D)
	args := driver.Pack(new(driver.Args).Buf(t.tiles).I32(t.ntiles).I32(t.batch), outputs).Buf(t.g).Buf(t.squares).Buf(t.rowLoss).Buf(t.report)
	if err := t.kernels.grad.Launch(t.ntiles+1, args); err != nil {
		return err
	}
	squares, n := t.squares, t.ntiles
	if n > t.foldAbove {
		count := (n + t.foldAbove - 1) / t.foldAbove
		folded := (n + count - 1) / count
		if err := t.kernels.fold.Launch(folded, new(driver.Args).Buf(squares).I32(n).I32(count).Buf(t.folded)); err != nil {
			return err
		}
		squares, n = t.folded, folded
	}
	o := t.opt
	c := adamConstants{float32(o.Beta1), float32(o.Beta2), float32(o.Eps), float32(o.Decay), o.Clip}
	losses := int(unsafe.Sizeof(trainControl{}))
	args = driver.Pack(new(driver.Args).Buf(t.tiles).Buf(squares).I32(n).Buf(t.rates), c).Buf(t.param).Buf(t.m).Buf(t.v).Buf(t.g).Buf(t.ema).Buf(t.copied).
		Buf(t.report).Buf(t.report.View(losses, 8*maxBurst)).Buf(t.report.View(losses+8*maxBurst, 8*maxBurst)).I32(int(boolean(update)))
	return t.kernels.adam.Launch(t.ntiles, args)
}

func boolean(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

// read waits for what is enqueued and returns the state and the losses of the last n steps begun.
func (t *Trainer) read(n int) (trainControl, []float64, error) {
	const words = int(unsafe.Sizeof(trainControl{}) / 8)
	raw := make([]float64, words+n)
	if err := driver.Download(raw, t.report); err != nil {
		return trainControl{}, nil, err
	}
	return *(*trainControl)(unsafe.Pointer(unsafe.SliceData(raw))), raw[words:], nil
}

// blame says why a step was not taken; nil if it was.
func (t *Trainer) blame(c trainControl) error {
	switch c.Bad {
	case badLoss:
		rows := make([]float64, t.batch)
		if err := driver.Download(rows, t.rowLoss); err != nil {
			return err
		}
		for i, v := range rows {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return &fit.NonFiniteError{Step: t.step, Loss: c.Loss, Cause: fmt.Sprintf("the weighted squared error of row %d is %v", i, v)}
			}
		}
		return &fit.NonFiniteError{Step: t.step, Loss: c.Loss, Cause: "the sum of squared errors is too large"}
	case badGradient:
		g, err := t.Gradients(nil)
		if err != nil {
			return err
		}
		return fit.GradientError(t.step, c.Loss, t.prog.Params, g)
	}
	return nil
}
