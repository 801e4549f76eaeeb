package cpu

import (
	"context"
	"fmt"

	"hbar/kernels"
)

// Trajectory runs the n samples x (n×D, in place) through all rows: of each row first the network, then the updates that
// kernels.Row defines. m (n×D, in place) is the samples' memory; nil stands for zeros that are not returned. no names the
// random numbers: sample i of x draws from sample Sample0+i of the stream, and has that sample's label.
//
// A block of samples goes through all rows before the next begins. When ctx ends some blocks are finished and the others are as
// they were. progress, unless nil, is told how much of the work is done, in samples (n at the end).
func (e *Engine) Trajectory(ctx context.Context, x, m []float32, rows []kernels.Row, no kernels.Noise, progress func(done int)) error {
	n, err := e.samples(len(x), []float64{0})
	if err != nil {
		return err
	}
	if m != nil && len(m) != len(x) {
		return fmt.Errorf("cpu: m has %d elements; want %d", len(m), len(x))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	ex, err := e.executor("", true)
	if err != nil {
		return err
	}
	block := ex.Block()
	if e.o.Guidance != 0 {
		block = max(1, block/2)
	}
	for lo := 0; lo < n; lo += block {
		b := &trajectory{e: e, lo: lo, n: min(block, n-lo), rows: rows, noise: no, memory: kernels.UsesMemory(rows)}
		b.noise.Sample0 += uint64(lo)
		b.x = append([]float32(nil), x[lo*e.d:(lo+b.n)*e.d]...)
		b.m = make([]float32, len(b.x))
		if m != nil {
			copy(b.m, m[lo*e.d:])
		}
		err := b.run(ctx, func(row int) {
			if progress != nil {
				progress(lo + b.n*row/len(rows))
			}
		})
		if err != nil {
			return err
		}
		copy(x[lo*e.d:], b.x)
		if m != nil && b.memory {
			copy(m[lo*e.d:], b.m)
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
	label := e.labelFrom(b.noise.Sample0)
	in, out, z := make([]float32, len(b.x)), make([]float32, len(b.x)), make([]float32, len(b.x))
	var memory []float32
	if b.memory {
		memory = b.m
	}
	for k, r := range b.rows {
		Scale(e.team, in, b.x, float32(r.Cin))
		if err := e.guided(ctx, b.n, out, in, []float64{r.T}, label); err != nil {
			return err
		}
		var noise []float32
		if r.C != 0 || r.J != 0 {
			noise = z
			kernels.Normals(z, b.noise, r.Step, b.n, e.d)
		}
		c := [8]float32{float32(r.A), float32(r.B), float32(r.M), float32(r.C), float32(r.G), float32(r.H), float32(r.J), float32(r.K)}
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
