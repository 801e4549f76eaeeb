package cpu

import "hbar/kernels/simd"

// Elementwise layers. Their arrays have equal lengths, and outputs may be inputs.

// Add writes y = a + b.
func Add(t *Team, y, a, b []float32) {
	want("Add", "b", len(b), len(a))
	want("Add", "y", len(y), len(a))
	im := t.Impl
	flat(t, len(a), func(lo, hi int) { im.Add(y[lo:hi], a[lo:hi], b[lo:hi]) })
}

// Mul writes y = a·b.
func Mul(t *Team, y, a, b []float32) {
	want("Mul", "b", len(b), len(a))
	want("Mul", "y", len(y), len(a))
	im := t.Impl
	flat(t, len(a), func(lo, hi int) { im.Mul(y[lo:hi], a[lo:hi], b[lo:hi]) })
}

// Scale writes y = s·x.
func Scale(t *Team, y, x []float32, s float32) {
	want("Scale", "y", len(y), len(x))
	im := t.Impl
	flat(t, len(x), func(lo, hi int) { im.Scale(y[lo:hi], x[lo:hi], s) })
}

// Activate writes y = f(x) and, unless d is nil, d = f'(x).
func Activate(t *Team, f simd.Act, y, d, x []float32) {
	want("Activate", "y", len(y), len(x))
	if d != nil {
		want("Activate", "d", len(d), len(x))
	}
	im := t.Impl
	flat(t, len(x), func(lo, hi int) {
		if d == nil {
			im.Act32(f, y[lo:hi], nil, x[lo:hi])
		} else {
			im.Act32(f, y[lo:hi], d[lo:hi], x[lo:hi])
		}
	})
}

// ActivateGrad writes dx = dy·f'(x); dx may be dy.
func ActivateGrad(t *Team, f simd.Act, dx, dy, x []float32) {
	want("ActivateGrad", "dx", len(dx), len(x))
	want("ActivateGrad", "dy", len(dy), len(x))
	im := t.Impl
	flat(t, len(x), func(lo, hi int) { im.ActGrad(f, dx[lo:hi], dy[lo:hi], x[lo:hi]) })
}

// Derivative writes y = the derivative of f of the given order ≥ 0 at x, from order 2 on by Taylor expansions.
func Derivative(t *Team, f simd.Act, order int, y, x []float32) {
	want("Derivative", "y", len(y), len(x))
	if order == 0 {
		Activate(t, f, y, nil, x)
		return
	}
	im := t.Impl
	factorial := float32(1)
	for k := 2; k <= order; k++ {
		factorial *= float32(k)
	}
	const part = 1 << 11
	t.Run((len(x)+part-1)/part, func(worker, i int) {
		lo, hi := i*part, min(len(x), (i+1)*part)
		n := hi - lo
		s := t.Scratch(worker, (order+1)*n)
		if order == 1 {
			im.Act32(f, s[:n], y[lo:hi], x[lo:hi])
			return
		}
		copy(s, x[lo:hi]) // x + h: the coefficients of f(x + h) are f⁽ᵏ⁾(x)/k!
		for j := n; j < 2*n; j++ {
			s[j] = 1
		}
		clear(s[2*n:])
		im.Jet32(f, s, n, n, 1, order)
		im.Scale(y[lo:hi], s[order*n:(order+1)*n], factorial)
	})
}
