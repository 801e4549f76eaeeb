//go:build gpu && cgo

package programs

import (
	"context"
	"errors"
	"sync"

	"hbar/cuda/driver"
	"hbar/kernels/fit"
	"hbar/program"
)

// enqueue enqueues a step, or the gradient alone.
func (r *Trainer) enqueue(ctx context.Context, update bool) error {
	n := r.batch.N
	if err := r.x.grow(min(n, r.x.block)); err != nil {
		return err
	}
	r.reduced = 0
	if n <= r.x.block && update {
		if err := r.x.inputs(&r.batch, program.Sample, 0, n); err != nil {
			return err
		}
		r.x.stale = true // for what runs without the graph
		r.block.lo, r.block.n = 0, n
		if r.x.uncapture {
			return r.whole(n)
		}
		if r.graph == nil {
			var err error
			if r.graph, err = r.d.Capture(func() error { return r.whole(n) }); err != nil {
				return err
			}
		}
		return r.graph.Replay()
	}
	for lo := 0; lo < n; lo += r.x.block {
		if err := ctx.Err(); err != nil {
			return err
		}
		k := min(r.x.block, n-lo)
		r.block.lo, r.block.n = lo, k
		if err := r.x.inputs(&r.batch, program.Sample, lo, k); err != nil {
			return err
		}
		if err := r.x.Pass(k, lo == 0, lo+k == n); err != nil {
			return err
		}
		if r.comm != nil && lo+k == n {
			continue // reduce has kept them
		}
		if err := r.keepLosses(lo, k); err != nil {
			return err
		}
	}
	if update {
		r.x.stale = true
	}
	return r.finish(update)
}

// whole enqueues a step of a batch that passes at once.
func (r *Trainer) whole(n int) error {
	if err := r.x.enqueue(pass{n, true, runConstants | runSteps | runSamples | runSums}); err != nil {
		return err
	}
	if r.comm == nil { // else reduce has kept them
		if err := r.keepLosses(0, n); err != nil {
			return err
		}
	}
	return r.finish(true)
}

// keepLosses copies the losses of a block, from row lo of this process on, to those of the batch.
func (r *Trainer) keepLosses(lo, n int) error {
	v := &r.x.values[r.x.prog.Output("losses")]
	if v.wide < 0 {
		return errors.New("cuda: the losses of the training program are no squared errors")
	}
	return driver.Copy(r.losses.View(8*(r.first+lo), 8*n), r.x.buffer(v, v.wide, 2*n))
}

// finish enqueues what follows the gradient.
func (r *Trainer) finish(update bool) error {
	a := driver.Pack(driver.Pack((&driver.Args{}).Buf(r.squares).Buf(r.grads), int64(r.count)), int64(r.share))
	if err := r.square.Launch(r.parts, a); err != nil {
		return err
	}
	if err := r.sum.Launch(1, (&driver.Args{}).Buf(r.result).Buf(r.losses).I32(r.total).Buf(r.squares).I32(r.parts)); err != nil || !update {
		return err
	}
	a = (&driver.Args{}).Buf(r.params).Buf(r.m).Buf(r.v).Buf(r.grads).Buf(r.ema).Buf(r.constants).Buf(r.result)
	return r.adam.Launch(r.x.blocks(r.adam, r.count), driver.Pack(a, int64(r.count)))
}

// fill draws the batch, on several goroutines. The weights are those of a mean over the batch and the elements of a sample.
func (r *Trainer) fill(src fit.Source) {
	n := r.batch.N
	workers := min(r.opt.Workers, n)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			const rows = 16
			for lo := w * rows; lo < n; lo += workers * rows {
				hi := min(n, lo+rows)
				src.Fill(&fit.Tile{Step: r.step, Lo: r.first + lo, Hi: r.first + hi, Worker: w,
					X: r.batch.In["x"][lo*r.size : hi*r.size], Target: r.batch.In["target"][lo*r.size : hi*r.size],
					Tau: r.batch.Wide["t"][lo:hi], Weight: r.weight[lo:hi], Label: r.labels[lo:hi]})
			}
		})
	}
	all.Wait()
	for i, w := range r.weight {
		r.batch.Wide["weight"][i] = float64(w) / (float64(r.total) * float64(r.size))
		r.batch.Wide["counter"][i] = float64(r.step*int64(r.total) + int64(r.first+i))
	}
}
