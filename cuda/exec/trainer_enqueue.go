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

// begin uploads the number of the next step and the learning rates of the steps from there on.
func (t *Trainer) begin(lrs []float64) error {
	if t.module == nil {
		return errors.New("cuda: the trainer is closed")
	}
	if err := t.shared.Comm.Err(); err != nil { // a graph with sums must not run any more
		return err
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
	a := t.drawn()
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

// replay enqueues n steps on batches that the device draws.
func (t *Trainer) replay(n int) error {
	if t.draw.args.Data == 0 {
		return errors.New("cuda: a trainer without kernels.Batches takes its batches from a source, by Step")
	}
	if !t.captures() {
		for range n {
			if err := t.steps(1); err != nil {
				return err
			}
			if err := t.shared.pace(); err != nil {
				return err
			}
		}
		return nil
	}
	g := t.graphs[n]
	if g == nil {
		var err error
		if g, err = t.d.Capture(func() error { return t.steps(n) }); err != nil {
			return err
		}
		t.graphs[n] = g
	}
	if err := g.Replay(); err != nil {
		return err
	}
	return t.shared.pace()
}

// steps launches n steps on batches that the device draws.
func (t *Trainer) steps(n int) error {
	for range n {
		if err := t.enqueue(t.drawn(), true); err != nil {
			return err
		}
	}
	return nil
}

// drawn are the kernels' arguments for the batch that the device draws.
func (t *Trainer) drawn() DrawArgs {
	a := t.draw.args
	a.Batch, a.First = uint64(t.batch), uint64(t.first)
	return a
}

// enqueue launches a step.
func (t *Trainer) enqueue(a DrawArgs, update bool) error {
	if err := t.enqueueGradient(a); err != nil {
		return err
	}
	return t.enqueueUpdate(update)
}

// enqueueGradient launches the pass of the rows and what computes the gradient, its norm and the loss.
func (t *Trainer) enqueueGradient(a DrawArgs) error {
	if t.shared.Comm != nil {
		return t.enqueueSums(a)
	}
	if err := t.pass.Launch(a, t.report, t.rowLoss, t.batch, nil); err != nil {
		return err
	}
	return t.grad(0, t.ntiles, 1)
}

// outputs is the number of terms of which the loss is the mean.
func (t *Trainer) outputs() float64 { return float64(t.batch) * float64(t.prog.D) }

// grad launches the gradients of tiles lo to hi, and with loss 1 the sum of the losses.
func (t *Trainer) grad(lo, hi, loss int) error {
	const size = int(unsafe.Sizeof(paramTile{}))
	args := driver.Pack(new(driver.Args).Buf(t.tiles.View(size*lo, size*(hi-lo))).I32(hi-lo).I32(t.rows), t.outputs()).
		Buf(t.g).Buf(t.squares.View(8*lo, 8*(hi-lo))).Buf(t.rowLoss).Buf(t.report)
	return t.kernels.grad.Launch(hi-lo+loss, args)
}

// enqueueUpdate launches what follows the gradient: its norm, and unless update is false the step.
func (t *Trainer) enqueueUpdate(update bool) error {
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
	args := driver.Pack(new(driver.Args).Buf(t.tiles).Buf(squares).I32(n).Buf(t.rates), c).Buf(t.param).Buf(t.m).Buf(t.v).Buf(t.g).Buf(t.ema).Buf(t.copied).
		Buf(t.report).Buf(t.report.View(losses, 8*maxBurst)).Buf(t.report.View(losses+8*maxBurst, 8*maxBurst)).I32(int(boolean(update)))
	return t.kernels.adam.Launch(t.ntiles, args)
}

func boolean(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

// read waits for what is enqueued and returns the state and the losses of the last n steps begun. Several processes compare their results.
func (t *Trainer) read(n int) (trainControl, []float64, error) {
	if t.shared.Comm != nil {
		if err := t.compare(n); err != nil {
			return trainControl{}, nil, err
		}
	}
	const words = int(unsafe.Sizeof(trainControl{}) / 8)
	raw := make([]float64, words+n)
	if err := driver.Download(raw, t.report); err != nil {
		return trainControl{}, nil, err
	}
	return *(*trainControl)(unsafe.Pointer(unsafe.SliceData(raw))), raw[words:], nil
}

// blame returns an error that says why a step was not taken, nil if it was.
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
