package simd

// Modes says where complex modes are in the matrices of Scan and ScanGrad, which begin with the real part of the first mode in
// the first row of memory.
type Modes struct {
	Rows int
	Half int  // from the real part of a mode to its imaginary part
	Ld   int  // from one row to the next
	Back bool // the recurrence runs from the last row to the first
}

// check returns the number of modes.
func (m Modes) check(routine string, l []float32, vectors [][]float32, matrices ...[]float32) int {
	w := len(l) / 2
	need(routine, "l", len(l), 2*w)
	for _, v := range vectors {
		need(routine, "a vector", len(v), len(l))
	}
	if w == 0 || m.Rows == 0 {
		return w
	}
	for _, x := range matrices {
		need(routine, "a matrix", len(x), (m.Rows-1)*m.Ld+m.Half+w)
	}
	if m.Rows < 0 || m.Half < w || m.Ld < m.Half+w {
		panic("simd: " + routine + ": rows, or the parts of modes, overlap")
	}
	return w
}

// cut calls f for parts of the rows that take about ten microseconds, in the order of the recurrence: o is the first row's offset,
// and ld leads to the next one.
func (m Modes) cut(w int, f func(o, rows, ld int)) {
	step := max(1, maxElems/(2*w))
	for lo := 0; lo < m.Rows; lo += step {
		rows := min(step, m.Rows-lo)
		if m.Back {
			f((m.Rows-1-lo)*m.Ld, rows, -m.Ld)
		} else {
			f(lo*m.Ld, rows, m.Ld)
		}
	}
}

// advance is one step of a mode: real and imaginary part of λ s + u.
func advance(lr, li, sr, si, ur, ui float32) (re, im float32) {
	return fma32(lr, sr, fma32(-li, si, ur)), fma32(lr, si, fma32(li, sr, ui))
}

func scanGeneric(m Modes, z, u, l, s []float32) {
	w := m.check("Scan", l, [][]float32{s}, z, u)
	if w == 0 {
		return
	}
	m.cut(w, func(o, rows, ld int) {
		for ; rows > 0; o, rows = o+ld, rows-1 {
			for j := range w {
				s[j], s[w+j] = advance(l[j], l[w+j], s[j], s[w+j], u[o+j], u[o+m.Half+j])
				z[o+j], z[o+m.Half+j] = s[j], s[w+j]
			}
		}
	})
}

func scanGradGeneric(m Modes, y, g, z, l, s, a []float32) {
	w := m.check("ScanGrad", l, [][]float32{s, a}, y, g, z)
	if w == 0 {
		return
	}
	m.cut(w, func(o, rows, ld int) {
		for ; rows > 0; o, rows = o+ld, rows-1 {
			for j := range w {
				re, im := advance(l[j], l[w+j], s[j], s[w+j], g[o+j], g[o+m.Half+j])
				zr, zi := z[o+j], z[o+m.Half+j]
				s[j], s[w+j] = re, im
				y[o+j], y[o+m.Half+j] = re, im
				a[j] = fma32(zi, im, fma32(zr, re, a[j]))
				a[w+j] = fma32(-zi, re, fma32(zr, im, a[w+j]))
			}
		}
	})
}
