package dynamics

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// StateSpace is a linear Gaussian model of observed sequences,
//
//	z(t₀) ~ N(M0, P0),   y_k = C z(t_k) + Offset + v_k,   v_k ~ N(0, R),
//
// with z following a System at any times t_k, or a chain of equal steps.
type StateSpace struct {
	System *System // continuous time, or nil

	Chain *Propagator // the step of a chain, where System is nil,
	Dt    float64     // and its length; times are then whole multiples of it apart

	C      *mat.Dense // p×d
	Offset []float64  // p long; nil for zeros
	R      *mat.Dense // p×p, positive semidefinite
	M0     []float64  // d
	P0     *mat.Dense // d×d, positive semidefinite
}

// Dim is d, and Outputs p.
func (m *StateSpace) Dim() int     { return len(m.M0) }
func (m *StateSpace) Outputs() int { p, _ := m.C.Dims(); return p }

// Validate checks shapes and values, that covariances are positive semidefinite and every mode is observed.
func (m *StateSpace) Validate() error {
	switch {
	case m.System == nil && (m.Chain == nil || m.Chain.F == nil):
		return errors.New("dynamics: the model has neither A nor a step")
	case m.C == nil:
		return errors.New("dynamics: the model has no C")
	}
	var generator *mat.Dense
	if m.System != nil {
		if err := m.System.Validate(); err != nil {
			return err
		}
		generator = m.System.A
	} else {
		d := len(m.Chain.B)
		if r, c := m.Chain.F.Dims(); r != d || c != d || !(m.Dt > 0) {
			return fmt.Errorf("dynamics: the chain has F of %d×%d, a drift of %d and a step of %g", r, c, d, m.Dt)
		}
		if err := checkFinite("F", m.Chain.F.RawMatrix().Data); err != nil {
			return err
		}
		if err := checkCovariance("P", m.Chain.P, d); err != nil {
			return err
		}
		generator = m.Chain.F
	}
	d, _ := generator.Dims()
	p, c := m.C.Dims()
	if c != d {
		return fmt.Errorf("dynamics: C is %d×%d; a state of %d needs %d columns", p, c, d, d)
	}
	if len(m.M0) != d || m.Offset != nil && len(m.Offset) != p {
		return fmt.Errorf("dynamics: m0 has %d numbers and the offset %d; want %d and %d", len(m.M0), len(m.Offset), d, p)
	}
	for name, x := range map[string][]float64{"C": m.C.RawMatrix().Data, "m0": m.M0, "the offset": m.Offset} {
		if err := checkFinite(name, x); err != nil {
			return err
		}
	}
	if err := checkCovariance("R", m.R, p); err != nil {
		return err
	}
	if err := checkCovariance("P0", m.P0, d); err != nil {
		return err
	}
	return m.observable(generator)
}

// observable is the test of Popov, Belevitch and Hautus: (A − λ; C) has full rank at every eigenvalue λ.
func (m *StateSpace) observable(a *mat.Dense) error {
	var eig mat.Eigen
	if !eig.Factorize(a, mat.EigenNone) {
		return errors.New("dynamics: the eigenvalues of A do not converge")
	}
	d, p := m.Dim(), m.Outputs()
	na, nc := math.Max(mat.Norm(a, 2), 1e-300), math.Max(mat.Norm(m.C, 2), 1e-300)
	for _, l := range eig.Values(nil) {
		if imag(l) < 0 {
			continue
		}
		// The real form of the complex matrix has each of its singular values twice.
		h := mat.NewDense(2*(d+p), 2*d, nil)
		for i := range d {
			for j := range d {
				v := a.At(i, j)
				if i == j {
					v -= real(l)
					h.Set(i, d+j, imag(l)/na)
					h.Set(d+p+i, j, -imag(l)/na)
				}
				h.Set(i, j, v/na)
				h.Set(d+p+i, d+j, v/na)
			}
		}
		for i := range p {
			for j := range d {
				h.Set(d+i, j, m.C.At(i, j)/nc)
				h.Set(2*d+p+i, d+j, m.C.At(i, j)/nc)
			}
		}
		var svd mat.SVD
		if !svd.Factorize(h, mat.SVDNone) {
			return errors.New("dynamics: the singular values of (A − λ; C) do not converge")
		}
		if s := svd.Values(nil); s[len(s)-1] < 1e-12*s[0] {
			return fmt.Errorf("dynamics: the system is unobservable: no output sees the mode λ = %.4g; leave it out of A and C", l)
		}
	}
	return nil
}

// steps caches the propagators of a model by the length of the step.
type steps struct {
	m      *StateSpace
	known  map[float64]*Propagator
	last   *Propagator
	lastDt float64

	keep    bool // propagators are kept by the caller, so that none may be overwritten
	scratch *Propagator
	work    []float64
}

func newSteps(m *StateSpace) *steps { return &steps{m: m, known: map[float64]*Propagator{}} }

// maxKnown bounds the cache: times without any common step would fill the memory.
const maxKnown = 256

// between is the propagator from t to u. Steps that differ by no more than the rounding of the times count as equal, so
// that times k·Δ have one step.
func (s *steps) between(t, u float64) (*Propagator, error) {
	dt := u - t
	if s.last != nil && math.Abs(dt-s.lastDt) <= 0x1p-50*math.Max(math.Abs(t), math.Abs(u)) {
		return s.last, nil
	}
	p, ok := s.known[dt]
	switch {
	case ok:
	case len(s.known) < maxKnown || s.keep || s.m.System == nil:
		var err error
		if p, err = s.m.step(dt); err != nil {
			return nil, err
		}
		if len(s.known) < maxKnown {
			s.known[dt] = p
		}
	default: // reuses one propagator
		if s.scratch == nil {
			d := s.m.Dim()
			s.scratch = &Propagator{F: mat.NewDense(d, d, nil), B: make([]float64, d), P: mat.NewDense(d, d, nil)}
			s.work = make([]float64, 2*d*d+d)
		}
		p = s.scratch
		s.m.System.series.into(p, dt, s.work)
		if !p.Finite() {
			return nil, overflow(dt)
		}
	}
	s.last, s.lastDt = p, dt
	return p, nil
}

// step is the law of one step of length dt.
func (m *StateSpace) step(dt float64) (*Propagator, error) {
	var p *Propagator
	if m.System != nil {
		p = m.System.Step(dt)
	} else {
		k := math.Round(dt / m.Dt)
		if k < 1 || math.Abs(dt-k*m.Dt) > stepTolerance*m.Dt || k > 1<<40 {
			return nil, fmt.Errorf("the model is a chain of steps of %g, and two times are %g apart; fit in continuous time by maximum likelihood", m.Dt, dt)
		}
		p = m.Chain.power(int64(k))
	}
	if !p.Finite() {
		return nil, overflow(dt)
	}
	return p, nil
}

// power is the law of k ≥ 1 steps.
func (p *Propagator) power(k int64) *Propagator {
	var out *Propagator
	for base := p; ; base = base.Then(base) {
		if k&1 == 1 {
			if out == nil {
				out = base
			} else {
				out = out.Then(base)
			}
		}
		if k >>= 1; k == 0 {
			return out
		}
	}
}

func overflow(dt float64) error {
	return fmt.Errorf("a growing mode overflows over a step of %g", dt)
}
