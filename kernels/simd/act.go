package simd

import (
	"fmt"
	"math"
)

func (f Act) String() string {
	switch f {
	case Identity:
		return "identity"
	case SiLU:
		return "silu"
	case GELU:
		return "gelu"
	case Tanh:
		return "tanh"
	case GELUTanh:
		return "gelu_tanh"
	}
	return fmt.Sprintf("Act(%d)", uint8(f))
}

// GELUTanh is x σ(u) with u = x (geluTanh1 + geluTanh3 x²), because (1 + tanh v)/2 = σ(2v).
var (
	geluTanh1 = 2 * math.Sqrt(2/math.Pi)
	geluTanh3 = geluTanh1 * 0.044715
)

// Eval returns f(x) and f'(x) in float64: the definition that every implementation is tested against. NaN gives NaN;
// ±Inf give the limits.
func (f Act) Eval(x float64) (y, d float64) {
	switch f {
	case Identity:
		return x, 1
	case SiLU:
		switch { // Inf·0 would be NaN
		case x > 750:
			return x, 1
		case x < -750:
			return 0, 0
		}
		e := math.Exp(-math.Abs(x))
		s, q := 1/(1+e), e/(1+e) // σ and 1-σ, or for negative x the other way round
		if x < 0 {
			s, q = q, s
		}
		return x * s, s + x*s*q
	case GELU:
		if math.Abs(x) > 40 {
			return max(x, 0), (1 + math.Copysign(1, x)) / 2
		}
		p := math.Erfc(-x/math.Sqrt2) / 2
		return x * p, p + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
	case Tanh:
		y = math.Tanh(x)
		if math.Abs(y) < 0.5 {
			return y, 1 - y*y
		}
		e := math.Exp(-2 * math.Abs(x)) // 1 - tanh² = 4e/(1+e)², without the cancellation
		return y, 4 * e / ((1 + e) * (1 + e))
	case GELUTanh:
		if math.Abs(x) > 40 {
			return max(x, 0), (1 + math.Copysign(1, x)) / 2
		}
		u := x * (geluTanh1 + geluTanh3*x*x)
		e := math.Exp(-math.Abs(u))
		s, q := 1/(1+e), e/(1+e)
		if x < 0 {
			s, q = q, s
		}
		return x * s, s + x*s*q*(geluTanh1+3*geluTanh3*x*x)
	}
	panic("simd: unknown activation " + f.String())
}

// eval is Eval rounded to the element type.
func eval[F Float](f Act, x F) (y, d F) {
	if f == Identity {
		return x, 1
	}
	a, b := f.Eval(float64(x))
	return F(a), F(b)
}

func actGeneric(f Act, y, d, x []float32) {
	checkAct(f, y, d, x)
	for i, v := range x {
		a, b := eval(f, v)
		y[i] = a
		if d != nil {
			d[i] = b
		}
	}
}

func checkAct(f Act, y, d, x []float32) {
	if f > GELUTanh {
		panic("simd: unknown activation " + f.String())
	}
	need("Act32", "y", len(y), len(x))
	if d != nil {
		need("Act32", "d", len(d), len(x))
	}
}

// need panics unless a slice of have elements holds want.
func need(routine, name string, have, want int) {
	if have < want {
		panic(fmt.Sprintf("simd: %s: %s holds %d elements, needs %d", routine, name, have, want))
	}
}
