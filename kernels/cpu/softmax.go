package cpu

import (
	"math"

	"hbar/kernels/simd"
)

// rowsAtOnce calls f for parts of rows of w elements.
func rowsAtOnce(t *Team, rows, w int, f func(row int)) {
	b := max(1, flatBlock/max(1, w))
	t.Run((rows+b-1)/b, func(_, i int) {
		for r := i * b; r < min(rows, (i+1)*b); r++ {
			f(r)
		}
	})
}

// Softmax writes y = exp(x)/Σ exp(x) over each of rows rows of w elements. y may be x.
func Softmax(t *Team, y, x []float32, rows, w int) {
	want("Softmax", "x", len(x), rows*w)
	want("Softmax", "y", len(y), rows*w)
	im := t.Impl
	rowsAtOnce(t, rows, w, func(r int) { softmaxRow(im, y[r*w:(r+1)*w], x[r*w:(r+1)*w], 1) })
}

// softmaxRow writes y = softmax(scale·x).
func softmaxRow(im *simd.Impl, y, x []float32, scale float32) {
	s := im.Exp(y, x, scale)
	im.Scale(y, y, 1/s)
}

// LogSumExp writes y = log Σ exp(x) of each of rows rows of w elements.
func LogSumExp(t *Team, y, x []float32, rows, w int) {
	want("LogSumExp", "x", len(x), rows*w)
	want("LogSumExp", "y", len(y), rows)
	im := t.Impl
	b := max(1, flatBlock/max(1, w))
	t.Run((rows+b-1)/b, func(worker, i int) {
		e := t.Scratch(worker, w)
		for r := i * b; r < min(rows, (i+1)*b); r++ {
			row := x[r*w : (r+1)*w]
			top := row[0]
			for _, v := range row[1:] {
				top = max(top, v)
			}
			if math.IsInf(float64(top), 0) {
				y[r] = top
				continue
			}
			y[r] = float32(float64(top) + math.Log(float64(im.Exp(e, row, 1))))
		}
	})
}
