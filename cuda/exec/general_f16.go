//go:build gpu && cgo

package exec

import (
	"errors"
	"fmt"

	"hbar/cuda/driver"
	"hbar/kernels"
)

// halves are the weights of the layers behind the first in half precision, for tensor cores. Rows are padded with zeros to a multiple
// of 8.
type halves struct {
	g       *General
	weights []*driver.Buffer // of each instruction; nil for those on the input
}

// denseF16Args has the layout of struct DenseF16 of kernels/gpu/dense_f16.cu, which documents the fields.
type denseF16Args struct {
	A, B       uint64
	ARow, BRow int64
	A32, B32   driver.Matrix
	Out, Out32 uint64
	OutRow     int64
	Bias       uint64
	BiasRow    int64
	Add        uint64
	AddRow     int64
	Sums       uint64
	M, N, K    int32
	Act        int32
}

// The tiles of kernels/gpu/gemm_f16.cuh, three buffers of 32 steps of k with rows 16 bytes longer, and that of layers on the
// input.
var (
	tileF16Large  = tile{"dense_f16_large", 128, 128, 128, 3 * (128 + 128) * (2*32 + 16)}
	tileF16Narrow = tile{"dense_f16_narrow", 128, 16, 128, 3 * (128 + 16) * (2*32 + 16)}
	tileF16First  = tile{"dense_f16_first", tileF32Small.m, tileF32Small.n, tileF32Small.threads, tileF32Small.shared}
)

// eights rounds up to a multiple of 8.
func eights(n int) int { return (n + 7) &^ 7 }

// takesF16 returns an error that says why a network cannot run in f16.
func takesF16(p *kernels.Chain) error {
	for i, ins := range p.Forward {
		if ins.Add == 0 {
			return fmt.Errorf("cuda: instruction %d adds the network's input; f16 does not, use fp32", i)
		}
		if ins.Src == p.Output || ins.Add == p.Output {
			return fmt.Errorf("cuda: instruction %d reads the network's output; f16 does not, use fp32", i)
		}
	}
	return nil
}

func newHalves(g *General) (*halves, error) {
	h := &halves{g: g, weights: make([]*driver.Buffer, len(g.p.Forward))}
	for i, ins := range g.p.Forward {
		if ins.Src == 0 {
			continue
		}
		w := g.p.Params[ins.W]
		b, err := g.d.Alloc(2 * w.Rows * eights(w.Cols))
		if err == nil {
			h.weights[i] = b
			a := driver.Pack(new(driver.Args).Buf(b), g.net32.param(ins.W, 0)).I32(w.Rows).I32(w.Cols)
			err = g.each("halve_rows", w.Rows*eights(w.Cols), a)
		}
		if err != nil {
			return nil, errors.Join(err, h.free())
		}
	}
	return h, nil
}

func (h *halves) free() (err error) {
	if h == nil {
		return nil
	}
	for _, b := range h.weights {
		err = errors.Join(err, b.Free())
	}
	return err
}

// half evaluates in half precision.
func (g *General) half() evaluator {
	if g.wide != nil {
		return g.wide.pass
	}
	return g.net16.pass
}

// pass is layers.pass for values. The rows of coordinates and the output are float32, the activations in between are half precision.
func (h *halves) pass(rows int, in deviceRows, t *times) (deviceRows, error) {
	g := h.g
	p := g.p
	buf := make([]deviceRows, len(p.Widths)) // of halves
	for i, ins := range p.Forward {
		w := p.Params[ins.W]
		q := denseF16Args{M: int32(rows), N: int32(w.Rows), K: int32(w.Cols), Act: int32(ins.Act), Bias: g.net32.param(ins.B, 0)}
		var out deviceRows
		if ins.Dst == p.Output {
			var err error
			if out, err = g.net32.rows(g.net32.outputSlot("value"), rows, w.Rows); err != nil {
				return out, err
			}
			q.Out32, q.OutRow = out.at, int64(out.row)
		} else {
			s := g.slots[ins.Dst]
			b, err := g.space.bytes(slot{"half", s}, 2*g.padded(rows)*eights(g.slotWidth[s]))
			if err != nil {
				return deviceRows{}, err
			}
			buf[ins.Dst] = deviceRows{b.Address(), eights(w.Rows)}
			q.Out, q.OutRow = b.Address(), int64(eights(w.Rows))
		}
		if ins.Add >= 0 {
			q.Add, q.AddRow = buf[ins.Add].at, int64(buf[ins.Add].row)
		}
		if ins.Src == 0 {
			first := g.net32.product(i, rows, in, deviceRows{})
			q.A32, q.B32, q.K = first.A, first.B, first.K
			q.Bias, q.BiasRow = t.bias[i].at, int64(t.bias[i].row)
		} else {
			src := buf[ins.Src]
			q.A, q.ARow, q.B, q.BRow = src.at, int64(src.row), h.weights[i].Address(), int64(eights(w.Cols))
		}
		if err := h.layer(ins.Src, &q); err != nil {
			return out, err
		}
		if ins.Dst == p.Output {
			return out, nil
		}
	}
	return deviceRows{}, errors.New("cuda: no instruction writes the output") // Validate has seen to it
}

func (h *halves) layer(src int, q *denseF16Args) error {
	g := h.g
	if src == 0 {
		return h.launch(tileF16First, q)
	}
	if g.blas == nil || min(int(q.N), int(q.K)) < g.blasWidth {
		if int(q.N) <= tileF16Narrow.n {
			return h.launch(tileF16Narrow, q)
		}
		return h.launch(tileF16Large, q)
	}
	sums, err := g.net32.rows(slot{"sums", 0}, g.blasRows, int(q.N))
	if err != nil {
		return err
	}
	for r := 0; r < int(q.M); r += g.blasRows {
		piece := *q
		piece.A += uint64(2 * r * int(q.ARow))
		piece.Out += uint64(2*r*int(q.OutRow)) * min(piece.Out, 1)
		piece.Out32 += uint64(4*r*int(q.OutRow)) * min(piece.Out32, 1)
		piece.Bias += uint64(4 * r * int(q.BiasRow))
		piece.Add += uint64(2*r*int(q.AddRow)) * min(piece.Add, 1)
		piece.Sums = sums.at
		err := g.blas.Enqueue(2, &driver.Product{
			A: matrix(piece.A, q.ARow, 1), B: matrix(q.B, 1, q.BRow), C: sums.at, CRow: int64(q.N),
			M: int32(g.blasRows), N: q.N, K: q.K,
		})
		if err != nil {
			return err
		}
		piece.M = min(int32(g.blasRows), q.M-int32(r))
		if err := g.each("dense_f16_finish", int(piece.M)*int(piece.N), driver.Pack(new(driver.Args), piece)); err != nil {
			return err
		}
	}
	return nil
}

func (h *halves) launch(t tile, q *denseF16Args) error {
	columns := int(q.N)
	if q.Out != 0 && q.A != 0 {
		columns = eights(columns) // a tile writes the zeros too
	}
	return h.g.kernels[t.name].Launch(t.grid(int(q.M), columns), driver.Pack(new(driver.Args), *q))
}
