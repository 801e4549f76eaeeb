package cpu

import (
	"context"
	"runtime"

	"hbar/kernels/general"
	"hbar/program"
	"hbar/program/plan"
)

// Batch is a batch to run.
type Batch = general.Batch

// Run computes a batch.
func (x *Executor) Run(b *Batch) error { return x.RunContext(context.Background(), b) }

// RunContext computes a batch. It checks ctx between instructions: when that has ended, its error is returned, and outputs are
// partly written.
func (x *Executor) RunContext(ctx context.Context, b *Batch) error {
	if err := x.checkBatch(b); err != nil {
		return err
	}
	x.begin(b)
	var err error
	if pieces := x.pieces(b.N); pieces != nil {
		err = x.spread(ctx, b, pieces)
	} else {
		err = x.samples(ctx, b, 0, b.N)
	}
	if err != nil {
		return err
	}
	x.end(b)
	return nil
}

// begin computes what does not depend on the samples.
func (x *Executor) begin(b *Batch) {
	x.own(b)
	if x.stale {
		x.n = 1
		for _, constants := range []bool{true, false} { // of which the weights of others may be made
			for i := range x.steps {
				s := &x.steps[i]
				if s.skipped || (s.stage == plan.Constants) != constants {
					continue
				}
				if s.prepare != nil {
					s.prepare()
				}
				if constants {
					s.run()
				}
			}
		}
		x.stale = false
	}
	x.inputs(b, program.Step, 0, 1)
	x.ended, x.accumulate = nil, false // also after a run that panicked
	x.stage(plan.Steps, 1)
}

// vectorSamples is the most samples of a chunk, whose single rows are made at once: enough that reading weights takes little of the time.
const vectorSamples = 16

// chunk is the number of samples whose single rows are made at once, for blocks of the given size.
func (x *Executor) chunk(block int) int {
	if x.plan.Vectors == 0 {
		return block
	}
	return max(block, vectorSamples)
}

// samples computes samples [first, end) of a batch.
func (x *Executor) samples(ctx context.Context, b *Batch, first, end int) error {
	x.ended, x.accumulate = nil, false // also after a run that panicked
	x.reserve(min(end-first, x.block))
	chunk := x.chunk(x.block)
	for at := first; at < end; at += chunk {
		c := min(chunk, end-at)
		if x.plan.Vectors > 0 {
			if need := min(end-first, chunk) * x.plan.Vectors; len(x.vectors) < need {
				x.vectors = aligned(need)
			}
			x.arrangeVectors(c, 0, c)
			x.inputs(b, program.Sample, at, c)
			x.stage(plan.Vectors, c)
		}
		for lo := at; lo < at+c; lo += x.block {
			n := min(x.block, at+c-lo)
			x.arrange(n)
			x.arrangeVectors(c, lo-at, n)
			x.inputs(b, program.Sample, lo, n)
			x.accumulate = lo > first
			x.ended = ctx.Done()
			x.stage(plan.Samples, n)
			x.ended = nil
			if err := ctx.Err(); err != nil {
				return err
			}
			x.outputs(b, lo, n)
		}
	}
	x.accumulate = false
	return nil
}

// end finishes sums over the batch and what depends on them.
func (x *Executor) end(b *Batch) {
	for i := range x.steps {
		if s := &x.steps[i]; s.finish != nil && !s.skipped {
			s.finish()
		}
	}
	x.stage(plan.Sums, 1)
	x.outputs(b, -1, 1)
}

// reserve makes memory for the values of n samples.
func (x *Executor) reserve(n int) {
	if need := n * x.plan.PerSample; len(x.perSample) < need {
		x.perSample = nil // so that the old block can be collected before the new one is allocated
		runtime.GC()
		x.perSample = aligned(need)
	}
}

