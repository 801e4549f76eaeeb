package dynamics

import (
	"math"
	"math/cmplx"

	"gonum.org/v1/gonum/mat"
)

// growthLimit is the largest logarithm of a growth over a generated sequence. With a larger one rounding errors grow to the size of the
// numbers long before these overflow.
const growthLimit = 200

// ClampGrowth returns a model whose modes do not grow, with Re λ > 0 set to 0, where a growth over the span would exceed
// growthLimit, and the λ of the modes that were changed. Else it returns m itself.
func (m *StateSpace) ClampGrowth(span float64) (*StateSpace, []complex128, error) {
	a := m.generator()
	modal, err := modesOf(a)
	if err != nil {
		return nil, nil, err
	}
	var grown []complex128
	changed := mat.NewDense(len(modal.mu), len(modal.mu), nil)
	for k, l := range modal.mu {
		rate, to := real(l), complex(0, imag(l))
		if m.System == nil {
			rate, to = math.Log(cmplx.Abs(l))/m.Dt, l/complex(cmplx.Abs(l), 0)
		}
		if rate*span <= growthLimit {
			to = l
		} else if m.System == nil {
			grown = append(grown, cmplx.Log(l)/complex(m.Dt, 0))
		} else {
			grown = append(grown, l)
		}
		for i := range modal.mu {
			for j := range modal.mu {
				changed.Set(i, j, changed.At(i, j)+real(modal.right.At(i, k)*to*cmplx.Conj(modal.left.At(j, k))))
			}
		}
	}
	if len(grown) == 0 {
		return m, nil, nil
	}
	out := *m
	if m.System != nil {
		out.System = &System{A: changed, Drift: m.System.Drift, Q: m.System.Q}
	} else {
		out.Chain = &Propagator{F: changed, B: m.Chain.B, P: m.Chain.P}
	}
	return &out, grown, nil
}

// generator is A, or the matrix of a chain's step.
func (m *StateSpace) generator() *mat.Dense {
	if m.System != nil {
		return m.System.A
	}
	return m.Chain.F
}
