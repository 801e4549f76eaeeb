package graph

import (
	"math"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"hbar/kernels/simd"
)

// activation is y = f(x), element by element.
type activation struct {
	op
	f simd.Act
}

func newActivation(f simd.Act) *activation {
	return &activation{op{name: actName(f), arity: 1}, f}
}

func (o *activation) Type() hm.Type { return function(matrix(), matrix()) }

func (o *activation) InferShape(in ...gorgonia.DimSizer) (tensor.Shape, error) {
	s, err := shapes(o.name, in, 2)
	if err != nil {
		return nil, err
	}
	return s[0].Clone(), nil
}

func (o *activation) Do(v ...gorgonia.Value) (gorgonia.Value, error) {
	x := data(v[0])
	res, y := o.dst(v[0].Shape()...)
	for i, x := range x {
		f, _ := eval(o.f, float64(x))
		y[i] = float32(f)
	}
	return res, nil
}

func (o *activation) DiffWRT(int) []bool { return []bool{true} }

func (o *activation) SymDiff(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	var b builder
	return gorgonia.Nodes{b.apply(newActivationGrad(o.f), in[0], grad)}, b.err
}

// activationGrad is dx = f′(x) dy.
type activationGrad struct {
	backward
	f simd.Act
}

func newActivationGrad(f simd.Act) *activationGrad {
	return &activationGrad{backward{op{name: actName(f) + "Grad", arity: 2}}, f}
}

func (o *activationGrad) Type() hm.Type { return function(matrix(), matrix(), matrix()) }

func (o *activationGrad) InferShape(in ...gorgonia.DimSizer) (tensor.Shape, error) {
	s, err := shapes(o.name, in, 2, 2)
	if err != nil {
		return nil, err
	}
	if !s[0].Eq(s[1]) {
		return nil, mismatch(o.name, s)
	}
	return s[0].Clone(), nil
}

func (o *activationGrad) Do(v ...gorgonia.Value) (gorgonia.Value, error) {
	x, dy := data(v[0]), data(v[1])
	res, dx := o.dst(v[0].Shape()...)
	for i, x := range x {
		_, d := eval(o.f, float64(x))
		dx[i] = float32(d * float64(dy[i]))
	}
	return res, nil
}

// eval is f(x) and f′(x).
func eval(f simd.Act, x float64) (y, d float64) {
	switch f {
	case simd.SiLU:
		s := 1 / (1 + math.Exp(-x))
		return x * s, s + x*s*(1-s)
	case simd.GELU:
		phi := 0.5 * math.Erfc(-x/math.Sqrt2)
		return x * phi, phi + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
	case simd.Tanh:
		y = math.Tanh(x)
		return y, 1 - y*y
	}
	return x, 1
}
