package cpu

import "math"

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
	b := max(1, flatBlock/max(1, w))
	t.Run((rows+b-1)/b, func(_, i int) {
		lo, hi := i*b, min(rows, (i+1)*b)
		t.Impl.Softmax(y[lo*w:hi*w], x[lo*w:hi*w], w, w, hi-lo, 1)
	})
}

// LogSumExp writes y = log Σ exp(x) of each of rows rows of w elements.
func LogSumExp(t *Team, y, x []float32, rows, w int) {
	want("LogSumExp", "x", len(x), rows*w)
	want("LogSumExp", "y", len(y), rows)
	im := t.Impl
	b := max(1, flatBlock/max(1, w))
	t.Run((rows+b-1)/b, func(worker, i int) {
		s := t.Scratch(worker, w+1)
		e, sum := s[:w], s[w:w+1]
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
			im.Exp(e, row, w, w, 1, sum)
			y[r] = float32(float64(top) + math.Log(float64(sum[0])))
		}
	})
}
