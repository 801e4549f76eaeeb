//go:build gpu && cgo

package programs

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"hbar/cuda/driver"
)

// A loop over elements: dimensions from the outermost on, with the distance of neighbours in the result and in each operand.
const (
	maxDims     = 6 // WALK in kernels/gpu/net_elements.cu
	maxOperands = 4
)

type dim struct {
	n    int
	to   int
	from [maxOperands]int
}

// collapsed joins dimensions that are one run in all arrays, and leaves out those of one index.
func collapsed(dims []dim) []dim {
	var out []dim
	for _, d := range dims {
		if d.n == 1 {
			continue
		}
		if k := len(out) - 1; k >= 0 {
			o, run := out[k], true
			run = o.to == d.to*d.n
			for i := range d.from {
				run = run && o.from[i] == d.from[i]*d.n
			}
			if run {
				d.n *= o.n
				out[k] = d
				continue
			}
		}
		out = append(out, d)
	}
	return out
}

// The functions of net_elements.
const (
	elCopy = iota
	elAdd
	elMul
	elAffine
	elGated
	elSlope
	elAct
	elPower
	elError
	elFill
)

// elementsWire mirrors struct Elements.
type elementsWire struct {
	Out                     uint64
	In                      [maxOperands]uint64
	Size, To                [maxDims]int32
	From                    [maxOperands][maxDims]int32
	Multiplier              [maxDims]uint32
	Shift                   [maxDims]int32
	Rank, Op, Act, Operands int32
	A, B                    float32
	Count                   int64
	Halves, _               int32
}

// elementwise is a function of net_elements over dims, of the operands.
type elementwise struct {
	general, vectors, flat *driver.Kernel
	op, act                int
	a, b                   float64
	halves                 int32 // whether the result is halves in memory: flag
}

func (x *Executor) elementwise(op int) (*elementwise, error) {
	e := &elementwise{op: op}
	var err error
	if e.general, err = x.kernel("elements", "net_elements", 256, 0); err == nil {
		e.vectors, err = x.kernel("elements", "net_elements_vectors", 256, 0)
	}
	if err == nil {
		e.flat, err = x.kernel("elements", "net_elements_flat", 256, 0)
	}
	return e, err
}

// run enqueues out = f(in) over dims.
func (e *elementwise) run(x *Executor, dims []dim, out uint64, in ...uint64) {
	dims = collapsed(dims)
	if len(dims) > maxDims {
		x.err = fmt.Errorf("a loop over %d dimensions; the kernel has %d", len(dims), maxDims)
		return
	}
	w := elementsWire{Out: out, Rank: int32(len(dims)), Op: int32(e.op), Act: int32(e.act), Operands: int32(len(in)), A: float32(e.a), B: float32(e.b), Count: 1, Halves: e.halves}
	copy(w.In[:], in)
	// Vectors of four numbers, if the last dimension has them in all arrays, or repeats an operand.
	last := len(dims) - 1
	four := last >= 0 && dims[last].n%4 == 0 && dims[last].to == 1 && out%16 == 0
	for i, d := range dims {
		w.Size[i], w.To[i] = int32(d.n), int32(d.to)
		w.Count *= int64(d.n)
		four = four && (i == last || d.to%4 == 0)
		for k := range in {
			w.From[k][i] = int32(d.from[k])
			four = four && (i == last && d.from[k] <= 1 || i < last && (d.from[k]%4 == 0 || dims[last].from[k] == 0)) && (in[k]%16 == 0 || dims[last].from[k] == 0)
		}
	}
	if e.halves != 0 && !four {
		x.err = errors.New("a result that is halves in memory has no whole vectors")
		return
	}
	k := e.general
	if four {
		k = e.vectors
		w.Count /= 4
		w.Size[last] /= 4
		flat := last == 0
		for i := range in {
			flat = flat && dims[0].from[i] == 1
		}
		if flat {
			k = e.flat
		}
	}
	for i := range dims {
		w.Multiplier[i], w.Shift[i] = quotient(int(w.Size[i]))
	}
	x.each(k, int(w.Count), driver.Pack(&driver.Args{}, w))
}

