package learn

import (
	"unsafe"

	"hbar/kernels"
	"hbar/kernels/simd"
)

const (
	lanes    = simd.Panel32
	headOuts = 8 // a last layer of at most so many outputs is a head
)

func pad(n int) int { return (n + lanes - 1) &^ (lanes - 1) }

// stride is the row stride of a buffer with n columns: an odd number of cache lines, so that a column of a tile uses
// all sets of a cache.
func stride(n int) int { return (n/lanes | 1) * lanes }

// aligned returns n zeros that start at a cache line.
func aligned(n int) []float32 {
	s := make([]float32, n+lanes)
	off := int(-uintptr(unsafe.Pointer(unsafe.SliceData(s))) / 4 % lanes)
	return s[off : off+n : off+n]
}

// buffer describes an array with one row for each sample. It is memory of the batch if the second phase needs it, else of the worker.
type buffer struct {
	width, ld int
	one       int  // column of ones; -1 for none
	kept      bool // memory of the batch
	batch     []float32
}

// layer is a dense layer, with the position of its parameters in the flat vectors (param, m, v, grad, ema).
//
// Panels: [panels][rows][16], row k the weights of input k, row rows-1 the bias. Head: [out][rows], the bias at one.
type layer struct {
	w, b      int // parameters
	in, out   int
	src, dst  int // forward buffers
	add       int
	act       simd.Act
	head      bool
	rows      int
	one       int // the bias's row
	off, size int // in the flat vectors

	bias []float32 // [pad(out)] in one piece
	back []float32 // Wᵀ's panels [pad(in)/16][out][16]; nil if ∂loss/∂input is not wanted or the layer is a head
}

// index is the position in the flat vectors of the weight from input k (of the bias if k = l.in) to output o.
func (l *layer) index(o, k int) int {
	if k == l.in {
		k = l.one
	}
	if l.head {
		return l.off + o*l.rows + k
	}
	return l.off + (o/lanes*l.rows+k)*lanes + o%lanes
}

// panels is the number of panels of 16 outputs.
func (l *layer) panels() int { return pad(l.out) / lanes }

// plan lays out the buffers and parameters of p.
func (t *Trainer) plan(p *kernels.ChainTraining) error {
	if err := p.Validate(); err != nil {
		return err
	}
	kept := make([]bool, len(p.Widths))
	read := make([]bool, len(p.Widths))
	keptGrad := make([]bool, len(p.GradWidths))
	wantInput := make([]bool, len(p.Params))
	for _, in := range p.Forward {
		read[in.Src] = true
		if in.Add >= 0 {
			read[in.Add] = true
		}
	}
	for _, in := range p.Backward {
		switch in.Op {
		case kernels.BackParams:
			kept[in.X], keptGrad[in.Src] = true, true
		case kernels.BackInput:
			wantInput[in.W] = true
		}
	}

	t.fwd = make([]buffer, len(p.Widths))
	for i, w := range p.Widths {
		one := pad(w)
		if i == 0 {
			one = w // no product writes the input, so its padding needs no whole panel
		}
		t.fwd[i] = buffer{width: w, one: one, ld: stride(pad(one + 1))}
	}
	t.grad = make([]buffer, len(p.GradWidths))
	for i, w := range p.GradWidths {
		t.grad[i] = buffer{width: w, one: -1, ld: stride(pad(w) + lanes)}
	}
	n := 0
	for _, in := range p.Forward {
		w := p.Params[in.W]
		l := &layer{w: in.W, b: in.B, in: w.Cols, out: w.Rows, src: in.Src, dst: in.Dst, add: in.Add, act: in.Act}
		l.one = t.fwd[in.Src].one
		l.head = l.out <= headOuts && in.Src != 0 && in.Add < 0 && in.Act == simd.Identity && !read[in.Dst]
		l.off = n
		if l.head {
			l.rows = pad(l.one + 1)
			l.size = l.out * l.rows
			t.fwd[in.Dst].ld, t.fwd[in.Dst].one = l.out, -1
		} else {
			l.rows = l.one + 1
			l.size = pad(l.out) * l.rows
			if wantInput[in.W] {
				l.back = aligned(pad(l.in) * l.out)
			}
		}
		l.bias = aligned(pad(l.out))
		n += l.size
		t.layers = append(t.layers, l)
	}
	t.param, t.m, t.v, t.g = aligned(n), aligned(n), aligned(n), aligned(n)
	if t.opt.EMA > 0 {
		t.ema = aligned(n)
	}
	for i := range t.fwd {
		t.fwd[i].kept = kept[i]
	}
	for i := range t.grad {
		t.grad[i].kept = keptGrad[i]
	}
	return nil
}

// alloc returns memory for rows rows of the buffer.
func (b *buffer) alloc(rows int) []float32 {
	s := aligned(rows * b.ld)
	if b.one >= 0 {
		for i := range rows {
			s[i*b.ld+b.one] = 1
		}
	}
	return s
}
