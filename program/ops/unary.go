package ops

import (
	"fmt"
	"math"

	"hbar/program"
)

// Fn names a function of one variable.
type Fn string

const (
	SiLU     Fn = "silu"      // x/(1 + e⁻ˣ)
	GELU     Fn = "gelu"      // x Φ(x), with the error function
	GELUTanh Fn = "gelu_tanh" // ½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))
	Tanh     Fn = "tanh"
	Exp      Fn = "exp"
)

// Unary is the derivative of the given order of a function, element by element; order 0 is the function.
type Unary struct {
	Fn    Fn
	Order int
}

// MaxOrder is the highest order of derivative that Unary has.
const MaxOrder = 6

func (o Unary) Name() string {
	if o.Order == 0 {
		return string(o.Fn)
	}
	return fmt.Sprintf("%s_derivative%d", o.Fn, o.Order)
}

func (o Unary) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if o.Order < 0 || o.Order > MaxOrder {
		return nil, fmt.Errorf("derivative %d of %s; have 0 to %d", o.Order, o.Fn, MaxOrder)
	}
	switch o.Fn {
	case SiLU, GELU, GELUTanh, Tanh, Exp:
		return in, nil
	}
	return nil, fmt.Errorf("function %q unknown; have silu, gelu, gelu_tanh, tanh, exp", o.Fn)
}

func (o Unary) Reference(in, out []tensor) {
	for i, x := range in[0].Data {
		out[0].Data[i] = o.Eval(x)
	}
}

func (Unary) Cost(in, out [][]int) cost { return moved(in, out) }

func (o Unary) JVP(e emitter, in []value, _ value, din []value) value {
	return Product(e, o.derivative(e, in[0]), din[0])
}

func (o Unary) VJP(e emitter, in []value, _, g value, _ []bool) []value {
	return []value{Product(e, o.derivative(e, in[0]), g)}
}

func (o Unary) derivative(e emitter, x value) value {
	o.Order++
	return one(e, o, x)
}

// Eval is the value at x.
func (o Unary) Eval(x float64) float64 {
	if o.Order == 0 {
		return o.value(x)
	}
	if math.Abs(x) > 40 && o.Fn != Exp {
		// The functions are at their limits to the last digit: tanh at ±1, the others at x or 0.
		if o.Order == 1 && o.Fn != Tanh && x > 0 {
			return 1
		}
		return 0
	}
	f := o.Fn.series(x, o.Order)
	d := f[o.Order]
	for k := 2; k <= o.Order; k++ {
		d *= float64(k)
	}
	return d
}

func (o Unary) value(x float64) float64 {
	switch o.Fn {
	case SiLU:
		if x < -700 {
			return 0
		}
		return x / (1 + math.Exp(-x))
	case GELU:
		if x < -40 {
			return 0
		}
		return x * math.Erfc(-x/math.Sqrt2) / 2
	case GELUTanh:
		// ½(1 + tanh u) = 1/(1 + e⁻²ᵘ), without the cancellation where tanh u is near −1.
		u := math.Sqrt(2/math.Pi) * (x + 0.044715*x*x*x)
		if u < -350 {
			return 0
		}
		return x / (1 + math.Exp(-2*u))
	case Tanh:
		return math.Tanh(x)
	}
	return math.Exp(x)
}

