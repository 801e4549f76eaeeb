package infer

import (
	"errors"
	"fmt"
	"math"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// Validate reports the first thing that makes p no runnable network.
func Validate(p *kernels.Chain) error {
	if p == nil {
		return errors.New("infer: nil program")
	}
	if p.D < 1 {
		return fmt.Errorf("infer: program has D = %d dimensions, want at least 1", p.D)
	}
	if len(p.Widths) == 0 || len(p.Forward) == 0 {
		return errors.New("infer: program without buffers or instructions")
	}
	if want := p.D + p.Time.Width(); p.Widths[0] != want {
		return fmt.Errorf("infer: buffer 0 has width %d, want %d (%d coordinates and %d time features)", p.Widths[0], want, p.D, p.Time.Width())
	}
	for i, w := range p.Widths {
		if w < 1 {
			return fmt.Errorf("infer: buffer %d has width %d, want at least 1", i, w)
		}
	}
	for i, f := range p.Time.Freqs {
		if !finite(f) {
			return fmt.Errorf("infer: time frequency %d is %g, want a finite number", i, f)
		}
	}
	for i, q := range p.Params {
		if q.Rows < 1 || q.Cols < 1 || len(q.Data) != q.Rows*q.Cols {
			return fmt.Errorf("infer: parameter %d (%s) is %d×%d with %d elements", i, q.Name, q.Rows, q.Cols, len(q.Data))
		}
		for j, v := range q.Data {
			if !finite(v) {
				return fmt.Errorf("infer: parameter %s[%d,%d] is %g, want a finite number", q.Name, j/q.Cols, j%q.Cols, v)
			}
		}
	}
	written := make([]bool, len(p.Widths))
	written[0] = true
	for i, ins := range p.Forward {
		if err := validateInstr(p, ins, written); err != nil {
			return fmt.Errorf("infer: instruction %d: %w", i, err)
		}
		written[ins.Dst] = true
	}
	if p.Output <= 0 || p.Output >= len(p.Widths) || !written[p.Output] {
		return fmt.Errorf("infer: output is buffer %d, which no instruction writes", p.Output)
	}
	if w := p.Widths[p.Output]; w != p.D {
		return fmt.Errorf("infer: output has width %d, want D = %d", w, p.D)
	}
	return nil
}

func validateInstr(p *kernels.Chain, ins kernels.Instr, written []bool) error {
	if ins.Op != kernels.OpDense {
		return fmt.Errorf("operation %d unknown; have dense (%d)", ins.Op, kernels.OpDense)
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

// batch checks a batch of samples x (n×d) and their times (1 or n), and returns n.
func batch(d, x int, tau []float64) (int, error) {
	if x%d != 0 {
		return 0, fmt.Errorf("infer: x has %d elements, want a multiple of D = %d", x, d)
	}
	n := x / d
	if len(tau) != 1 && len(tau) != n {
		return 0, fmt.Errorf("infer: %d times for %d samples, want 1 or %d", len(tau), n, n)
	}
	for i, t := range tau {
		if math.IsNaN(t) || math.IsInf(t, 0) {
			return 0, fmt.Errorf("infer: time %d is %g, want a finite number", i, t)
		}
	}
	return n, nil
}

// length checks the length of one argument.
func length(name string, have, want int) error {
	if have != want {
		return fmt.Errorf("infer: %s has %d elements, want %d", name, have, want)
	}
	return nil
}
