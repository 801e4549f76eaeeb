//go:build gpu && cgo

package programs

import (
	"context"
	"errors"
	"fmt"

	"hbar/cuda/driver"
	"hbar/kernels/general"
	"hbar/program"
	"hbar/program/plan"
)

// pass is what a captured graph does: the stages of a block of n samples, the first of a batch or a later one.
type pass struct {
	n      int
	first  bool
	stages stages
}

type stages uint8

const (
	runConstants stages = 1 << iota
	runSteps
	runSamples
	runSums
)

// RunContext computes a batch. It looks at ctx between blocks: when that has ended, its error is returned, and outputs are partly
// written.
func (x *Executor) RunContext(ctx context.Context, b *general.Batch) error {
	if err := x.checkBatch(b); err != nil {
		return err
	}
	if err := x.restore(b.N); err != nil {
		return err
	}
	if err := x.grow(min(b.N, x.block)); err != nil {
		return err
	}
	if err := x.inputs(b, program.Step, 0, 1); err != nil {
		return err
	}
	for lo := 0; lo < b.N; lo += x.block {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(x.block, b.N-lo)
		if err := x.inputs(b, program.Sample, lo, n); err != nil {
			return err
		}
		if err := x.Pass(n, lo == 0, lo+n == b.N); err != nil {
			return err
		}
		if err := x.outputs(b, lo, n); err != nil {
			return err
		}
	}
	return x.outputs(b, -1, 1)
}

// Constants enqueues what depends on parameters alone.
func (x *Executor) Constants() error {
	x.stale = false
	return x.replay(pass{1, true, runConstants})
}

// Pass enqueues a block of n samples whose inputs are on the device, the first or the last of its batch.
func (x *Executor) Pass(n int, first, last bool) error {
	if x.stale {
		if err := x.Constants(); err != nil {
			return err
		}
	}
	s := runSamples
	if first {
		s |= runSteps
	}
	if last {
		s |= runSums
	}
	return x.replay(pass{n, first, s})
}

// replay runs a pass, which is captured when it comes for the second time.
func (x *Executor) replay(p pass) error {
	c, known, err := x.graphs.use(p)
	if err != nil {
		return err
	}
	if !known || x.uncapture && p.stages&runSums != 0 {
		return x.enqueue(p)
	}
	if c.graph == nil {
		if c.graph, err = x.d.Capture(func() error { return x.enqueue(p) }); err != nil {
			return err
		}
	}
	return c.graph.Replay()
}

// enqueue enqueues the kernels of a pass.
func (x *Executor) enqueue(p pass) error {
	x.err = nil
	for _, s := range []struct {
		bit   stages
		stage plan.Stage
		n     int
		more  bool
	}{{runConstants, plan.Constants, 1, false}, {runSteps, plan.Steps, 1, false}, {runSamples, plan.Samples, p.n, !p.first}, {runSums, plan.Sums, 1, false}} {
		if p.stages&s.bit == 0 {
			continue
		}
		x.n, x.accumulate = s.n, s.more
		switch s.bit {
		case runConstants:
			x.packGiven(program.Param)
		case runSteps:
			x.packGiven(program.Input)
		}
		for i := range x.steps {
			if t := &x.steps[i]; t.stage == s.stage && !t.skipped {
				t.run()
				if x.err != nil {
					return fmt.Errorf("cuda: %s: %w", t.Op.Name(), x.err)
				}
				if x.reached != nil && p.stages&runSums != 0 && s.bit&(runSamples|runSums) != 0 {
					if err := x.reached(x.position(i)); err != nil {
						return err
					}
				}
			}
		}
	}
	if p.stages&runSums != 0 {
		for _, c := range x.copies {
			n := x.values[c.id].size
			x.copy.run(x, []dim{{n: n, to: 1, from: [maxOperands]int{1}}}, c.at, x.get(c.id))
		}
	}
	if x.err == nil && x.reached != nil && p.stages&runSums != 0 {
		return x.reached(x.end())
	}
	return x.err
}

func (x *Executor) checkBatch(b *general.Batch) error {
	return b.Check("cuda", x.prog, func(id program.ID) bool { return x.values[id].at != 0 || x.values[id].size == 0 })
}

// buffer is the memory of n arrays of a value, or of its float64 numbers.
func (x *Executor) buffer(v *storage, offset, numbers int) *driver.Buffer {
	if v.Rate == program.Sample {
		return x.perSample.View(4*offset*x.room, 4*numbers)
	}
	return x.shared.View(4*offset, 4*numbers)
}

// inputs uploads the inputs of a rate for n samples from lo on.
func (x *Executor) inputs(b *general.Batch, rate program.Rate, lo, n int) error {
	for id := range x.values {
		v := &x.values[id]
		if v.Role != program.Input || (v.Rate == program.Sample) != (rate == program.Sample) {
			continue
		}
		if err := x.upload(program.ID(id), b, lo, n); err != nil {
			return err
		}
	}
	return nil
}

// upload uploads an input for n samples from lo on: a scalar in float32 and float64.
func (x *Executor) upload(id program.ID, b *general.Batch, lo, n int) error {
	v := &x.values[id]
	narrow := b.In[v.Name]
	if v.size > 1 {
		return driver.Upload(x.buffer(v, v.offset, n*v.size), narrow[lo*v.size:(lo+n)*v.size])
	}
	wide, ok := b.Wide[v.Name]
	if ok {
		wide = wide[lo : lo+n]
		narrow = make([]float32, n)
		for i, d := range wide {
			narrow[i] = float32(d)
		}
	} else {
		narrow, wide = narrow[lo:lo+n], make([]float64, n)
		for i, d := range narrow {
			wide[i] = float64(d)
		}
	}
	if rows, ok := x.labels[id]; ok { // a kernel would read what is beside the table
		if err := general.CheckLabels("cuda", v.Name, rows, wide); err != nil {
			return err
		}
	}
	return errors.Join(driver.Upload(x.buffer(v, v.wide, 2*n), wide), driver.Upload(x.buffer(v, v.offset, n), narrow))
}

// outputs downloads the outputs of n samples from lo on, or with lo −1 those that all samples share.
func (x *Executor) outputs(b *general.Batch, lo, n int) error {
	for _, o := range x.prog.Outputs {
		v := &x.values[o.ID]
		if (v.Rate == program.Sample) != (lo >= 0) {
			continue
		}
		at := max(lo, 0)
		if d, ok := b.Out[o.Name]; ok {
			if err := driver.Download(d[at*v.size:(at+n)*v.size], x.d.Memory(x.get(o.ID), 4*n*v.size)); err != nil {
				return err
			}
		}
		d, ok := b.WideOut[o.Name]
		if !ok {
			continue
		}
		d = d[at*v.size : (at+n)*v.size]
		if v.wide >= 0 {
			if err := driver.Download(d, x.buffer(v, v.wide, 2*n)); err != nil {
				return err
			}
			continue
		}
		s := make([]float32, len(d))
		if err := driver.Download(s, x.d.Memory(x.get(o.ID), 4*len(s))); err != nil {
			return err
		}
		for i, f := range s {
			d[i] = float64(f)
		}
	}
	return nil
}
