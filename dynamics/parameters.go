package dynamics

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Kind says which matrices A a fit by likelihood may choose.
type Kind string

const (
	Free         Kind = "free"         // any
	Dissipative  Kind = "dissipative"  // A = (J − L Lᵀ) H with J antisymmetric and H ≻ 0: no mode grows
	Conservative Kind = "conservative" // A = J H: all modes are neutral, a Hamiltonian system
)

// Kinds lists them.
var Kinds = []string{string(Free), string(Dissipative), string(Conservative)}

// parameters maps numbers without bounds to a state space in standardised outputs and scaled time,
//
//	dz = A z dt + G dw,   y = (1 0 … 0) z + offset + v,   v ~ N(0, diag r²),
//
// with d = order·p states. Free: A is a block companion matrix, so that z holds the outputs and their derivatives; G is
// d×p with a lower triangle at its end, which is every process with a rational spectrum of that order.
type parameters struct {
	p, d     int
	kind     Kind
	noise    bool // measurement noise
	offset   bool
	variance float64 // of each state at the start
}

// counts are the numbers of parameters of A, G, r and the offset.
func (q *parameters) counts() (a, g, r, o int) {
	switch q.kind {
	case Free:
		a = q.p * q.d
	case Dissipative:
		a = q.d*(q.d-1)/2 + q.d*(q.d+1)
	case Conservative:
		a = q.d*(q.d-1)/2 + q.d*(q.d+1)/2
	}
	g = q.d*q.p - q.p*(q.p-1)/2
	if q.noise {
		r = q.p
	}
	if q.offset {
		o = q.p
	}
	return a, g, r, o
}

func (q *parameters) len() int {
	a, g, r, o := q.counts()
	return a + g + r + o
}

// free is the number of parameters that change the law: those of A less its change of coordinates.
func (q *parameters) free() int {
	_, g, r, o := q.counts()
	a := q.p * q.d
	if q.kind == Conservative {
		a = (q.p*q.d + 1) / 2
	}
	return a + g + r + o
}

// matrixA reads A.
func (q *parameters) matrixA(theta []float64) *mat.Dense {
	d, p := q.d, q.p
	a := mat.NewDense(d, d, nil)
	if q.kind == Free {
		for i := range d - p {
			a.Set(i, i+p, 1)
		}
		for i := range p {
			a.SetRow(d-p+i, theta[i*d:(i+1)*d])
		}
		return a
	}
	j := mat.NewDense(d, d, nil)
	for i := range d {
		for k := range i {
			j.Set(i, k, theta[0])
			j.Set(k, i, -theta[0])
			theta = theta[1:]
		}
	}
	lower := func() *mat.Dense {
		l, out := mat.NewDense(d, d, nil), mat.NewDense(d, d, nil)
		for i := range d {
			for k := range i + 1 {
				l.Set(i, k, theta[0])
				theta = theta[1:]
			}
		}
		out.Mul(l, l.T())
		return out
	}
	h := lower()
	if q.kind == Dissipative {
		j.Sub(j, lower())
	}
	a.Mul(j, h)
	return a
}

// writeA is the inverse of matrixA for a matrix of the kind. Other matrices are replaced by one of the kind that is near.
func (q *parameters) writeA(theta []float64, a *mat.Dense) error {
	d, p := q.d, q.p
	if q.kind == Free {
		for i := range p {
			copy(theta[i*d:], a.RawRowView(d-p+i))
		}
		return nil
	}
	m, err := modesOf(a)
	if err != nil {
		return err
	}
	// H of Lyapunov's equation for modes that decay at least a little, or of modes without their decay.
	h, stable := mat.NewDense(d, d, nil), mat.NewDense(d, d, nil)
	for k, l := range m.mu {
		re := math.Min(real(l), -1e-3)
		if q.kind == Conservative {
			re = 0
		}
		for i := range d {
			for j := range d {
				w := m.left.At(i, k) * complex(real(m.left.At(j, k)), -imag(m.left.At(j, k)))
				h.Set(i, j, h.At(i, j)+real(w))
				v := m.right.At(i, k) * complex(re, imag(l)) * complex(real(m.left.At(j, k)), -imag(m.left.At(j, k)))
				stable.Set(i, j, stable.At(i, j)+real(v))
			}
		}
	}
	var inverse, jr mat.Dense
	if err := inverse.Inverse(h); err != nil {
		return fmt.Errorf("dynamics: starting values: %w", err)
	}
	jr.Mul(stable, &inverse) // J − R: its antisymmetric part and less its symmetric part
	n := 0
	put := func(v float64) { theta[n] = v; n++ }
	for i := range d {
		for k := range i {
			put((jr.At(i, k) - jr.At(k, i)) / 2)
		}
	}
	lower := func(s *mat.Dense) {
		sym := mat.NewSymDense(d, nil)
		for i := range d {
			for k := i; k < d; k++ {
				sym.SetSym(i, k, (s.At(i, k)+s.At(k, i))/2)
			}
			sym.SetSym(i, i, sym.At(i, i)+1e-9)
		}
		var chol mat.Cholesky
		l := mat.NewTriDense(d, mat.Lower, nil)
		if chol.Factorize(sym) {
			chol.LTo(l)
		}
		for i := range d {
			for k := range i + 1 {
				put(l.At(i, k))
			}
		}
	}
	lower(h)
	if q.kind == Dissipative {
		jr.Scale(-1, &jr)
		lower(&jr)
	}
	return nil
}

// leastNoise is the least variance of measurement noise, of outputs of variance 1, so that data without noise have a density.
const leastNoise = 1e-12

// space makes the model of parameters.
func (q *parameters) space(theta []float64) *StateSpace {
	na, ng, nr, _ := q.counts()
	d, p := q.d, q.p
	m := &StateSpace{System: &System{A: q.matrixA(theta[:na])}, C: mat.NewDense(p, d, nil), R: mat.NewDense(p, p, nil), M0: make([]float64, d), P0: mat.NewDense(d, d, nil)}
	g := q.matrixG(theta[na : na+ng])
	m.System.Q = mat.NewDense(d, d, nil)
	m.System.Q.Mul(g, g.T())
	for i := range p {
		m.C.Set(i, i, 1)
		if q.noise {
			m.R.Set(i, i, theta[na+ng+i]*theta[na+ng+i]+leastNoise)
		}
	}
	if q.offset {
		m.Offset = theta[na+ng+nr:]
	}
	for i := range d {
		m.P0.Set(i, i, q.variance)
	}
	return m
}

func (q *parameters) matrixG(theta []float64) *mat.Dense {
	g := mat.NewDense(q.d, q.p, nil)
	for i := range q.d {
		for j := range q.p {
			if i < q.d-q.p || j <= i-(q.d-q.p) {
				g.Set(i, j, theta[0])
				theta = theta[1:]
			}
		}
	}
	return g
}
