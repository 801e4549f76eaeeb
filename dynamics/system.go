package dynamics

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// System is linear dynamics with Gaussian noise in continuous time,
//
//	dz = (A z + c) dt + G dw,   Q = G Gᵀ.
type System struct {
	A     *mat.Dense // d×d, per unit of time
	Drift []float64  // c, d long; nil for none
	Q     *mat.Dense // d×d, symmetric and positive semidefinite, per unit of time

	series *series // made by the first Step
}

// Propagator is the exact law of one step: z' ~ N(F z + B, P).
type Propagator struct {
	F *mat.Dense // d×d
	B []float64  // d
	P *mat.Dense // d×d, symmetric
}

// Dim is d.
func (s *System) Dim() int {
	d, _ := s.A.Dims()
	return d
}

// Validate checks shapes and values.
func (s *System) Validate() error {
	if s.A == nil {
		return errors.New("dynamics: the system has no A")
	}
	d, c := s.A.Dims()
	if d != c {
		return fmt.Errorf("dynamics: A is %d×%d; it should be square", d, c)
	}
	if err := checkFinite("A", s.A.RawMatrix().Data); err != nil {
		return err
	}
	if s.Drift != nil && len(s.Drift) != d {
		return fmt.Errorf("dynamics: the drift has %d numbers, A is %d×%d", len(s.Drift), d, d)
	}
	if err := checkFinite("the drift", s.Drift); err != nil {
		return err
	}
	return checkCovariance("Q", s.Q, d)
}

// Step is the law of the state after a time dt ≥ 0. It is safe for growing, neutral and decaying modes alike and any dt; a
// growth that leaves the range of float64 gives infinities in F and P, which Finite reports.
//
// The step is halved k times until ‖A‖ dt/2ᵏ ≤ ½, where Taylor's series of
//
//	F = exp(A dt),   b = ∫₀^dt exp(A s) ds c,   P = ∫₀^dt exp(A s) Q exp(Aᵀ s) ds
//
// have all digits after some twenty terms, and then doubled k times: b ← b + F b, P ← P + F P Fᵀ, F ← F². Nothing
// cancels, unlike in Van Loan's exponential (IEEE Trans. Autom. Control 23, 395, 1978), which holds exp(−A dt).
//
// A System is used by one goroutine at a time until its first Step has returned.
func (s *System) Step(dt float64) *Propagator {
	if s.series == nil {
		s.series = newSeries(s)
	}
	return s.series.at(dt)
}

// Finite reports whether the step stayed within float64's range.
func (p *Propagator) Finite() bool {
	return finite(mat.Sum(p.F)) && finite(mat.Sum(p.P)) && checkFinite("", p.B) == nil
}

// series holds what the steps of one system share: the coefficients of its Taylor series in x = ‖A‖ dt/2ᵏ.
type series struct {
	d    int
	norm float64
	f    [][]float64 // Āᵏ/k! of F, Ā = A/‖A‖
	b    [][]float64 // Āᵏ c/(k+1)!
	p    [][]float64 // Q_k/(k+1)!, Q_0 = Q, Q_{k+1} = Ā Q_k + Q_k Āᵀ
}

// taylorTerms suffice for x ≤ ½: ‖Q_k‖ ≤ 2ᵏ‖Q‖, and (2x)ᵏ/(k+1)! < 10⁻¹⁹ at k = 20.
const taylorTerms = 20

func newSeries(s *System) *series {
	d := s.Dim()
	t := &series{d: d, norm: mat.Norm(s.A, 1)}
	unit := mat.NewDense(d, d, nil)
	if t.norm > 0 {
		unit.Scale(1/t.norm, s.A)
	}
	power := identity(d)
	q := mat.DenseCopyOf(s.Q)
	c := mat.NewVecDense(d, nil)
	if s.Drift != nil {
		copy(c.RawVector().Data, s.Drift)
	}
	var aq mat.Dense
	factorial := 1.0
	for k := range taylorTerms {
		if k > 0 {
			factorial *= float64(k)
			next := mat.NewDense(d, d, nil)
			next.Mul(unit, power)
			power = next
			v := mat.NewVecDense(d, nil)
			v.MulVec(unit, c)
			c = v
			aq.Mul(unit, q)
			q = mat.NewDense(d, d, nil)
			q.Add(&aq, aq.T())
		}
		t.f = append(t.f, scaled(power.RawMatrix().Data, 1/factorial))
		t.b = append(t.b, scaled(c.RawVector().Data, 1/(factorial*float64(k+1))))
		t.p = append(t.p, scaled(q.RawMatrix().Data, 1/(factorial*float64(k+1))))
	}
	return t
}

func (t *series) at(dt float64) *Propagator {
	d := t.d
	out := &Propagator{F: mat.NewDense(d, d, nil), B: make([]float64, d), P: mat.NewDense(d, d, nil)}
	t.into(out, dt, make([]float64, 2*d*d+d))
	return out
}

// into computes the step in place. work has room for 2d² + d numbers.
func (t *series) into(out *Propagator, dt float64, work []float64) {
	d := t.d
	halvings := 0
	x := t.norm * dt
	if x > 0.5 {
		_, e := math.Frexp(2 * x)
		halvings = e
		x = math.Ldexp(x, -e)
	}
	h := math.Ldexp(dt, -halvings)
	f, b, p := out.F.RawMatrix().Data, out.B, out.P.RawMatrix().Data
	clear(f)
	clear(b)
	clear(p)
	xk := 1.0
	for k := range taylorTerms {
		addScaled(f, xk, t.f[k])
		addScaled(b, h*xk, t.b[k])
		addScaled(p, h*xk, t.p[k])
		if xk *= x; xk < 1e-40 {
			break
		}
	}
	// Twice the step: b + F b, P + F P Fᵀ, F².
	fp, next, v := work[:d*d], work[d*d:2*d*d], work[2*d*d:]
	for range halvings {
		for i := range d {
			s := b[i]
			for j, w := range f[i*d : (i+1)*d] {
				s += w * b[j]
			}
			v[i] = s
		}
		copy(b, v)
		multiply(fp, f, p, d, d, d)
		multiplyT(next, fp, f, d, d, d)
		for i := range d {
			for j := range i + 1 {
				s := (next[i*d+j]+next[j*d+i])/2 + p[i*d+j]
				p[i*d+j], p[j*d+i] = s, s
			}
		}
		multiply(next, f, f, d, d, d)
		copy(f, next)
	}
}

// Then is the law of p's step followed by q's.
func (p *Propagator) Then(q *Propagator) *Propagator {
	d := len(p.B)
	out := &Propagator{F: mat.NewDense(d, d, nil), B: make([]float64, d), P: mat.DenseCopyOf(q.P)}
	out.F.Mul(q.F, p.F)
	b := mat.NewVecDense(d, out.B)
	b.MulVec(q.F, mat.NewVecDense(d, p.B))
	b.AddVec(b, mat.NewVecDense(d, q.B))
	var fp, fpf mat.Dense
	fp.Mul(q.F, p.P)
	fpf.Mul(&fp, q.F.T())
	addSymmetric(out.P, &fpf)
	return out
}
