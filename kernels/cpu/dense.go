package cpu

import (
	"fmt"

	"hbar/kernels/simd"
)

// lanes is the columns of a panel of the products.
const lanes = simd.Panel32

// roundUp is the smallest multiple of lanes that is at least n.
func roundUp(n int) int { return (n + lanes - 1) &^ (lanes - 1) }

// Dense is a dense layer from In to Out units with its weights in the layouts of the products. The weights themselves,
// [Out, In] row-major, stay with the caller, who calls SetForward and SetBackward whenever they have changed. All
// matrices of activations have one row for each sample, token or pixel and a row stride ld that counts elements, so
// that a range of columns of a wider matrix can be given.
type Dense struct {
	In, Out int
	fwd     []float32 // panels of outputs: [⌈Out/16⌉][In][16]
	bwd     []float32 // panels of inputs:  [⌈In/16⌉][Out][16]
}

// NewDense describes a layer. It allocates nothing; SetForward and SetBackward do.
func NewDense(in, out int) *Dense {
	if in < 1 || out < 1 {
		panic(fmt.Sprintf("cpu: dense layer from %d to %d units: both must be positive", in, out))
	}
	return &Dense{In: in, Out: out}
}

// Bytes is the memory of the packed weights that SetForward and SetBackward allocate.
func (d *Dense) Bytes() (forward, backward int) {
	return 4 * d.In * roundUp(d.Out), 4 * d.Out * roundUp(d.In)
}

// SetForward takes the weights w [Out, In] for Forward.
func (d *Dense) SetForward(t *Team, w []float32) {
	need("dense weights", len(w), d.In*d.Out)
	if d.fwd == nil {
		d.fwd = aligned(d.In * roundUp(d.Out))
	}
	panels := roundUp(d.Out) / lanes
	t.Run(panels, func(_, p int) {
		t.Impl.PackT(d.fwd[p*lanes*d.In:][:lanes*d.In], w[p*lanes*d.In:], d.In, min(lanes, d.Out-p*lanes), d.In)
	})
}

// SetBackward takes the weights w [Out, In] for BackwardX.
func (d *Dense) SetBackward(t *Team, w []float32) {
	need("dense weights", len(w), d.In*d.Out)
	if d.bwd == nil {
		d.bwd = aligned(d.Out * roundUp(d.In))
	}
	panels := roundUp(d.In) / lanes
	t.Run(panels, func(_, p int) {
		t.Impl.Pack(d.bwd[p*lanes*d.Out:][:lanes*d.Out], w[p*lanes:], d.In, d.Out, min(lanes, d.In-p*lanes))
	})
}

// Forward computes rows outputs, row i of y being f(W x_i + …) as e says (see Epilogue); e nil is the product alone.
// x has row stride ldx ≥ In and y ldy ≥ Out. y must not overlap x.
func (d *Dense) Forward(t *Team, y []float32, ldy int, x []float32, ldx, rows int, e *Epilogue) {
	if d.fwd == nil {
		panic("cpu: Dense.Forward before SetForward")
	}
	if rows == 0 {
		return
	}
	needRows("dense input", len(x), ldx, rows, d.In)
	needRows("dense output", len(y), ldy, rows, d.Out)
	e.check(rows, d.Out)
	matmul(t, &job{in: d.In, out: d.Out, b: d.fwd, y: y, ldy: ldy, rows: rows, e: e,
		source: func(_ []float32, lo, _ int) ([]float32, int) { return x[lo*ldx:], ldx }})
}

// BackwardX computes dx = dy W for rows rows, or adds it to dx if accumulate. dx must not overlap dy.
func (d *Dense) BackwardX(t *Team, dx []float32, lddx int, dy []float32, lddy, rows int, accumulate bool) {
	d.backwardX(t, dx, lddx, dy, lddy, rows, &Epilogue{Accumulate: accumulate})
}

