package dynamics

import (
	"context"
	"math"

	"gonum.org/v1/gonum/mat"
)

// objective is a function and, where asked for, its gradient; +Inf and nil where it is not defined.
type objective func(x []float64, gradient bool) (float64, []float64)

// minimize finds a minimum of f from x by the method of Broyden, Fletcher, Goldfarb
// and Shanno (J. Nocedal and S. Wright, Numerical Optimization, algorithm 6.1) from an objective with its gradient. It ends when steps
// gain less than 10⁻⁶ three times in a row, or twenty of them less than 10⁻³: along a flat valley. On an error of ctx it returns that.
func minimize(ctx context.Context, f objective, x []float64) ([]float64, float64, error) {
	n := len(x)
	x = append([]float64(nil), x...)
	value, g := f(x, true)
	if g == nil {
		return x, math.Inf(1), nil
	}
	next := make([]float64, n)
	inverse := startCurvature(f, x, value)
	small, fresh := 0, true
	earlier := value
	for k := range 300 {
		if k%20 == 19 {
			if earlier-value < 1e-3 {
				break
			}
			earlier = value
		}
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		step := mat.NewVecDense(n, nil)
		step.MulVec(inverse, mat.NewVecDense(n, g))
		step.ScaleVec(-1, step)
		slope := mat.Dot(step, mat.NewVecDense(n, g))
		if !(slope < 0) || !finite(slope) {
			if fresh {
				break
			}
			inverse, fresh = startCurvature(f, x, value), true
			continue
		}
		t, moved := 1.0, math.Inf(1)
		for range 40 { // Armijo's rule
			for i := range n {
				next[i] = x[i] + t*step.AtVec(i)
			}
			if moved, _ = f(next, false); moved <= value+1e-4*t*slope {
				break
			}
			t /= 3
		}
		if !(moved < value) {
			if fresh {
				break
			}
			inverse, fresh = startCurvature(f, x, value), true
			continue
		}
		_, after := f(next, true)
		if after == nil {
			break
		}
		update(inverse, x, next, g, after)
		fresh = false
		if value-moved < 1e-6 {
			small++
		} else {
			small = 0
		}
		copy(x, next)
		g, value = after, moved
		if small == 3 {
			break
		}
	}
	return x, value, nil
}

// startCurvature is a diagonal inverse of second derivatives.
func startCurvature(f objective, x []float64, value float64) *mat.SymDense {
	n := len(x)
	h := mat.NewSymDense(n, nil)
	parallel(n, func(i int) {
		s := 1e-3 * math.Max(math.Abs(x[i]), 0.1)
		y := append([]float64(nil), x...)
		y[i] += s
		up, _ := f(y, false)
		y[i] -= 2 * s
		down, _ := f(y, false)
		c := math.Abs(up+down-2*value) / (s * s)
		if !(c > 1e-3) || !finite(c) {
			c = 1
		}
		h.SetSym(i, i, 1/c)
	})
	return h
}

// update makes of the inverse of second derivatives one that maps the last change of the gradient to the last step.
func update(inverse *mat.SymDense, x, next, g, after []float64) {
	n := len(x)
	s, y := mat.NewVecDense(n, nil), mat.NewVecDense(n, nil)
	for i := range n {
		s.SetVec(i, next[i]-x[i])
		y.SetVec(i, after[i]-g[i])
	}
	sy := mat.Dot(s, y)
	if !finite(sy) || sy <= 1e-10*mat.Norm(s, 2)*mat.Norm(y, 2) {
		return
	}
	hy := mat.NewVecDense(n, nil)
	hy.MulVec(inverse, y)
	c := (1 + mat.Dot(y, hy)/sy) / sy
	for i := range n {
		for j := i; j < n; j++ {
			v := inverse.At(i, j) + c*s.AtVec(i)*s.AtVec(j) - (hy.AtVec(i)*s.AtVec(j)+s.AtVec(i)*hy.AtVec(j))/sy
			inverse.SetSym(i, j, v)
		}
	}
}

// curvature is the matrix of second derivatives at x from differences of the gradient. ok is false where that is not defined.
func curvature(f objective, x []float64) (h *mat.SymDense, ok bool) {
	n := len(x)
	rows := make([][]float64, n)
	parallel(n, func(i int) {
		s := 1e-4 * math.Max(math.Abs(x[i]), 0.1)
		y := append([]float64(nil), x...)
		y[i] += s
		_, up := f(y, true)
		y[i] -= 2 * s
		_, down := f(y, true)
		if up == nil || down == nil {
			return
		}
		rows[i] = up
		for j := range n {
			rows[i][j] = (up[j] - down[j]) / (2 * s)
		}
	})
	h = mat.NewSymDense(n, nil)
	for i := range n {
		if rows[i] == nil || checkFinite("", rows[i]) != nil {
			return nil, false
		}
	}
	for i := range n {
		for j := i; j < n; j++ {
			h.SetSym(i, j, (rows[i][j]+rows[j][i])/2)
		}
	}
	return h, true
}
