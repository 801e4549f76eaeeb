//go:build gpu && cgo

package programs

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"hbar/cuda/driver"
	"hbar/program"
	"hbar/program/plan"
)

// The sum of the gradients over all processes is made in driver.Buckets. The losses of all rows are summed too, each process with
// zeros for the rows of others, so that each has the losses of one process, in all bits.

// position of instruction i in a pass that runs to the sums: all of stage Sums follow those for samples.
func (x *Executor) position(i int) int {
	if x.plan.Stage[i] == plan.Sums {
		return len(x.steps) + i
	}
	return i
}

// end is the position behind all instructions.
func (x *Executor) end() int { return 2 * len(x.steps) }

// settled is the position after which an output is there and read by no other instruction, itself or through a view: it may then be changed in place.
func (x *Executor) settled(out program.ID) int {
	for _, c := range x.copies {
		if c.id == out {
			return x.end()
		}
	}
	root := func(id program.ID) program.ID {
		for x.values[id].view != nil {
			id = x.values[id].view.Of
		}
		return id
	}
	last := -1
	for i, s := range x.steps {
		for _, id := range slices.Concat(s.In, s.Out) {
			if root(id) == root(out) {
				last = max(last, x.position(i))
			}
		}
	}
	return last
}

// shareBatches prepares the sums over the processes of the communicator. gradients are the outputs of the trained parameters.
func (r *Trainer) shareBatches(gradients []string, size int) {
	ready := make([]int, len(gradients))
	for i, name := range gradients {
		ready[i] = r.x.settled(r.x.prog.Output(name))
	}
	at := make([]int, len(r.trained))
	for i, q := range r.trained {
		at[i] = q.at
	}
	losses := driver.Bucket{Ready: r.x.settled(r.x.prog.Output("losses"))} // of no gradient
	r.buckets = append(driver.Buckets(at, ready, r.count, size), losses)
	slices.SortStableFunc(r.buckets, func(a, b driver.Bucket) int { return cmp.Compare(a.Ready, b.Ready) })
	r.x.reached = r.reduce
}

// reduce enqueues the sums of what is there after a position of a pass. At the end what follows waits for them.
func (r *Trainer) reduce(position int) error {
	for ; r.reduced < len(r.buckets) && r.buckets[r.reduced].Ready <= position; r.reduced++ {
		b := r.buckets[r.reduced]
		if b.N == 0 {
			if err := r.keepLosses(r.block.lo, r.block.n); err != nil {
				return err
			}
			if err := r.comm.AllReduce(r.losses, true); err != nil {
				return err
			}
			continue
		}
		if err := r.comm.AllReduce(r.grads.View(4*b.Lo, 4*b.N), false); err != nil {
			return err
		}
	}
	if position == r.x.end() {
		return r.comm.Join()
	}
	return nil
}

// Behind the losses of all rows the processes exchange: how many have been asked to stop, and the norm of the last gradient of each.
func (r *Trainer) extra() int {
	if r.comm == nil {
		return 0
	}
	return 1 + r.comm.Size
}

// announce uploads what this process adds to the losses: zeros for the rows of others, and what stands behind them.
func (r *Trainer) announce(stop bool) error {
	mine := make([]float64, r.total+r.extra())
	if stop {
		mine[r.total] = 1
	}
	mine[r.total+1+r.comm.Rank] = r.norm
	return driver.Upload(r.losses, mine)
}

// heard reads what all processes have announced. The gradients that they summed must have been the same in all: then so are their weights.
func (r *Trainer) heard() error {
	all := make([]float64, r.extra())
	if err := driver.Download(all, r.losses.View(8*r.total, 8*len(all))); err != nil {
		return err
	}
	r.stopped = r.stopped || all[0] != 0
	for rank, v := range all[1:] {
		if math.Float64bits(v) != math.Float64bits(all[1]) {
			return fmt.Errorf("cuda: after step %d the gradient of process %d has the norm %v, that of process 0 %v: the sums of NCCL are not the same in all processes", r.step, rank, v, all[1])
		}
	}
	return nil
}

// Stopped says that a process has been asked to stop, by the end of the context of its Run. All end Run after the same step.
func (r *Trainer) Stopped() bool { return r.stopped }

// Sums is the number of sums over all processes in a step, and the part of the gradient's numbers whose sums begin before the last gradient is
// there. Without a communicator both are 0.
func (r *Trainer) Sums() (sums int, early float64) {
	gradients := slices.DeleteFunc(slices.Clone(r.buckets), func(b driver.Bucket) bool { return b.N == 0 })
	return len(gradients), driver.Early(gradients)
}
