package kernels

import (
	"errors"
	"fmt"
	"math"

	"hbar/kernels/simd"
)

// Validate reports the first fault of p that keeps it from being run.
func (p *Chain) Validate() error {
	if p == nil {
		return errors.New("kernels: nil chain")
	}
	if p.D < 1 {
		return fmt.Errorf("kernels: chain has D = %d dimensions, want at least 1", p.D)
	}
	if len(p.Widths) == 0 || len(p.Forward) == 0 {
		return errors.New("kernels: chain without buffers or instructions")
	}
	if want := p.D + p.Time.Width(); p.Widths[0] != want {
		return fmt.Errorf("kernels: buffer 0 has width %d, want %d (%d coordinates and %d time features)", p.Widths[0], want, p.D, p.Time.Width())
	}
	for i, w := range p.Widths {
		if w < 1 {
			return fmt.Errorf("kernels: buffer %d has width %d, want at least 1", i, w)
		}
	}
	for i, f := range p.Time.Freqs {
		if !finite(f) {
			return fmt.Errorf("kernels: time frequency %d is %g, want a finite number", i, f)
		}
	}
	for i, q := range p.Params {
		if q.Rows < 1 || q.Cols < 1 || len(q.Data) != q.Rows*q.Cols {
			return fmt.Errorf("kernels: parameter %d (%s) is %d×%d with %d elements", i, q.Name, q.Rows, q.Cols, len(q.Data))
		}
		for j, v := range q.Data {
			if !finite(v) {
				return fmt.Errorf("kernels: parameter %s[%d,%d] is %g, want a finite number", q.Name, j/q.Cols, j%q.Cols, v)
			}
		}
	}
	written := make([]bool, len(p.Widths))
	written[0] = true
	for i, ins := range p.Forward {
		if err := p.validateInstr(ins, written); err != nil {
			return fmt.Errorf("kernels: instruction %d: %w", i, err)
		}
		written[ins.Dst] = true
	}
	if p.Output <= 0 || p.Output >= len(p.Widths) || !written[p.Output] {
		return fmt.Errorf("kernels: output is buffer %d, which no instruction writes", p.Output)
	}
	if w := p.Widths[p.Output]; w != p.D {
		return fmt.Errorf("kernels: output has width %d, want D = %d", w, p.D)
	}
	return nil
}

func (p *Chain) validateInstr(ins Instr, written []bool) error {
	if ins.Op != OpDense {
		return fmt.Errorf("operation %d unknown; have dense (%d)", ins.Op, OpDense)
	}
	if ins.Act > simd.Tanh {
		return fmt.Errorf("activation %v unknown; have identity, silu, gelu, tanh", ins.Act)
	}
	if ins.Dst < 1 || ins.Dst >= len(p.Widths) {
		return fmt.Errorf("destination buffer %d, want 1 to %d", ins.Dst, len(p.Widths)-1)
	}
	if written[ins.Dst] {
		return fmt.Errorf("buffer %d is written twice", ins.Dst)
	}
	if ins.Src < 0 || ins.Src >= len(p.Widths) || !written[ins.Src] {
		return fmt.Errorf("source buffer %d is not written yet", ins.Src)
	}
	if ins.Add >= len(p.Widths) || ins.Add >= 0 && !written[ins.Add] {
		return fmt.Errorf("added buffer %d is not written yet", ins.Add)
	}
	if ins.W < 0 || ins.W >= len(p.Params) || ins.B < 0 || ins.B >= len(p.Params) {
		return fmt.Errorf("weight %d or bias %d is not one of the %d parameters", ins.W, ins.B, len(p.Params))
	}
	out, in := p.Widths[ins.Dst], p.Widths[ins.Src]
	if w := p.Params[ins.W]; w.Rows != out || w.Cols != in {
		return fmt.Errorf("weight %s is %d×%d, want %d×%d (out×in)", w.Name, w.Rows, w.Cols, out, in)
	}
	if b := p.Params[ins.B]; b.Rows != out || b.Cols != 1 {
		return fmt.Errorf("bias %s is %d×%d, want %d×1", b.Name, b.Rows, b.Cols, out)
	}
	if ins.Add >= 0 && p.Widths[ins.Add] != out {
		return fmt.Errorf("added buffer %d has width %d, want %d", ins.Add, p.Widths[ins.Add], out)
	}
	return nil
}

func finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
