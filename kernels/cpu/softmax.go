package cpu

import "math"

// rowBlocks calls f for parts, rows lo to hi-1, of rows of w elements.
func rowBlocks(t *Team, rows, w int, f func(worker, lo, hi int)) {
	b := max(1, flatBlock/max(1, w))
	t.Run((rows+b-1)/b, func(worker, i int) { f(worker, i*b, min(rows, (i+1)*b)) })
}

// rowsAtOnce calls f for rows of w elements.
func rowsAtOnce(t *Team, rows, w int, f func(row int)) {
	rowBlocks(t, rows, w, func(_, lo, hi int) {
		for r := lo; r < hi; r++ {
			f(r)
		}
	})
}

// Softmax writes y = exp(x)/Σ exp(x) over each of rows rows of w elements. y may be x.
func Softmax(t *Team, y, x []float32, rows, w int) {
	want("Softmax", "x", len(x), rows*w)
	want("Softmax", "y", len(y), rows*w)
	rowBlocks(t, rows, w, func(_, lo, hi int) {
		t.Impl.Softmax(y[lo*w:hi*w], x[lo*w:hi*w], w, w, hi-lo, 1)
	})
}

// LogSumExp writes y = log Σ exp(x) of each of rows rows of w elements.
func LogSumExp(t *Team, y, x []float32, rows, w int) {
	want("LogSumExp", "x", len(x), rows*w)
	want("LogSumExp", "y", len(y), rows)
	im := t.Impl
	rowBlocks(t, rows, w, func(worker, lo, hi int) {
		s := t.Scratch(worker, w+1)
		e, sum := s[:w], s[w:w+1]
		for r := lo; r < hi; r++ {
			row := x[r*w : (r+1)*w]
			top := row[0]
			for _, v := range row[1:] {
				top = max(top, v)
			}
			if math.IsInf(float64(top), 0) {
				y[r] = top
				continue
			}
			im.Exp(e, row, w, w, 1, sum)
			y[r] = float32(float64(top) + math.Log(float64(sum[0])))
		}
	})
}
