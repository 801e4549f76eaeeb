package fokkerplanck

import (
	"fmt"
	"math"
	"math/cmplx"
)

// Density is a probability density on the box, as a trigonometric polynomial: exact at any point, not only on the grid.
type Density struct {
	frame *frame
	end   at
	grid  grid
	u     []complex128
	pool  pool

	Run Run
}

// Run describes one solution.
type Run struct {
	N            int     `json:"n"`             // grid points a dimension at the end
	Steps        int     `json:"steps"`         // in λ
	Mass         float64 `json:"mass"`          // integral of the density; 1 but for the prior's tail outside the box
	MostNegative float64 `json:"most_negative"` // smallest value relative to the largest; rounding, if not ringing
	Boundary     float64 `json:"boundary"`      // largest magnitude on the box's edge relative to the largest value
	Tail         float64 `json:"tail"`          // share (root-mean-square) of the outermost modes

	peak float64
}

// Box is the lower and upper end of the box in dimension i.
func (q *Density) Box(i int) (lo, hi float64) {
	return q.frame.x(q.end, i, -1), q.frame.x(q.end, i, 1)
}

// phases writes exp(iπ k (y+1)) for k = 0 … len−1.
func phases(dst []complex128, y float64) {
	for k := range dst {
		// π k (y+1) may be a large angle: reduce it in units of 2π first.
		c := float64(k) * (y + 1) / 2
		dst[k] = cmplx.Rect(1, 2*math.Pi*(c-math.Floor(c)))
	}
}

// at is the density at one point inside the box. e1 and e2 are scratch for k+1 modes.
func (q *Density) at(x []float64, e1, e2 []complex128) float64 {
	phases(e1, q.frame.y(q.end, 0, x[0]))
	if q.frame.d == 2 {
		phases(e2, q.frame.y(q.end, 1, x[1]))
	} else {
		e2[0] = 1
	}
	k2, sum := q.grid.k[1], 0.0
	for k, e := range e1 {
		c := q.u[k*q.grid.column() : (k+1)*q.grid.column()]
		s := c[k2]
		for j := 1; j <= k2; j++ {
			s += c[k2+j]*e2[j] + c[k2-j]*conj(e2[j])
		}
		v := real(s)*real(e) - imag(s)*imag(e)
		if k > 0 {
			v *= 2 // with mode −k
		}
		sum += v
	}
	return sum / q.end.volume()
}

// inside reports whether a point lies in the box.
func (q *Density) inside(x []float64) bool {
	for i, v := range x {
		if y := q.frame.y(q.end, i, v); !(y >= -1 && y <= 1) {
			return false
		}
	}
	return true
}

// Values writes the density at the points x (n×D) to dst: NaN outside the box.
func (q *Density) Values(dst, x []float64) error {
	d := q.frame.d
	if len(x) != len(dst)*d {
		return fmt.Errorf("fokkerplanck: %d coordinates for %d points in %d dimensions", len(x), len(dst), d)
	}
	q.pool.run(len(dst), 16, func(_, lo, hi int) {
		e1, e2 := make([]complex128, q.grid.k[0]+1), make([]complex128, q.grid.k[1]+1)
		for i := lo; i < hi; i++ {
			dst[i] = math.NaN()
			if p := x[i*d : (i+1)*d]; q.inside(p) {
				dst[i] = q.at(p, e1, e2)
			}
		}
	})
	return nil
}

// Image returns the density on the lattice x₁ × x₂ (x2 nil in 1-D), x₁ fastest: an image of len(x2) rows. Zero outside
// the box.
func (q *Density) Image(x1, x2 []float64) ([]float64, error) {
	if (q.frame.d == 2) != (len(x2) > 0) {
		return nil, fmt.Errorf("fokkerplanck: an image in %d dimensions needs as many axes", q.frame.d)
	}
	if x2 == nil {
		x2 = []float64{0}
	}
	k1, k2 := q.grid.k[0], q.grid.k[1]
	e1 := make([]complex128, len(x1)*(k1+1))
	in := make([]bool, len(x1))
	for i, x := range x1 {
		y := q.frame.y(q.end, 0, x)
		phases(e1[i*(k1+1):(i+1)*(k1+1)], y)
		in[i] = y >= -1 && y <= 1
	}
	out := make([]float64, len(x1)*len(x2))
	q.pool.run(len(x2), 4, func(_, lo, hi int) {
		e2, row := make([]complex128, k2+1), make([]complex128, k1+1)
		for j := lo; j < hi; j++ {
			y := 0.0
			if q.frame.d == 2 {
				y = q.frame.y(q.end, 1, x2[j])
			}
			if !(y >= -1 && y <= 1) {
				continue
			}
			phases(e2, y)
			for k := range row {
				c := q.u[k*q.grid.column() : (k+1)*q.grid.column()]
				s := c[k2]
				for m := 1; m <= k2; m++ {
					s += c[k2+m]*e2[m] + c[k2-m]*conj(e2[m])
				}
				if k > 0 {
					s *= 2
				}
				row[k] = s
			}
			for i := range x1 {
				if !in[i] {
					continue
				}
				sum := 0.0
				for k, e := range e1[i*(k1+1) : (i+1)*(k1+1)] {
					sum += real(row[k])*real(e) - imag(row[k])*imag(e)
				}
				out[j*len(x1)+i] = sum / q.end.volume()
			}
		}
	})
	return out, nil
}

// axis is the positions of the grid's points in dimension i.
func (q *Density) axis(i int) []float64 {
	x := make([]float64, q.grid.n[i])
	for j := range x {
		x[j] = q.frame.x(q.end, i, q.grid.y(i, j))
	}
	return x
}
