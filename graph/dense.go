package graph

import (
	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// dense is y = x Wᵀ + b for x [n, in], W [out, in], b [out].
type dense struct{ op }

func newDense() *dense { return &dense{op{name: "dense", arity: 3}} }

func (o *dense) Type() hm.Type { return function(matrix(), matrix(), vector(), matrix()) }

func (o *dense) InferShape(in ...gorgonia.DimSizer) (tensor.Shape, error) {
	s, err := shapes(o.name, in, 2, 2, 1)
	if err != nil {
		return nil, err
	}
	if s[0][1] != s[1][1] || s[1][0] != s[2][0] {
		return nil, mismatch(o.name, s)
	}
	return tensor.Shape{s[0][0], s[1][0]}, nil
}

func (o *dense) Do(v ...gorgonia.Value) (gorgonia.Value, error) {
	n, in, out := v[0].Shape()[0], v[0].Shape()[1], v[1].Shape()[0]
	x, w, b := data(v[0]), data(v[1]), data(v[2])
	res, y := o.dst(n, out)
	for i := range n {
		for j := range out {
			s := float64(b[j])
			for k := range in {
				s += float64(x[i*in+k]) * float64(w[j*in+k])
			}
			y[i*out+j] = float32(s)
		}
	}
	return res, nil
}

func (o *dense) DiffWRT(int) []bool { return []bool{true, true, true} }

func (o *dense) SymDiff(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	var b builder
	return gorgonia.Nodes{
		b.apply(newDenseInput(), grad, in[1]),
		b.apply(newDenseWeight(), grad, in[0]),
		b.apply(newDenseBias(), grad),
	}, b.err
}

// denseInput is dx = dy W.
type denseInput struct{ backward }

func newDenseInput() *denseInput { return &denseInput{backward{op{name: "denseInput", arity: 2}}} }

func (o *denseInput) Type() hm.Type { return function(matrix(), matrix(), matrix()) }

func (o *denseInput) InferShape(in ...gorgonia.DimSizer) (tensor.Shape, error) {
	s, err := shapes(o.name, in, 2, 2)
	if err != nil {
		return nil, err
	}
	if s[0][1] != s[1][0] {
		return nil, mismatch(o.name, s)
	}
	return tensor.Shape{s[0][0], s[1][1]}, nil
}

func (o *denseInput) Do(v ...gorgonia.Value) (gorgonia.Value, error) {
	n, out, in := v[0].Shape()[0], v[0].Shape()[1], v[1].Shape()[1]
	dy, w := data(v[0]), data(v[1])
	res, dx := o.dst(n, in)
	for i := range n {
		for k := range in {
			s := 0.0
			for j := range out {
				s += float64(dy[i*out+j]) * float64(w[j*in+k])
			}
			dx[i*in+k] = float32(s)
		}
	}
	return res, nil
}

// denseWeight is dW = dyᵀ x.
type denseWeight struct{ backward }

func newDenseWeight() *denseWeight { return &denseWeight{backward{op{name: "denseWeight", arity: 2}}} }

func (o *denseWeight) Type() hm.Type { return function(matrix(), matrix(), matrix()) }

func (o *denseWeight) InferShape(in ...gorgonia.DimSizer) (tensor.Shape, error) {
	s, err := shapes(o.name, in, 2, 2)
	if err != nil {
		return nil, err
	}
	if s[0][0] != s[1][0] {
		return nil, mismatch(o.name, s)
	}
	return tensor.Shape{s[0][1], s[1][1]}, nil
}

func (o *denseWeight) Do(v ...gorgonia.Value) (gorgonia.Value, error) {
	n, out, in := v[0].Shape()[0], v[0].Shape()[1], v[1].Shape()[1]
	dy, x := data(v[0]), data(v[1])
	res, dw := o.dst(out, in)
	for j := range out {
		for k := range in {
			s := 0.0
			for i := range n {
				s += float64(dy[i*out+j]) * float64(x[i*in+k])
			}
			dw[j*in+k] = float32(s)
		}
	}
	return res, nil
}

// denseBias is db = Σ_i dy_i.
type denseBias struct{ backward }

func newDenseBias() *denseBias { return &denseBias{backward{op{name: "denseBias", arity: 1}}} }

func (o *denseBias) Type() hm.Type { return function(matrix(), vector()) }

func (o *denseBias) InferShape(in ...gorgonia.DimSizer) (tensor.Shape, error) {
	s, err := shapes(o.name, in, 2)
	if err != nil {
		return nil, err
	}
	return tensor.Shape{s[0][1]}, nil
}

func (o *denseBias) Do(v ...gorgonia.Value) (gorgonia.Value, error) {
	n, out := v[0].Shape()[0], v[0].Shape()[1]
	dy := data(v[0])
	res, db := o.dst(out)
	for j := range out {
		s := 0.0
		for i := range n {
			s += float64(dy[i*out+j])
		}
		db[j] = float32(s)
	}
	return res, nil
}
