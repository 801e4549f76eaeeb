package cpu

import "hbar/kernels/simd"

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

// SoftmaxGrad writes dx = y(dy - ⟨y, dy⟩) for y = softmax(x): both the gradient from dy and, because the derivative is a
// symmetric matrix, the tangent along dy. dx may be dy.
func SoftmaxGrad(t *Team, dx, dy, y []float32, rows, w int) {
	want("SoftmaxGrad", "dx", len(dx), rows*w)
	want("SoftmaxGrad", "dy", len(dy), rows*w)
	want("SoftmaxGrad", "y", len(y), rows*w)
	im := t.Impl
	rowsAtOnce(t, rows, w, func(r int) {
		im.SoftmaxGrad(dx[r*w:(r+1)*w], y[r*w:(r+1)*w], dy[r*w:(r+1)*w], 1)
	})
}
