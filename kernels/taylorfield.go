package kernels

import (
	"hbar/kernels/jet"
)

// TaylorField evaluates the right-hand side dy/dτ of the equations of the WKB expansion (package solver/likelihood documents
// them) for the state of one sample. It holds scratch memory and is not safe for concurrent use.
type TaylorField struct {
	TaylorState
	alg  *jet.Algebra // to the degree of s
	flow []float64    // F_i, to the degree of L
	div  []float64    // ∇·s
	grad [][]float64
	diff []float64
}

// NewTaylorField makes the field for states of the given layout.
func NewTaylorField(s TaylorState) *TaylorField {
	f := &TaylorField{TaylorState: s, alg: jet.For(s.D, s.DegL+1)}
	if s.Order == 0 {
		return f
	}
	size := f.alg.Size(s.DegL)
	f.flow, f.div, f.diff = make([]float64, size), make([]float64, size), make([]float64, size)
	for range s.D {
		f.grad = append(f.grad, make([]float64, size))
	}
	return f
}

// Eval writes dy/dτ for the state y and the jets s of the score (D of degree DegL+1), where dx/dτ = drift x − half s.
func (f *TaylorField) Eval(dst, y, s []float64, drift, half float64) {
	if f.Order == 0 {
		for i := range f.D {
			dst[i] = drift*y[i] - half*s[i]
		}
		return
	}
	alg := f.alg
	nS := alg.Size(f.DegL + 1)
	sizeL := alg.Size(f.DegL)
	size1 := alg.Size(f.Deg1)
	clear(dst)
	l, l1 := y[f.LogQ:f.L1], y[f.L1:f.DivTerm]
	dl, dl1 := dst[f.LogQ:f.L1], dst[f.L1:f.DivTerm]

	clear(f.div)
	for i := range f.D {
		alg.AddDeriv(f.div, 1, s[i*nS:(i+1)*nS], i, f.DegL)
		alg.Deriv(f.grad[i], l, i, f.DegL-1)
	}
	// −∇·F
	for k, v := range f.div {
		dl[k] = half * v
	}
	dl[0] -= float64(f.D) * drift
	// ½g² (∇·s − ΔL)
	alg.AddLaplacian(dl1, -half, l, f.Deg1)
	for k := range size1 {
		dl1[k] += half * f.div[k]
	}
	dst[f.DivTerm] = dl1[0]
	for i := range f.D {
		si := s[i*nS : (i+1)*nS]
		dst[i] = drift*y[i] - half*si[0]
		for k := range sizeL {
			f.flow[k] = -half * si[k]
		}
		f.flow[1+i] += drift
		// −(F(x+δ) − F(x))·∇ of L and ℓ₁
		alg.AddMulTail(dl, -1, f.flow, f.grad[i], f.DegL)
		for k := range size1 {
			f.diff[k] = si[k] - f.grad[i][k]
		}
		dst[f.Mismatch] -= half * f.diff[0] * f.diff[0]
		// ½g² (s − u)·u
		alg.AddMul(dl1, half, f.diff, f.grad[i], f.Deg1)
		if f.Order < 2 {
			continue
		}
		alg.Deriv(f.diff, l1, i, f.Deg1-1)
		alg.AddMulTail(dl1, -1, f.flow, f.diff, f.Deg1)
		// ½g² (s − 2u)·∇ℓ₁
		dst[f.L2] += half * (si[0] - 2*f.grad[i][0]) * f.diff[0]
	}
	if f.Order == 2 {
		alg.AddLaplacian(dst[f.L2:], -half, l1, 0)
	}
}
