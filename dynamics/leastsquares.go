package dynamics

import (
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"

	"hbar/kernels/simd"
)

// compressed is the QR form of the least-squares problem of the rows [1 X Y]: with [1 X] = Q R it is [R | QᵀY]. It is made chunk by chunk and joined in order, so that no matrix of all rows is formed, normal
// equations do not square the condition, and results do not depend on the number of processors.
type compressed struct {
	left, width int // columns of [1 X], and of all, padded with zeros to whole panels
	rows        []float64
}

func (c *compressed) len() int { return len(c.rows) / c.width }

// join adds rows, and compresses when they have become many.
func (c *compressed) join(rows []float64) {
	c.rows = append(c.rows, rows...)
	if c.len() >= 8*c.left {
		c.rows = compress(c.rows, c.left, c.width)
	}
}

// reflectors is the columns of a block whose Householder reflections are applied to the columns behind it at once.
const reflectors = 16

// compress rotates rows of the given width, of whole panels, so that their first left columns are upper triangular, and keeps as many
// rows. It overwrites rows.
func compress(rows []float64, left, width int) []float64 {
	m := len(rows) / width
	if m == 0 {
		return nil
	}
	k := min(m, left)
	tau := make([]float64, reflectors)
	work := make([]float64, reflectors*reflectors)
	v := newPadded(m, reflectors)
	for j := 0; j < k; j += reflectors {
		n := min(reflectors, k-j)
		lapack64.Geqrf(blas64.General{Rows: m - j, Cols: n, Stride: width, Data: rows[j*width+j:]}, tau[:n], work, len(work))
		first := j + n // of the columns behind
		if first == width {
			break
		}
		// The block is 1 − V T Vᵀ with V unit lower trapezoidal and T upper triangular (LAPACK's dlarft and dlarfb).
		block := &padded{m - j, n, v.stride, v.x[:(m-j)*v.stride]}
		for i := range block.rows {
			r := block.x[i*block.stride : (i+1)*block.stride]
			clear(r)
			copy(r[:min(i, n)], rows[(j+i)*width+j:])
			if i < n {
				r[i] = 1
			}
		}
		gram := newPadded(n, n)
		gram.addT(block, block.rows, block)
		t := make([]float64, n*n)
		for i := range n {
			t[i*n+i] = tau[i]
			for a := range i {
				for b := a; b < i; b++ {
					t[a*n+i] -= tau[i] * t[a*n+b] * gram.x[b*gram.stride+i]
				}
			}
		}
		// Whole panels of columns: those that belong to the block itself change by nothing.
		from := first / simd.Panel64 * simd.Panel64
		behind := &padded{m - j, width - from, width, rows[j*width+from:]}
		w, turned := newPadded(n, width-from), newPadded(n, width-from)
		w.addT(block, block.rows, behind)
		for i := range n {
			to := turned.row(i)[first-from:]
			for a := range i + 1 {
				f := -t[a*n+i]
				for c, u := range w.row(a)[first-from:] {
					to[c] += f * u
				}
			}
		}
		behind.add(block, turned)
	}
	out := rows[: k*width : k*width]
	for i := range k {
		for j := range min(i, left) {
			out[i*width+j] = 0
		}
	}
	return out
}

// compressChunks compresses the rows [1 X Y] of all chunks; without an intercept, [X Y].
func compressChunks(all []chunk, data *Data, l *Lift, intercept bool) *compressed {
	d := l.Dim()
	left := d
	if intercept {
		left++
	}
	width := wholePanels(left + d)
	parts := make([][]float64, len(all))
	parallel(len(all), func(i int) {
		rows := make([]float64, all[i].pairs*width)
		x, y := all[i].fill(data, l)
		for k := range all[i].pairs {
			row := rows[k*width:]
			if intercept {
				row[0] = 1
			}
			copy(row[left-d:left], x(k))
			copy(row[left:], y(k))
		}
		out := compress(rows, left, width)
		parts[i] = append([]float64(nil), out...)
	})
	c := &compressed{left: left, width: width}
	for _, p := range parts {
		c.join(p)
	}
	c.rows = compress(c.rows, left, width)
	return c
}

// fill computes the features of a chunk; x(k) and y(k) are those before and after the step of pair k.
func (c *chunk) fill(data *Data, l *Lift) (x, y func(k int) []float64) {
	d := l.Dim()
	rows := make([]float64, (c.pairs+len(c.segments))*d)
	at := make([]int, 0, c.pairs)
	n := 0
	for i := range c.segments {
		s := &c.segments[i]
		s.fill(rows[n*d:], d, data, l)
		for k := range s.pairs {
			at = append(at, n+k)
		}
		n += s.pairs + 1
	}
	x = func(k int) []float64 { return rows[at[k]*d : (at[k]+1)*d] }
	y = func(k int) []float64 { return rows[(at[k]+1)*d : (at[k]+2)*d] }
	return x, y
}