// BackwardXTimes computes dx = times∘(dy W) for rows rows, with times laid out as dx is. dx must not overlap dy.
func (d *Dense) BackwardXTimes(t *Team, dx []float32, lddx int, dy []float32, lddy, rows int, times []float32) {
	if rows > 0 {
		needRows("factors of the input gradient", len(times), lddx, rows, d.In)
	}
	d.backwardX(t, dx, lddx, dy, lddy, rows, &Epilogue{times: times})
}

func (d *Dense) backwardX(t *Team, dx []float32, lddx int, dy []float32, lddy, rows int, e *Epilogue) {
	if d.bwd == nil {
		panic("cpu: Dense.BackwardX before SetBackward")
	}
	if rows == 0 {
		return
	}
	needRows("dense output gradient", len(dy), lddy, rows, d.Out)
	needRows("dense input gradient", len(dx), lddx, rows, d.In)
	matmul(t, &job{in: d.Out, out: d.In, b: d.bwd, y: dx, ldy: lddx, rows: rows, e: e,
		source: func(_ []float32, lo, _ int) ([]float32, int) { return dy[lo*lddy:], lddy }})
}

// BackwardW computes dw = dyᵀ x, laid out as the weights, or adds it to dw if accumulate. Each element is summed over
// the rows in their order: parts of a batch that accumulate one after another give the same bits as the whole.
func (d *Dense) BackwardW(t *Team, dw, dy []float32, lddy int, x []float32, ldx, rows int, accumulate bool) {
	need("dense weight gradient", len(dw), d.In*d.Out)
	if rows > 0 {
		needRows("dense output gradient", len(dy), lddy, rows, d.Out)
		needRows("dense input", len(x), ldx, rows, d.In)
	}
	g := &outer{o: d.Out, i: d.In, dw: dw, lddw: d.In, rows: rows, accumulate: accumulate, dy: dy, lddy: lddy,
		source: func(_ []float32, lo, _, col, _ int) ([]float32, int) { return x[lo*ldx+col:], ldx }}
	g.run(t)
}

// BackwardBias computes db = Σ rows of dy, or adds it to db if accumulate. Each element is summed over the rows in their order.
func BackwardBias(t *Team, db, dy []float32, lddy, rows, out int, accumulate bool) {
	need("bias gradient", len(db), out)
	if rows > 0 {
		needRows("output gradient", len(dy), lddy, rows, out)
	}
	const group = 4 * lanes
	one := []float32{1}
	t.Run((out+group-1)/group, func(w, task int) {
		lo := task * group
		n := min(group, out-lo)
		full := n &^ (lanes - 1)
		if full > 0 {
			columnSums(t.Impl, db[lo:][:full], dy[min(len(dy), lo):], lddy, rows, one, accumulate)
		}
		if full < n {
			at := lo + full
			s := t.Scratch(w, lanes*(rows+1))
			t.Impl.Pack(s[lanes:], dy[min(len(dy), at):], lddy, rows, out-at)
			copy(s, db[at:out])
			columnSums(t.Impl, s[:lanes], s[lanes:], lanes, rows, one, accumulate)
			copy(db[at:out], s)
		}
	})
}

// columnSums adds up the columns of rows rows of x, of which there are len(s), a multiple of lanes.
func columnSums(im *simd.Impl, s, x []float32, ld, rows int, one []float32, accumulate bool) {
	im.Product32(&simd.Product[float32]{C: s, CM: len(s), CP: lanes, A: one, B: x, BP: lanes, BK: ld, M: 1, K: rows,
		NP: len(s) / lanes, Accumulate: accumulate})
}

func need(what string, have, want int) {
	if have < want {
		panic(fmt.Sprintf("cpu: %s has %d elements, want %d", what, have, want))
	}
}

// needRows checks a matrix of rows > 0 rows of width elements at stride ld.
func needRows(what string, have, ld, rows, width int) {
	if rows < 0 || ld < width {
		panic(fmt.Sprintf("cpu: %s: %d rows of %d elements at stride %d", what, rows, width, ld))
	}
	need(what, have, (rows-1)*ld+width)
}
