package cpu

import (
	"strings"

	"hbar/kernels/simd"
	"hbar/program"
	"hbar/program/ops"
)

// einsum is an ops.Einsum as matrix products C = A B, one for each value of the index that all three arrays have. It is what the
// derivatives of attention's derivatives are made of.
type einsum struct {
	batch, m, n, k int
	swapped        bool // A is the op's second array
	// Strides of the indices: aK is that of k in A.
	aBatch, aM, aK int
	bBatch, bK, bN int
	cBatch, cM     int // n has the stride 1 in C
}

// newEinsum returns the products of an op for arrays of these shapes; ok is false where it is something else.
func newEinsum(op ops.Einsum, a, b, c []int) (e einsum, ok bool) {
	if op.Out == "" {
		return e, false
	}
	last := op.Out[len(op.Out)-1]
	if strings.IndexByte(op.A, last) >= 0 { // rows of C are rows of B
		op.A, op.B, a, b = op.B, op.A, b, a
		e.swapped = true
	}
	e.batch, e.m, e.n, e.k = 1, 1, 1, 1
	seen := map[string]bool{}
	for _, i := range op.Out + op.A + op.B {
		sizeA, strideA := dimension(op.A, a, i)
		sizeB, strideB := dimension(op.B, b, i)
		sizeC, strideC := dimension(op.Out, c, i)
		kind := ""
		switch {
		case sizeA > 0 && sizeB > 0 && sizeC > 0:
			kind, e.batch, e.aBatch, e.bBatch, e.cBatch = "batch", sizeA, strideA, strideB, strideC
		case sizeA > 0 && sizeC > 0:
			kind, e.m, e.aM, e.cM = "m", sizeA, strideA, strideC
		case sizeB > 0 && sizeC > 0 && byte(i) == last:
			kind, e.n, e.bN = "n", sizeB, strideB
		case sizeA > 0 && sizeB > 0:
			kind, e.k, e.aK, e.bK = "k", sizeA, strideA, strideB
		}
		if kind == "" || seen[kind] && !seen[kind+string(i)] {
			return e, false
		}
		seen[kind], seen[kind+string(i)] = true, true
	}
	return e, seen["n"]
}

// dimension is the size of an index of a term and its stride; the size is 0 if the term does not have it.
func dimension(term string, shape []int, index rune) (size, stride int) {
	d := strings.IndexRune(term, index)
	if d < 0 {
		return 0, 0
	}
	return shape[d], program.Size(shape[d+1:])
}

// einsumRows is the number of rows of C in a task: the packing of B for each task then costs little beside the product.
const einsumRows = 120

// run computes the products of n samples.
func (e *einsum) run(t *Team, c, a, b []float32, n int) {
	if e.swapped {
		a, b = b, a
	}
	sizeA, sizeB, sizeC := len(a)/n, len(b)/n, len(c)/n
	tiles := (e.m + einsumRows - 1) / einsumRows
	panels := roundUp(e.n) / lanes
	width := panels * lanes
	t.Run(n*e.batch*tiles, func(w, task int) {
		lo, product := task%tiles*einsumRows, task/tiles
		sample, h := product/e.batch, product%e.batch
		m := min(einsumRows, e.m-lo)
		s := t.Scratch(w, width*e.k+m*width)
		packed, sums := s[:width*e.k], s[width*e.k:]
		e.pack(packed, b[sample*sizeB+h*e.bBatch:])
		t.Impl.Product32(&simd.Product[float32]{A: a[sample*sizeA+h*e.aBatch+lo*e.aM:], AM: e.aM, AK: e.aK, B: packed, BP: lanes * e.k, BK: lanes,
			C: sums, CM: width, CP: lanes, M: m, K: e.k, NP: panels})
		for i := range m {
			copy(c[sample*sizeC+h*e.cBatch+(lo+i)*e.cM:][:e.n], sums[i*width:])
		}
	})
}

// pack writes B as panels [⌈n/16⌉][k][16], with zeros behind the last column.
func (e *einsum) pack(dst, b []float32) {
	for p := 0; p*lanes < e.n; p++ {
		panel := dst[p*lanes*e.k : (p+1)*lanes*e.k]
		cols := min(lanes, e.n-p*lanes)
		if cols < lanes {
			clear(panel)
		}
		from := b[p*lanes*e.bN:]
		if e.bN == 1 {
			for k := range e.k {
				copy(panel[k*lanes:][:cols], from[k*e.bK:])
			}
			continue
		}
		for j := range cols {
			column := from[j*e.bN:]
			for k := range e.k {
				panel[k*lanes+j] = column[k*e.bK]
			}
		}
	}
}

func bindEinsum(x *Executor, in program.Instr) (bound, error) {
	e, ok := newEinsum(in.Op.(ops.Einsum), x.shape(in.In[0]), x.shape(in.In[1]), x.shape(in.Out[0]))
	if !ok {
		return bindReference(x, in)
	}
	return bound{run: func() { e.run(x.team, x.get(in.Out[0]), x.each(in.In[0]), x.each(in.In[1]), x.n) }}, nil
}
