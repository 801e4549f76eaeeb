package dynamics

import (
	"math/cmplx"

	"gonum.org/v1/gonum/mat"
)

// nearUnit is the smallest distance of a mode's |μ| from 1 at which the formula of the bias holds.
const nearUnit = 1e-3

// correctBias removes the bias of order 1/n of least squares for a known mean or an estimated one (Nicholls and Pope 1988),
//
//	F ← F + P [Fᵀ(1 − Fᵀ²)⁻¹ + Σ_i μ_i (1 − μ_i Fᵀ)⁻¹ (+ (1 − Fᵀ)⁻¹)] Γ⁻¹/n,
//
// for residual covariance P and Γ = 1 in whitened coordinates. The correction shrinks by 0.8 until the result is stable;
// a fit that is not stable itself is left as it is.
func (e *EDMD) correctBias(mean bool) {
	m, err := modesOf(e.ols)
	if err != nil || m.radius() >= 1-nearUnit {
		return
	}
	r := e.Rank
	// The bracket has the eigenvectors of Fᵀ = Σ_j μ_j w̄_j v_jᵀ.
	bracket := mat.NewDense(r, r, nil)
	for j, mu := range m.mu {
		c := mu / (1 - mu*mu)
		for _, other := range m.mu {
			c += other / (1 - other*mu)
		}
		if mean {
			c += 1 / (1 - mu)
		}
		for a := range r {
			for b := range r {
				bracket.Set(a, b, bracket.At(a, b)+real(c*cmplx.Conj(m.left.At(a, j))*m.right.At(b, j)))
			}
		}
	}
	var change mat.Dense
	change.Mul(e.Residual, bracket)
	change.Scale(1/float64(e.Pairs), &change)
	for range 60 {
		var f mat.Dense
		f.Add(e.ols, &change)
		if m, err := modesOf(&f); err == nil && m.radius() < 1 {
			e.F.Copy(&f)
			e.Corrected = true
			return
		}
		change.Scale(0.8, &change)
	}
}

// modal is the eigenvalues of a matrix with left and right eigenvectors in columns, wᴴv = 1.
type modal struct {
	mu          []complex128
	left, right *mat.CDense
}

func modesOf(f *mat.Dense) (*modal, error) {
	var eig mat.Eigen
	if err := checkFinite("the fitted matrix", f.RawMatrix().Data); err != nil {
		return nil, err
	}
	if !eig.Factorize(f, mat.EigenBoth) {
		return nil, errEigen
	}
	m := &modal{mu: eig.Values(nil), left: &mat.CDense{}, right: &mat.CDense{}}
	eig.LeftVectorsTo(m.left)
	eig.VectorsTo(m.right)
	r := len(m.mu)
	for j := range r {
		s := complex(0, 0)
		for i := range r {
			s += cmplx.Conj(m.left.At(i, j)) * m.right.At(i, j)
		}
		if s == 0 {
			return nil, errEigen
		}
		for i := range r {
			m.left.Set(i, j, m.left.At(i, j)/cmplx.Conj(s))
		}
	}
	return m, nil
}

// radius is the largest |μ|.
func (m *modal) radius() float64 {
	r := 0.0
	for _, mu := range m.mu {
		r = max(r, cmplx.Abs(mu))
	}
	return r
}