// quotient is the multiplier and the shift by which kernels divide numbers below 2³¹ by d; see net_vectors.cuh.
func quotient(d int) (multiplier uint32, shift int32) {
	if d <= 1 {
		return 0, 0
	}
	s := bits.Len(uint(d - 1))
	return uint32((1<<(31+s) + uint64(d) - 1) / uint64(d)), int32(s - 1)
}

// sumsWire mirrors struct Sums.
type sumsWire struct {
	Out, In                   uint64
	Size, From, Inner, Step   [maxDims]int32
	Rank, Depth, Count, Terms int32
}

// summing is net_sums: over kept dimensions, of sums over the others; or net_columns, where those are the columns of a matrix for each sample.
type summing struct {
	thread, four, warp *driver.Kernel
	columns            columnKernels
}

func (x *Executor) summing() (*summing, error) {
	s := &summing{}
	var err error
	if s.thread, err = x.kernel("elements", "net_sums", 256, 0); err == nil {
		s.warp, err = x.kernel("elements", "net_sums_warp", 256, 0)
	}
	if err == nil {
		s.four, err = x.kernel("elements", "net_sums_v4", 256, 0)
	}
	if err == nil {
		s.columns, err = x.columnKernels()
	}
	return s, err
}

// run enqueues the sums; the result is contiguous over kept, whose dimensions have the distances `to` of the input in from[0], as over has.
func (s *summing) run(x *Executor, out, in uint64, kept, over []dim) {
	count, terms := 1, 1
	for _, d := range kept {
		count *= d.n
	}
	for _, d := range over {
		terms *= d.n
	}
	// Distances in the result only say what is one run: those of a contiguous array.
	contiguous := func(dims []dim) []dim {
		to := 1
		c := append([]dim(nil), dims...)
		for i := len(c) - 1; i >= 0; i-- {
			c[i].to = to
			to *= c[i].n
		}
		return collapsed(c)
	}
	kept, over = contiguous(kept), contiguous(over)
	if len(kept) > maxDims || len(over) > maxDims {
		x.err = fmt.Errorf("a sum over %d dimensions of %d; the kernel has %d each", len(over), len(kept), maxDims)
		return
	}
	if cols := len(kept) - 1; terms >= 16 && len(over) == 1 && cols >= 0 && kept[cols].from[0] == 1 && over[0].from[0] == kept[cols].n &&
		(cols == 0 || cols == 1 && kept[0].from[0] == terms*kept[1].n) {
		s.columns.run(x, out, in, count/kept[cols].n*terms, kept[cols].n, terms)
		return
	}
	w := sumsWire{Out: out, In: in, Rank: int32(len(kept)), Depth: int32(len(over)), Count: int32(count), Terms: int32(terms)}
	for i, d := range kept {
		w.Size[i], w.From[i] = int32(d.n), int32(d.from[0])
	}
	for i, d := range over {
		w.Inner[i], w.Step[i] = int32(d.n), int32(d.from[0])
	}
	last := len(kept) - 1
	four := terms < 32 && last >= 0 && kept[last].n%4 == 0 && kept[last].from[0] == 1 && in%16 == 0 && out%16 == 0
	for i, d := range slices.Concat(kept, over) {
		four = four && (i == last || d.from[0]%4 == 0)
	}
	if four {
		w.Count /= 4
		w.Size[last], w.From[last] = w.Size[last]/4, 4
		x.each(s.four, count/4, driver.Pack(&driver.Args{}, w))
		return
	}
	args := driver.Pack(&driver.Args{}, w)
	neighbours := len(kept) > 0 && kept[len(kept)-1].from[0] == 1 && kept[len(kept)-1].n >= 8
	if terms < 32 || neighbours && count >= 1024 {
		x.each(s.thread, count, args)
	} else {
		x.each(s.warp, 32*count, args)
	}
}
