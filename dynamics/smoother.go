package dynamics

import (
	"fmt"

	"gonum.org/v1/gonum/mat"
)

// States are means and covariances of the state at each time of a record, given all of it.
type States struct {
	Mean []float64    // n×d
	Cov  []*mat.Dense // n of d×d
}

// Smooth is the smoother of Rauch, Tung and Striebel for one record. The time is linear in its length, the memory n d².
func (m *StateSpace) Smooth(r *Record) (*States, error) {
	f := newFilter(m)
	moments := make([]moment, r.Len())
	if err := f.run(r, func(i int, m moment) { moments[i] = m }); err != nil {
		return nil, err
	}
	d := m.Dim()
	n := r.Len()
	s := &States{Mean: make([]float64, n*d), Cov: make([]*mat.Dense, n)}
	mean, cov := moments[n-1].filtered, moments[n-1].cov
	for i := n - 1; ; i-- {
		copy(s.Mean[i*d:], mean)
		s.Cov[i] = cov
		if i == 0 {
			return s, nil
		}
		at, next := moments[i-1], moments[i]
		// J = P Fᵀ (P⁻)⁻¹
		var fp, jt mat.Dense
		fp.Mul(next.step.F, at.cov)
		if err := solveSymmetric(&jt, next.predCov, &fp); err != nil {
			return nil, fmt.Errorf("dynamics: smoothing at time %g: %w", r.Times[i-1], err)
		}
		shift := mat.NewVecDense(d, nil)
		for k := range d {
			shift.SetVec(k, mean[k]-next.predicted[k])
		}
		v := mat.NewVecDense(d, append([]float64(nil), at.filtered...))
		var js mat.VecDense
		js.MulVec(jt.T(), shift)
		v.AddVec(v, &js)
		mean = v.RawVector().Data
		var change, a, b mat.Dense
		change.Sub(cov, next.predCov)
		a.Mul(jt.T(), &change)
		b.Mul(&a, &jt)
		cov = mat.DenseCopyOf(at.cov)
		addSymmetric(cov, &b)
	}
}

// solveSymmetric solves a x = b for a positive semidefinite; where a is singular, with its pseudo-inverse.
func solveSymmetric(x, a, b *mat.Dense) error {
	d, _ := a.Dims()
	sym := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			sym.SetSym(i, j, (a.At(i, j)+a.At(j, i))/2)
		}
	}
	var chol mat.Cholesky
	if chol.Factorize(sym) && chol.Cond() < 1e14 {
		return chol.SolveTo(x, b)
	}
	var eig mat.EigenSym
	if !eig.Factorize(sym, true) {
		return fmt.Errorf("eigenvalues of a covariance do not converge")
	}
	values := eig.Values(nil)
	var v, vb mat.Dense
	eig.VectorsTo(&v)
	vb.Mul(v.T(), b)
	for i, l := range values {
		f := 0.0
		if l > 1e-13*values[d-1] {
			f = 1 / l
		}
		row := vb.RawRowView(i)
		for j := range row {
			row[j] *= f
		}
	}
	x.Mul(&v, &vb)
	return nil
}
