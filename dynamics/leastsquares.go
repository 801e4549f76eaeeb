package dynamics

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// compressed is what least squares need of the rows [1 X Y]: the triangle of [1 X] and what it leaves of Y in the same
// rotation, [R | QᵀY]. It is made chunk by chunk and joined in order, so that no matrix of all rows is formed, normal
// equations do not square the condition, and results do not depend on the number of processors.
type compressed struct {
	left, width int // columns of [1 X], and of all
	rows        []float64
}

func (c *compressed) len() int { return len(c.rows) / c.width }

// join adds rows and compresses what has become many.
func (c *compressed) join(rows []float64) {
	c.rows = append(c.rows, rows...)
	if c.len() >= 8*c.left {
		c.rows = compress(c.rows, c.left, c.width)
	}
}

// compress rotates rows of the given width so that their first left columns are upper triangular, and keeps as many rows.
// It overwrites rows.
func compress(rows []float64, left, width int) []float64 {
	m := len(rows) / width
	if m == 0 {
		return nil
	}
	a := blas64.General{Rows: m, Cols: left, Stride: width, Data: rows}
	k := min(m, left)
	tau := make([]float64, k)
	work := []float64{0}
	lapack64.Geqrf(a, tau, work, -1)
	work = make([]float64, int(work[0]))
	lapack64.Geqrf(a, tau, work, len(work))
	if width > left {
		y := blas64.General{Rows: m, Cols: width - left, Stride: width, Data: rows[left:]}
		reflectors := a
		reflectors.Cols = k
		query := []float64{0}
		lapack64.Ormqr(blas.Left, blas.Trans, reflectors, tau, y, query, -1)
		work = make([]float64, int(query[0]))
		lapack64.Ormqr(blas.Left, blas.Trans, reflectors, tau, y, work, len(work))
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
	parts := make([][]float64, len(all))
	parallel(len(all), func(i int) {
		rows := make([]float64, all[i].pairs*(left+d))
		x, y := all[i].fill(data, l)
		for k := range all[i].pairs {
			row := rows[k*(left+d) : (k+1)*(left+d)]
			if intercept {
				row[0] = 1
			}
			copy(row[left-d:left], x(k))
			copy(row[left:], y(k))
		}
		out := compress(rows, left, left+d)
		parts[i] = append([]float64(nil), out...)
	})
	c := &compressed{left: left, width: left + d}
	for _, p := range parts {
		c.join(p)
	}
	c.rows = compress(c.rows, left, left+d)
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
