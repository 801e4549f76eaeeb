package graph

import (
	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// loss is 1/(nD) Σ_i w_i |p_i − t_i|² for a prediction p and target t [n, D] and weights w [n]: a mean over the batch and
// the coordinates.
type loss struct {
	op
	value gorgonia.F32
}

func newLoss() *loss { return &loss{op: op{name: "loss", arity: 3}} }

func (o *loss) Type() hm.Type { return function(matrix(), matrix(), vector(), float32s) }

func (o *loss) InferShape(in ...gorgonia.DimSizer) (tensor.Shape, error) {
	s, err := shapes(o.name, in, 2, 2, 1)
	if err != nil {
		return nil, err
	}
	if !s[0].Eq(s[1]) || s[0][0] != s[2][0] {
		return nil, mismatch(o.name, s)
	}
	return tensor.ScalarShape(), nil
}

func (o *loss) Do(v ...gorgonia.Value) (gorgonia.Value, error) {
	n, d := v[0].Shape()[0], v[0].Shape()[1]
	p, t, w := data(v[0]), data(v[1]), data(v[2])
	s := 0.0
	for i := range n {
		for j := i * d; j < (i+1)*d; j++ {
			e := float64(p[j] - t[j])
			s += float64(w[i]) * e * e
		}
	}
	o.value = gorgonia.F32(s / float64(n*d))
	return &o.value, nil
}

func (o *loss) DiffWRT(int) []bool { return []bool{true, false, false} }

func (o *loss) SymDiff(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	var b builder
	return gorgonia.Nodes{b.apply(newLossGrad(), in[0], in[1], in[2], grad), nil, nil}, b.err
}

// lossGrad is 2 g/(nD) w_i (p_i − t_i), g the gradient of the loss.
type lossGrad struct{ backward }

func newLossGrad() *lossGrad { return &lossGrad{backward{op{name: "lossGrad", arity: 4}}} }

func (o *lossGrad) Type() hm.Type {
	return function(matrix(), matrix(), vector(), float32s, matrix())
}

func (o *lossGrad) InferShape(in ...gorgonia.DimSizer) (tensor.Shape, error) {
	s, err := shapes(o.name, in, 2, 2, 1, 0)
	if err != nil {
		return nil, err
	}
	if !s[0].Eq(s[1]) || s[0][0] != s[2][0] {
		return nil, mismatch(o.name, s)
	}
	return s[0].Clone(), nil
}

func (o *lossGrad) Do(v ...gorgonia.Value) (gorgonia.Value, error) {
	n, d := v[0].Shape()[0], v[0].Shape()[1]
	p, t, w := data(v[0]), data(v[1]), data(v[2])
	scale := 2 * v[3].Data().(float32) / float32(n*d)
	res, dp := o.dst(n, d)
	for i := range n {
		for j := i * d; j < (i+1)*d; j++ {
			dp[j] = scale * w[i] * (p[j] - t[j])
		}
	}
	return res, nil
}
