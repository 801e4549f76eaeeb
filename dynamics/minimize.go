package dynamics

import (
	"context"
	"math"

	"gonum.org/v1/gonum/mat"
)

// minimize finds a minimum of f, which is +Inf where it is not defined, from x by the method of Broyden, Fletcher, Goldfarb
// and Shanno (J. Nocedal and S. Wright, Numerical Optimization, algorithm 6.1) with central differences. It ends when steps
// gain less than 10⁻⁶ three times in a row. On an error of ctx it returns that.
func minimize(ctx context.Context, f func([]float64) float64, x []float64) ([]float64, float64, error) {
	n := len(x)
	x = append([]float64(nil), x...)
	value := f(x)
	if !finite(value) {
		return x, math.Inf(1), nil
	}
	g, next := make([]float64, n), make([]float64, n)
	gradient(g, f, x)
	inverse := startCurvature(f, x, value)
	small, fresh := 0, true
	for range 300 {
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
			if moved = f(next); moved <= value+1e-4*t*slope {
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
		after := make([]float64, n)
		gradient(after, f, next)
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
func startCurvature(f func([]float64) float64, x []float64, value float64) *mat.SymDense {
	n := len(x)
	h := mat.NewSymDense(n, nil)
	parallel(n, func(i int) {
		s := 1e-3 * math.Max(math.Abs(x[i]), 0.1)
		y := append([]float64(nil), x...)
		y[i] += s
		up := f(y)
		y[i] -= 2 * s
		c := math.Abs(up+f(y)-2*value) / (s * s)
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

// gradient is by central differences, all of them at once.
func gradient(g []float64, f func([]float64) float64, x []float64) {
	values := make([]float64, 2*len(x))
	steps := make([]float64, len(x))
	for i, v := range x {
		steps[i] = 1e-5 * math.Max(math.Abs(v), 0.1)
	}
	parallel(len(values), func(k int) {
		y := append([]float64(nil), x...)
		if k%2 == 0 {
			y[k/2] += steps[k/2]
		} else {
			y[k/2] -= steps[k/2]
		}
		values[k] = f(y)
	})
	for i := range g {
		g[i] = (values[2*i] - values[2*i+1]) / (2 * steps[i])
	}
}

// curvature is the matrix of second derivatives of f at a minimum x by central differences, with steps over which f rises by
// about a tenth, so that neither rounding nor higher derivatives matter. ok is false where f is not defined around x.
func curvature(f func([]float64) float64, x []float64) (h *mat.SymDense, steps []float64, ok bool) {
	n := len(x)
	at := func(shift func(y []float64)) float64 {
		y := append([]float64(nil), x...)
		shift(y)
		return f(y)
	}
	f0 := f(x)
	steps = make([]float64, n)
	diagonal := make([]float64, n)
	parallel(n, func(i int) {
		s := 1e-3 * math.Max(math.Abs(x[i]), 0.1)
		rise := 0.0
		for range 12 {
			rise = at(func(y []float64) { y[i] += s }) + at(func(y []float64) { y[i] -= s }) - 2*f0
			switch {
			case !(rise < 0.4):
				s /= 2
				continue
			case rise < 0.1 && s < 0.3*math.Max(math.Abs(x[i]), 1):
				s *= math.Min(math.Sqrt(0.2/math.Max(rise, 1e-3)), 10)
				continue
			}
			break
		}
		rise = at(func(y []float64) { y[i] += s }) + at(func(y []float64) { y[i] -= s }) - 2*f0
		steps[i], diagonal[i] = s, rise/(s*s)
	})
	h = mat.NewSymDense(n, nil)
	type pair struct{ i, j int }
	var pairs []pair
	for i := range n {
		h.SetSym(i, i, diagonal[i])
		for j := range i {
			pairs = append(pairs, pair{i, j})
		}
	}
	values := make([]float64, len(pairs))
	parallel(len(pairs), func(k int) {
		i, j := pairs[k].i, pairs[k].j
		v := 0.0
		for _, a := range []float64{1, -1} {
			for _, b := range []float64{1, -1} {
				v += a * b * at(func(y []float64) { y[i] += a * steps[i] / 2; y[j] += b * steps[j] / 2 })
			}
		}
		values[k] = v / (steps[i] * steps[j])
	})
	for k, p := range pairs {
		h.SetSym(p.i, p.j, values[k])
	}
	for i := range n {
		for j := range n {
			if !finite(h.At(i, j)) {
				return nil, nil, false
			}
		}
	}
	return h, steps, true
}
