package dynamics

import (
	"gonum.org/v1/gonum/mat"

	"hbar/kernels/simd"
)

// padded is a matrix by rows that are padded with zeros to whole panels of kernels/simd, whose products are several times as fast as
// gonum's.
type padded struct {
	rows, cols, stride int
	x                  []float64
}

// wholePanels is n rounded up to columns of whole panels.
func wholePanels(n int) int { return (n + simd.Panel64 - 1) / simd.Panel64 * simd.Panel64 }

func newPadded(rows, cols int) *padded {
	s := wholePanels(cols)
	return &padded{rows, cols, s, make([]float64, rows*s)}
}

// pad copies a matrix.
func pad(m mat.Matrix) *padded {
	r, c := m.Dims()
	p := newPadded(r, c)
	for i := range r {
		for j := range c {
			p.x[i*p.stride+j] = m.At(i, j)
		}
	}
	return p
}

func (m *padded) row(i int) []float64 { return m.x[i*m.stride : i*m.stride+m.cols] }

// from is the matrix without its first rows.
func (m *padded) from(i int) *padded { return &padded{m.rows - i, m.cols, m.stride, m.x[i*m.stride:]} }

// dense copies the first columns to a matrix of gonum's.
func (m *padded) dense(cols int) *mat.Dense {
	d := mat.NewDense(m.rows, cols, nil)
	for i := range m.rows {
		copy(d.RawRowView(i), m.x[i*m.stride:])
	}
	return d
}

// add computes m += a b.
func (m *padded) add(a, b *padded) { m.product(a, a.stride, 1, a.cols, b) }

// addT computes m += aᵀ b over the first rows of both, for the first columns of a and b that m has rows and columns.
func (m *padded) addT(a *padded, rows int, b *padded) { m.product(a, 1, a.stride, rows, b) }

func (m *padded) product(a *padded, am, ak, k int, b *padded) {
	simd.Best().Product64(&simd.Product[float64]{C: m.x, CM: m.stride, CP: simd.Panel64, A: a.x, AM: am, AK: ak, B: b.x, BP: simd.Panel64, BK: b.stride,
		M: m.rows, K: k, NP: wholePanels(m.cols) / simd.Panel64, Accumulate: true, Chunk: 256})
}
