//go:build gpu && cgo

package exec

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"hbar/cuda/driver"
	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/gpu"
)

// Trainer runs a kernels.ChainTraining on a device: what learn.Trainer computes, with sums in another order. Parameters and the
// optimiser's state stay on the device; batches are drawn there too, from kernels.Batches. A step is the same few launches
// every time, captured once and replayed. Results do not depend on the device. Use it from one goroutine.
//
// With a communicator it is the trainer of one of several processes, which computes the gradient of its rows of each batch: see
// trainer_together.go. All processes make the same calls.
type Trainer struct {
	d     *driver.Device
	prog  *kernels.ChainTraining
	opt   fit.Options
	step  int64 // steps taken
	batch int
	room  int // batches of as many rows have memory

	first, rows int // of the batch that this process has
	rowRoom     int // rows of this process that have memory

	layout  *Layout
	draw    *drawer
	pass    Pass
	module  *driver.Module
	kernels struct{ grad, squares, fold, adam, copy *driver.Kernel }

	param, m, v, g, ema, copied *driver.Buffer // ema and copied may be nil
	report                      *driver.Buffer // trainControl, then losses and norms of maxBurst steps
	rates                       *driver.Buffer // adamRow of maxBurst steps
	tiles, squares, folded      *driver.Buffer
	ntiles, foldAbove           int            // with more than foldAbove tiles, their sums of squares are added in two stages
	rowLoss                     *driver.Buffer // of all rows of the batch
	target, weight              *driver.Buffer // by row of this process, of batches that the host draws
	host                        hostBatch

	graphs map[int]*driver.Graph // by number of steps: what Run replays
	eval   evaluation
	shared together
}

// trainControl has the layout of struct TrainControl of kernels/gpu/train.cuh.
type trainControl struct {
	Step, Now, Base int64
	Loss, Norm      float64
	Bad, _          int32
}

const (
	badLoss     = 1
	badGradient = 2
)

// adamRow and adamConstants have the layouts of AdamRow and AdamConstants of kernels/gpu/train.cu.
type adamRow struct{ LR, C1, C2, EMA float32 }

type adamConstants struct {
	Beta1, Beta2, Eps, Decay float32
	Clip                     float64
}

const (
	// maxBurst is the most steps that Run enqueues before it waits.
	maxBurst = 1024
	// graphSteps is the number of steps of the largest captured graph; there is one for each power of 4 below, too.
	graphSteps = 16
	// mostSquares is the largest number of sums of squares that each block of the update adds up itself.
	mostSquares = 1024
)

// NewTrainer uploads p with its parameters, and the data that batches are drawn from; b may be nil if every batch comes from
// a fit.Source. fused makes the pass of the rows; if it is nil they pass layer by layer. Workers and Impl of the options
// are ignored. The trainer closes the communicator of peers, at an error too. Close the trainer when done.
func NewTrainer(d *driver.Device, p *kernels.ChainTraining, opt fit.Options, b *kernels.Batches, fused MakePass, peers Peers) (*Trainer, error) {
	opt, err := opt.WithDefaults()
	if err == nil {
		err = p.Validate()
	}
	if err != nil {
		peers.Comm.Abort(err)
		return nil, errors.Join(err, peers.Comm.Close())
	}
	t := &Trainer{d: d, prog: p, opt: opt, foldAbove: mostSquares, graphs: map[int]*driver.Graph{}, shared: together{Peers: peers}}
	if err := t.open(b, fused); err != nil {
		return nil, errors.Join(err, t.Abort(err))
	}
	return t, nil
}