func (x *Executor) stage(stage plan.Stage, n int) {
	x.n = n
	for i := range x.steps {
		select {
		case <-x.ended:
			return
		default:
		}
		if s := &x.steps[i]; s.stage == stage && !s.skipped {
			if x.of != nil {
				x.team.admit()
			}
			s.run()
		}
	}
}

// arrange points the values at the memory of a block of n samples.
func (x *Executor) arrange(n int) {
	for id := range x.values {
		v := &x.values[id]
		if at := x.plan.Offset[id]; at >= 0 && v.Rate == program.Sample && !v.vector {
			v.s = x.perSample[n*at : n*(at+v.size)]
		}
	}
}

// arrangeVectors points the values of the stage Vectors at the memory of n samples from the given one on of a chunk of c.
func (x *Executor) arrangeVectors(c, from, n int) {
	for id := range x.values {
		v := &x.values[id]
		if at := x.plan.Offset[id]; at >= 0 && v.vector {
			v.s = x.vectors[c*at+from*v.size:][:n*v.size]
		}
	}
}

func (x *Executor) checkBatch(b *Batch) error {
	return b.Check("cpu", x.prog, func(id program.ID) bool { return x.values[id].s != nil })
}

// own places outputs that all samples share in the caller's memory, if there is any for them. Those that change only with parameters are not computed in
// each run, so that they stay here and are copied.
func (x *Executor) own(b *Batch) {
	for _, o := range x.prog.Outputs {
		v := &x.values[o.ID]
		if v.Role != program.Derived || v.Rate == program.Sample || v.view != nil || !x.computes(o.ID) {
			continue
		}
		if d, ok := b.Out[o.Name]; ok && v.Rate != program.Constant {
			v.s = d
			continue
		}
		if v.kept == nil {
			v.kept = aligned(v.size)[:v.size]
		}
		v.s = v.kept
	}
}

// inputs copies the inputs of a rate, for n samples from lo on.
func (x *Executor) inputs(b *Batch, rate program.Rate, lo, n int) {
	for id := range x.values {
		v := &x.values[id]
		if v.Role != program.Input || (v.Rate == program.Sample) != (rate == program.Sample) {
			continue
		}
		if v.size > 1 {
			v.s = b.In[v.Name][lo*v.size : (lo+n)*v.size]
			continue
		}
		if w, ok := b.Wide[v.Name]; ok {
			v.wide = append(v.wide[:0], w[lo:lo+n]...)
			v.s = append(v.s[:0], make([]float32, n)...)
			for i, d := range v.wide {
				v.s[i] = float32(d)
			}
			continue
		}
		v.s = append(v.s[:0], b.In[v.Name][lo:lo+n]...)
		v.wide = append(v.wide[:0], make([]float64, n)...)
		for i, d := range v.s {
			v.wide[i] = float64(d)
		}
	}
}

// outputs copies the outputs of n samples from lo on, or with lo −1 those that all samples share.
func (x *Executor) outputs(b *Batch, lo, n int) {
	for _, o := range x.prog.Outputs {
		v := &x.values[o.ID]
		if (v.Rate == program.Sample) != (lo >= 0) {
			continue
		}
		at := max(lo, 0)
		if d, ok := b.Out[o.Name]; ok {
			x.copyOut(d[at*v.size:(at+n)*v.size], o.ID)
		}
		if d, ok := b.WideOut[o.Name]; ok {
			for i := range n * v.size {
				if v.loss || v.Role == program.Input && v.size == 1 {
					d[at+i] = v.wide[i]
				} else {
					d[at*v.size+i] = float64(x.get(o.ID)[i])
				}
			}
		}
	}
}

func (x *Executor) copyOut(dst []float32, id program.ID) {
	a := x.array(id)
	if a.ld == a.cols {
		if &dst[0] != &a.s[0] {
			copy(dst, a.s)
		}
		return
	}
	CopyColumns(x.team, dst, a.cols, a.s, a.ld, len(dst)/a.cols, a.cols)
}
