package cpu

import (
	"fmt"

	"hbar/kernels/simd"
)

// Epilogue is what a dense or convolutional layer does to its sums before they are stored. With i the row (a token or a
// pixel) and o the output unit:
//
//	pre = sum + Bias[o] + SampleBias[⌊i / SampleRows⌋·SampleLd + o]
//	y   = f(pre) + Residual[i·ResidualLd + o]        (+ the old y if Accumulate)
//
// or, with a gate, y = Gate[⌊i / SampleRows⌋·GateLd + o]·f(pre) + Residual[i·ResidualLd + o].
//
// Its zero value stores the sums.
type Epilogue struct {
	Bias []float32 // nil: none

	SampleBias []float32 // one row for each sample, nil: none
	SampleLd   int
	SampleRows int // rows of a sample; a convolution sets it to its pixels

	Act   simd.Act
	Pre   []float32 // receives pre, nil: not stored
	PreLd int
	Slope []float32 // receives f′(pre), laid out as y, of a dense layer without Pre, SampleBias, Residual and Accumulate; nil: not stored

	Residual   []float32 // nil: none; must not overlap y
	ResidualLd int
	Gate       []float32 // one row for each sample, of a dense layer with a residual; nil: none
	GateLd     int
	Accumulate bool

	times []float32 // factors of the sums, laid out as y, with nothing else; nil: none
}

// check panics if a slice is too short for rows outputs of the given width.
func (e *Epilogue) check(rows, width int) {
	if e == nil || rows == 0 {
		return
	}
	if e.Bias != nil {
		need("bias", len(e.Bias), width)
	}
	if e.SampleBias != nil {
		if e.SampleRows < 1 {
			panic(fmt.Sprintf("cpu: a bias for each sample of %d rows", e.SampleRows))
		}
		needRows("bias of samples", len(e.SampleBias), e.SampleLd, (rows+e.SampleRows-1)/e.SampleRows, width)
	}
	if e.Pre != nil {
		needRows("values before the activation", len(e.Pre), e.PreLd, rows, width)
	}
	if e.Slope != nil && (e.Pre != nil || e.SampleBias != nil || e.Residual != nil || e.Accumulate) {
		panic("cpu: a layer that stores the derivative of its activation does nothing else but the bias and the activation")
	}
	if e.Residual != nil {
		needRows("residual", len(e.Residual), e.ResidualLd, rows, width)
	}
	if e.Gate != nil {
		if e.SampleRows < 1 || e.Residual == nil || e.Accumulate {
			panic("cpu: a gate needs a residual and the rows of a sample, and does not accumulate")
		}
		needRows("gate", len(e.Gate), e.GateLd, (rows+e.SampleRows-1)/e.SampleRows, width)
	}
}

// plain reports whether a product can store final values of whole panels itself.
func (e *Epilogue) plain() bool {
	return e == nil || e.SampleBias == nil && e.Residual == nil && e.Pre == nil && (!e.Accumulate || e.Bias == nil && e.Act == simd.Identity)
}

// finish writes one row of outputs o.. from its sums s, to which Bias has been added; s is changed.
func (e *Epilogue) finish(im *simd.Impl, y, s []float32, row, o int) {
	n := len(s)
	y = y[:n]
	if e == nil {
		copy(y, s)
		return
	}
	if e.SampleBias != nil {
		im.Add(s, s, e.SampleBias[row/e.SampleRows*e.SampleLd+o:][:n])
	}
	if e.Pre != nil {
		copy(e.Pre[row*e.PreLd+o:][:n], s)
	}
	if e.Act != simd.Identity {
		im.Act32(e.Act, s, nil, s)
	}
	e.residual(im, s, row, o)
	if e.Accumulate {
		im.Add(y, y, s)
		return
	}
	copy(y, s)
}

// residual adds the residual to outputs o.. of a row, after the gate.
func (e *Epilogue) residual(im *simd.Impl, y []float32, row, o int) {
	if e.Residual == nil {
		return
	}
	r := e.Residual[row*e.ResidualLd+o:][:len(y)]
	if e.Gate != nil {
		im.Rows.Gate(y, r, y, e.Gate[row/e.SampleRows*e.GateLd+o:][:len(y)])
		return
	}
	im.Add(y, y, r)
}

// pairs reports whether another array that is laid out as y takes part.
func (e *Epilogue) pairs() bool { return e != nil && (e.Slope != nil || e.times != nil) }

// finishPair is finish where pairs is true; at is the index of the first output in an array that is laid out as y.
func (e *Epilogue) finishPair(im *simd.Impl, y, s []float32, at int) {
	if e.times != nil {
		im.Mul(y[:len(s)], s, e.times[at:][:len(s)])
		return
	}
	im.Act32(e.Act, y[:len(s)], e.Slope[at:][:len(s)], s)
}