func (t *Trainer) open(b *kernels.Batches, fused MakePass) (err error) {
	if t.layout, err = newParamLayout(t.prog, fused != nil); err != nil {
		return err
	}
	vectors := []**driver.Buffer{&t.param, &t.m, &t.v, &t.g}
	if t.opt.EMA > 0 {
		vectors = append(vectors, &t.ema)
	}
	for _, v := range vectors {
		if *v, err = t.zeros(4 * t.layout.size); err != nil {
			return fmt.Errorf("%w, for a network of %d parameters", err, t.layout.size)
		}
	}
	if fused != nil {
		if t.copied, err = t.zeros(4 * t.layout.copies); err != nil {
			return err
		}
	}
	if t.report, err = t.zeros(int(unsafe.Sizeof(trainControl{})) + 16*maxBurst); err != nil {
		return err
	}
	if t.rates, err = t.d.Alloc(int(unsafe.Sizeof(adamRow{})) * maxBurst); err != nil {
		return err
	}
	if t.draw, err = newDrawer(t.d, t.prog, b); err != nil {
		return err
	}
	if err := t.load(); err != nil {
		return err
	}
	if fused != nil {
		t.pass, err = fused(t.d, t.prog, t.layout, t.param, t.copied)
	} else {
		t.pass, err = newLayersPass(t.d, t.prog, t.layout, t.param, t.g)
	}
	if err != nil {
		return err
	}
	if err := t.share(); err != nil {
		return err
	}
	if err := t.SetBatch(t.opt.Batch); err != nil {
		return err
	}
	init := make([][]float32, len(t.prog.Params))
	for i, q := range t.prog.Params {
		init[i] = q.Data
	}
	return t.SetParams(init)
}

func (t *Trainer) zeros(bytes int) (*driver.Buffer, error) {
	b, err := t.d.Alloc(bytes)
	if err != nil {
		return nil, err
	}
	if err := b.Zero(); err != nil {
		return nil, errors.Join(err, b.Free())
	}
	return b, nil
}

func (t *Trainer) load() (err error) {
	if t.module, err = t.d.Load(gpu.Train); err != nil {
		return err
	}
	const gradWarps, adamThreads = 16, tileUnits * tileInputs
	for _, k := range []struct {
		kernel  **driver.Kernel
		name    string
		threads int
		shared  int
	}{
		{&t.kernels.grad, "train_grad", 32 * gradWarps, 8*gradWarps + 4*gradWarps*tileUnits*(tileInputs+1)},
		{&t.kernels.squares, "train_squares", 32 * gradWarps, 8 * gradWarps},
		{&t.kernels.fold, "train_fold", adamThreads, 8 * adamThreads / 32},
		{&t.kernels.adam, "train_adam", adamThreads, 8*adamThreads/32 + 4*tileInputs*(tileUnits+1)},
		{&t.kernels.copy, "train_copy", adamThreads, 0},
	} {
		if *k.kernel, err = t.module.Kernel(k.name, k.threads, k.shared); err != nil {
			return err
		}
	}
	return nil
}

// Abort is Close at an error that the other processes may not have: it does not wait for them.
func (t *Trainer) Abort(cause error) error {
	t.shared.Comm.Abort(cause)
	return t.Close()
}

// Close frees the trainer's memory on the device. Of several processes all close their trainers, and each may wait for the others, unless a method
// has returned an error that those may not have.
func (t *Trainer) Close() error {
	err := errors.Join(t.dropGraphs(), t.eval.close(), t.shared.close()) // the communicator behind the graphs
	if t.pass != nil {
		err = errors.Join(err, t.pass.Close())
		t.pass = nil
	}
	if t.draw != nil {
		err = errors.Join(err, t.draw.free())
	}
	for _, b := range []*driver.Buffer{t.param, t.m, t.v, t.g, t.ema, t.copied, t.report, t.rates, t.tiles, t.squares, t.folded, t.rowLoss, t.target, t.weight} {
		err = errors.Join(err, b.Free())
	}
	if t.module != nil {
		err = errors.Join(err, t.module.Unload())
		t.module = nil
	}
	return err
}

func (t *Trainer) dropGraphs() (err error) {
	for _, g := range t.graphs {
		err = errors.Join(err, g.Close())
	}
	clear(t.graphs)
	return errors.Join(err, t.eval.dropGraphs())
}

// Steps is the number of steps taken.
func (t *Trainer) Steps() int64 { return t.step }

// SetBatch changes the number of rows of the batches to come, at least 1. Memory grows with the largest.
func (t *Trainer) SetBatch(n int) error {
	if n < 1 {
		return fmt.Errorf("cuda: SetBatch(%d): a batch has at least one row", n)
	}
	return t.shared.note(t.setBatch(n))
}

