package cpu

import (
	"context"
	"fmt"

	"hbar/kernels"
)

// Trajectory takes the n samples x (n×D, in place) through all rows of a step table (kernels.Row). m (n×D, in place) is the memory of
// the samples; nil stands for zeros that are not returned. no identifies the random numbers: sample i of x has those of sample
// Sample0+i of the stream, and that sample's label.
//
// A block of samples passes through all rows before the next begins. When ctx ends, some blocks are finished and the others are
// unchanged. progress, unless nil, receives how much of the work is done, in samples (n at the end).
func (e *Engine) Trajectory(ctx context.Context, x, m []float32, rows []kernels.Row, no kernels.Noise, progress func(done int)) error {
	n := len(x) / e.Dim()
	if len(x) != n*e.Dim() {
		return fmt.Errorf("cpu: x has %d elements; want a multiple of D = %d", len(x), e.Dim())
	}
	if m != nil && len(m) != len(x) {
		return fmt.Errorf("cpu: m has %d elements; want %d", len(m), len(x))
	}
	return e.Lend(ctx, func() error { return e.trajectories(ctx, x, m, n, rows, no, progress) })
}

func (e *Engine) trajectories(ctx context.Context, x, m []float32, n int, rows []kernels.Row, no kernels.Noise, progress func(done int)) error {
	ex, err := e.Runner("", true)
	if err != nil {
		return err
	}
	block := ex.Block()
	if e.Condition().Guidance != 0 {
		block = max(1, block/2)
	}
	for lo := 0; lo < n; lo += block {
		b := &trajectory{e: e, lo: lo, n: min(block, n-lo), rows: rows, noise: no, memory: kernels.UsesMemory(rows)}
		b.noise.Sample0 += uint64(lo)
		b.x = append([]float32(nil), x[lo*e.Dim():(lo+b.n)*e.Dim()]...)
		b.m = make([]float32, len(b.x))
		if m != nil {
			copy(b.m, m[lo*e.Dim():])
		}
		err := b.run(ctx, func(row int) {
			if progress != nil {
				progress(lo + b.n*row/len(rows))
			}
		})
		if err != nil {
			return err
		}
		copy(x[lo*e.Dim():], b.x)
		if m != nil && b.memory {
			copy(m[lo*e.Dim():], b.m)
		}
	}
	if progress != nil {
		progress(n)
	}
	return nil
}

// trajectory is the run of one block of samples.
type trajectory struct {
	e      *Engine
	lo, n  int
	rows   []kernels.Row
	noise  kernels.Noise
	memory bool
	x, m   []float32
}

func (b *trajectory) run(ctx context.Context, progress func(row int)) error {
	e := b.e
	label := e.LabelFrom(b.noise.Sample0)
	in, out, z := make([]float32, len(b.x)), make([]float32, len(b.x)), make([]float32, len(b.x))
	var memory []float32
	if b.memory {
		memory = b.m
	}
	for k, r := range b.rows {
		Scale(e.team, in, b.x, float32(r.Cin))
		if err := e.Guided(ctx, b.n, out, in, []float64{r.Tau}, label); err != nil {
			return err
		}
		var noise []float32
		if r.Noise != 0 || r.KeepNoise != 0 {
			noise = z
			kernels.Normals(z, b.noise, r.Step, b.n, e.Dim())
		}
		c := [8]float32{float32(r.State), float32(r.Net), float32(r.Memory), float32(r.Noise), float32(r.KeepState), float32(r.KeepNet), float32(r.KeepNoise), float32(r.KeepMemory)}
		flat(e.team, len(b.x), func(lo, hi int) {
			e.team.Impl.Update(b.x[lo:hi], out[lo:hi], part(memory, lo, hi), part(noise, lo, hi), &c)
		})
		progress(k + 1)
	}
	return nil
}

// part is s[lo:hi], or nil of nil.
func part(s []float32, lo, hi int) []float32 {
	if s == nil {
		return nil
	}
	return s[lo:hi]
}