// series are the Taylor coefficients f^(k)(x)/k!, k = 0 … order.
func (f Fn) series(x float64, order int) []float64 {
	id := make([]float64, order+1)
	id[0] = x
	if order > 0 {
		id[1] = 1
	}
	switch f {
	case SiLU:
		return times(id, logistic(id))
	case GELUTanh:
		u := times(id, times(id, id))
		for k := range u {
			u[k] = 2 * math.Sqrt(2/math.Pi) * (id[k] + 0.044715*u[k])
		}
		return times(id, logistic(u))
	case Tanh: // 2 logistic(2x) − 1
		u := make([]float64, order+1)
		for k := range u {
			u[k] = 2 * id[k]
		}
		s := logistic(u)
		for k := range s {
			s[k] *= 2
		}
		s[0] = math.Tanh(x)
		return s
	case GELU:
		// Φ′ = φ and φ′ = −x φ.
		phi := make([]float64, order+1)
		phi[0] = math.Exp(-x*x/2) / math.Sqrt(2*math.Pi)
		for k := range order {
			c := x * phi[k]
			if k > 0 {
				c += phi[k-1]
			}
			phi[k+1] = -c / float64(k+1)
		}
		cdf := make([]float64, order+1)
		cdf[0] = math.Erfc(-x/math.Sqrt2) / 2
		for k := range order {
			cdf[k+1] = phi[k] / float64(k+1)
		}
		return times(id, cdf)
	}
	s := make([]float64, order+1) // Exp
	s[0] = math.Exp(x)
	for k := range order {
		s[k+1] = s[k] / float64(k+1)
	}
	return s
}

// times is the product of two truncated power series.
func times(a, b []float64) []float64 {
	c := make([]float64, len(a))
	for i, x := range a {
		for j := range len(b) - i {
			c[i+j] += x * b[j]
		}
	}
	return c
}

// logistic is the power series of s = 1/(1 + e⁻ᵘ), by s′ = s (1 − s) u′.
func logistic(u []float64) []float64 {
	s := make([]float64, len(u))
	q := make([]float64, len(u)) // s (1 − s)
	e := math.Exp(-math.Abs(u[0]))
	s[0], q[0] = 1/(1+e), e/((1+e)*(1+e))
	if u[0] < 0 {
		s[0] = e / (1 + e)
	}
	for k := 1; k < len(u); k++ {
		for j := range k {
			s[k] += q[j] * u[k-j] * float64(k-j) / float64(k)
		}
		// Coefficient k of s − s².
		q[k] = s[k]
		for j := range k + 1 {
			q[k] -= s[j] * s[k-j]
		}
	}
	return s
}

// Activate emits f(x).
func Activate(e emitter, f Fn, x value) value { return one(e, Unary{Fn: f}, x) }

// Power is x^P for positive x, element by element.
type Power struct{ P float64 }

func (Power) Name() string { return "power" }

func (Power) Shapes(in [][]int) ([][]int, error) { return in, arity(in, 1) }

func (o Power) Reference(in, out []tensor) {
	for i, x := range in[0].Data {
		out[0].Data[i] = math.Pow(x, o.P)
	}
}

func (Power) Cost(in, out [][]int) cost { return moved(in, out) }

func (o Power) JVP(e emitter, in []value, _ value, din []value) value {
	return Product(e, o.derivative(e, in[0]), din[0])
}

func (o Power) VJP(e emitter, in []value, _, g value, _ []bool) []value {
	return []value{Product(e, o.derivative(e, in[0]), g)}
}

func (o Power) derivative(e emitter, x value) value {
	return Affine(e, o.P, 0, one(e, Power{o.P - 1}, x))
}

// Scale is A x + B, element by element.
type Scale struct{ A, B float64 }

func (Scale) Name() string { return "scale" }

func (Scale) Shapes(in [][]int) ([][]int, error) { return in, arity(in, 1) }

func (o Scale) Reference(in, out []tensor) {
	for i, x := range in[0].Data {
		out[0].Data[i] = o.A*x + o.B
	}
}

func (Scale) Cost(in, out [][]int) cost { return moved(in, out) }

func (o Scale) JVP(e emitter, _ []value, _ value, din []value) value {
	return Affine(e, o.A, 0, din[0])
}

func (o Scale) VJP(e emitter, _ []value, _, g value, _ []bool) []value {
	return []value{Affine(e, o.A, 0, g)}
}

// Affine emits a x + b.
func Affine(e emitter, a, b float64, x value) value {
	if a == 1 && b == 0 {
		return x
	}
	return one(e, Scale{a, b}, x)
}

var (
	_ program.JVP = Unary{}
	_ program.VJP = Unary{}
	_ program.JVP = Power{}
	_ program.VJP = Scale{}
)