func (t *Trainer) setBatch(n int) error {
	if err := t.dropGraphs(); err != nil {
		return err
	}
	first, rows, err := t.shared.Comm.Rows(n)
	if err != nil {
		return err
	}
	t.first, t.rows = first, rows
	if t.batch = n; n > t.room {
		t.room = 0 // in case of an error
		if err := t.grow(n); err != nil {
			return err
		}
		t.room = n
	}
	return nil
}

// grow allocates memory for batches of n rows.
func (t *Trainer) grow(n int) error {
	rows := t.shared.most(n)
	if err := t.pass.Resize(rows); err != nil {
		return err
	}
	t.rowRoom = rows
	for _, b := range []struct {
		buffer **driver.Buffer
		bytes  int
	}{{&t.rowLoss, 8 * n}, {&t.target, 4 * rows * t.prog.D}, {&t.weight, 4 * rows}} {
		next, err := t.d.Alloc(b.bytes)
		if err != nil {
			return err
		}
		if err := (*b.buffer).Free(); err != nil {
			return errors.Join(err, next.Free())
		}
		*b.buffer = next
	}
	tiles := t.layout.tiles(t.pass.X, t.pass.DZ)
	t.ntiles = len(tiles)
	if t.tiles == nil {
		var err error
		if t.tiles, err = t.d.Alloc(len(tiles) * int(unsafe.Sizeof(paramTile{}))); err != nil {
			return err
		}
		if t.squares, err = t.d.Alloc(8 * len(tiles)); err != nil {
			return err
		}
		if t.folded, err = t.d.Alloc(8 * mostSquares); err != nil {
			return err
		}
	}
	return driver.Upload(t.tiles, tiles)
}

// Step takes one step of Adam with learning rate lr on the batch that src draws for step Steps(), or the device if src is
// nil. A loss or gradient that is not finite is a *fit.NonFiniteError; then nothing has changed.
func (t *Trainer) Step(src fit.Source, lr float64) (fit.Result, error) {
	return t.alone(src, []float64{lr})
}

// Gradient computes loss and gradient of the batch that src draws for step Steps(), or the device if src is nil, and
// changes no parameter.
func (t *Trainer) Gradient(src fit.Source) (fit.Result, error) {
	return t.alone(src, nil)
}

// alone computes the gradient of a batch and takes a step for the learning rate, if there is one.
func (t *Trainer) alone(src fit.Source, lrs []float64) (r fit.Result, err error) {
	defer func() { err = t.shared.note(err) }()
	if err := t.begin(lrs); err != nil {
		return r, err
	}
	c, _, err := t.direct(src, len(lrs) > 0)
	if err != nil {
		return r, err
	}
	t.step = c.Step
	return fit.Result{Loss: c.Loss, GradNorm: c.Norm}, t.blame(c)
}

// Run takes a step for each learning rate, on batches that the device draws, until ctx ends, which is no error. It returns
// the number of steps taken, with their losses in losses, and the last one's result. The steps are enqueued without a wait
// in between, 1024 at a time; ctx is checked between these. Of several processes, all return after the same step once one hears that its
// ctx has ended: then Stopped says so.
func (t *Trainer) Run(ctx context.Context, lrs, losses []float64) (taken int, last fit.Result, err error) {
	defer func() { err = t.shared.note(err) }()
	for taken < len(lrs) {
		n, err := t.burst(min(len(lrs)-taken, maxBurst), ctx.Err() != nil)
		if n == 0 || err != nil {
			return taken, last, err
		}
		burst := lrs[taken : taken+n]
		if err := t.begin(burst); err != nil {
			return taken, last, err
		}
		for left := len(burst); left > 0; {
			n := graphSteps
			for n > left {
				n /= 4
			}
			if err := t.replay(n); err != nil {
				return taken, last, err
			}
			left -= n
		}
		c, values, err := t.read(len(burst))
		if err != nil {
			return taken, last, err
		}
		done := int(c.Step - t.step)
		copy(losses[taken:], values[:done])
		taken, t.step = taken+done, c.Step
		last = fit.Result{Loss: c.Loss, GradNorm: c.Norm}
		if err := t.blame(c); err != nil {
			return taken, last, err
		}
	}
	return taken, last, nil
}
