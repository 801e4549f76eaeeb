package graph

import (
	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// concat is [a, b], the columns of a and then those of b. It joins the inputs of a network, in which nothing is
// differentiated here.
type concat struct{ backward }

func newConcat() *concat { return &concat{backward{op{name: "concat", arity: 2}}} }

func (o *concat) Type() hm.Type { return function(matrix(), matrix(), matrix()) }

func (o *concat) InferShape(in ...gorgonia.DimSizer) (tensor.Shape, error) {
	s, err := shapes(o.name, in, 2, 2)
	if err != nil {
		return nil, err
	}
	if s[0][0] != s[1][0] {
		return nil, mismatch(o.name, s)
	}
	return tensor.Shape{s[0][0], s[0][1] + s[1][1]}, nil
}

func (o *concat) Do(v ...gorgonia.Value) (gorgonia.Value, error) {
	n, p, q := v[0].Shape()[0], v[0].Shape()[1], v[1].Shape()[1]
	a, b := data(v[0]), data(v[1])
	res, y := o.dst(n, p+q)
	for i := range n {
		copy(y[i*(p+q):], a[i*p:(i+1)*p])
		copy(y[i*(p+q)+p:], b[i*q:(i+1)*q])
	}
	return res, nil
}

// add is a + b, the residual connection.
type add struct{ op }

func newAdd() *add { return &add{op{name: "add", arity: 2}} }

func (o *add) Type() hm.Type { return function(matrix(), matrix(), matrix()) }

func (o *add) InferShape(in ...gorgonia.DimSizer) (tensor.Shape, error) {
	s, err := shapes(o.name, in, 2, 2)
	if err != nil {
		return nil, err
	}
	if !s[0].Eq(s[1]) {
		return nil, mismatch(o.name, s)
	}
	return s[0].Clone(), nil
}

func (o *add) Do(v ...gorgonia.Value) (gorgonia.Value, error) {
	a, b := data(v[0]), data(v[1])
	res, y := o.dst(v[0].Shape()...)
	for i := range y {
		y[i] = a[i] + b[i]
	}
	return res, nil
}

func (o *add) DiffWRT(int) []bool { return []bool{true, true} }

func (o *add) SymDiff(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	return gorgonia.Nodes{grad, grad}, nil
}
