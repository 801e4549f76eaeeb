package ops

import (
	"fmt"

	"hbar/program"
)

// Dense is y = x Wᵀ + b over the last axis: x [..., I], W [O, I], b [O] or absent.
type Dense struct{}

func (Dense) Name() string { return "dense" }

func (Dense) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 2, 3); err != nil {
		return nil, err
	}
	if err := ranked(in, 1, 2, "[out, in]"); err != nil {
		return nil, err
	}
	_, c := last(in[0])
	if len(in[0]) == 0 || c != in[1][1] {
		return nil, fmt.Errorf("the last axis of %v meets weights for %d inputs", in[0], in[1][1])
	}
	if len(in) == 3 && (len(in[2]) != 1 || in[2][0] != in[1][0]) {
		return nil, fmt.Errorf("a bias of %v meets weights for %d outputs", in[2], in[1][0])
	}
	return [][]int{withLast(in[0], in[1][0])}, nil
}

func (Dense) Reference(in, out []tensor) {
	rows, I := last(in[0].Shape)
	_, O := last(out[0].Shape)
	for r := range rows {
		x, y := in[0].Data[r*I:(r+1)*I], out[0].Data[r*O:(r+1)*O]
		for o := range y {
			s := 0.0
			if len(in) == 3 {
				s = in[2].Data[o]
			}
			for i, w := range in[1].Data[o*I : (o+1)*I] {
				s += x[i] * w
			}
			y[o] = s
		}
	}
}

func (Dense) Cost(in, out [][]int) cost { return denseCost(in[0], in[1][0], in, out) }

// denseCost is that of a product of rows of x with O rows of weights.
func denseCost(x []int, O int, in, out [][]int) cost {
	c := moved(in, out)
	c.MulAdds = float64(program.Size(x)) * float64(O)
	return c
}

func (Dense) JVP(e emitter, in []value, out value, din []value) value {
	var terms [3]value
	if din[0] != nil {
		terms[0] = one(e, Dense{}, din[0], in[1])
	}
	if din[1] != nil {
		terms[1] = one(e, Dense{}, in[0], din[1])
	}
	if len(in) == 3 {
		terms[2] = din[2]
	}
	return Expand(e, sum(e, terms[:]...), out.Shape())
}

func (Dense) VJP(e emitter, in []value, _, g value, want []bool) []value {
	r := make([]value, len(in))
	if want[0] {
		r[0] = one(e, DenseInput{}, g, in[1])
	}
	if want[1] {
		r[1] = one(e, DenseWeight{}, g, in[0])
	}
	if len(in) == 3 && want[2] {
		r[2] = one(e, BiasSum{}, g)
	}
	return r
}

// Linear emits a dense layer; b may be nil.
func Linear(e emitter, x, w, b value) value {
	if b == nil {
		return one(e, Dense{}, x, w)
	}
	return one(e, Dense{}, x, w, b)
}

// DenseInput is dx = g W: g [..., O], W [O, I].
type DenseInput struct{}

func (DenseInput) Name() string { return "dense_input" }

func (DenseInput) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 2); err != nil {
		return nil, err
	}
	if err := ranked(in, 1, 2, "[out, in]"); err != nil {
		return nil, err
	}
	if _, c := last(in[0]); len(in[0]) == 0 || c != in[1][0] {
		return nil, fmt.Errorf("the last axis of %v meets weights for %d outputs", in[0], in[1][0])
	}
	return [][]int{withLast(in[0], in[1][1])}, nil
}

func (DenseInput) Reference(in, out []tensor) {
	rows, O := last(in[0].Shape)
	_, I := last(out[0].Shape)
	for r := range rows {
		dx := out[0].Data[r*I : (r+1)*I]
		for o, g := range in[0].Data[r*O : (r+1)*O] {
			for i, w := range in[1].Data[o*I : (o+1)*I] {
				dx[i] += g * w
			}
		}
	}
}

func (DenseInput) Cost(in, out [][]int) cost { return denseCost(in[0], in[1][1], in, out) }

func (o DenseInput) JVP(e emitter, in []value, _ value, din []value) value {
	var a, b value
	if din[0] != nil {
		a = one(e, o, din[0], in[1])
	}
	if din[1] != nil {
		b = one(e, o, in[0], din[1])
	}
	return sum(e, a, b)
}

func (DenseInput) VJP(e emitter, in []value, _, g value, want []bool) []value {
	r := make([]value, 2)
	if want[0] {
		r[0] = one(e, Dense{}, g, in[1])
	}
	if want[1] {
		r[1] = one(e, DenseWeight{}, in[0], g)
	}
	return r
}

// DenseWeight is dW = Σ gᵀ x over rows and samples: g [..., O], x [..., I], result [O, I].
type DenseWeight struct{}

func (DenseWeight) Name() string { return "dense_weight" }
func (DenseWeight) SumsBatch()   {}

func (DenseWeight) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 2); err != nil {
		return nil, err
	}
	m, O := last(in[0])
	n, I := last(in[1])
	if m != n {
		return nil, fmt.Errorf("%d rows of cotangents meet %d of inputs", m, n)
	}
	return [][]int{{O, I}}, nil
}

func (DenseWeight) Reference(in, out []tensor) {
	rows, O := last(in[0].Shape)
	_, I := last(in[1].Shape)
	for r := range rows {
		x := in[1].Data[r*I : (r+1)*I]
		for o, g := range in[0].Data[r*O : (r+1)*O] {
			dw := out[0].Data[o*I : (o+1)*I]
			for i := range dw {
				dw[i] += g * x[i]
			}
		}
	}
}

func (DenseWeight) Cost(in, out [][]int) cost {
	_, I := last(in[1])
	return denseCost(in[0], I, in, out)
}

func (o DenseWeight) JVP(e emitter, in []value, _ value, din []value) value {
	var a, b value
	if din[0] != nil {
		a = one(e, o, din[0], in[1])
	}
	if din[1] != nil {
		b = one(e, o, in[0], din[1])
	}
	return sum(e, a, b)
}

func (DenseWeight) VJP(e emitter, in []value, _, g value, want []bool) []value {
	r := make([]value, 2)
	if want[0] {
		r[0] = one(e, Dense{}, in[1], g)
	}
	if want[1] {
		r[1] = one(e, DenseInput{}, in[0], g)
	}
	return r
}

// BiasSum is the sum over rows and samples, of shape [C]: the cotangent of a bias for that of its layer.
type BiasSum struct{}

func (BiasSum) Name() string { return "bias_sum" }
func (BiasSum) SumsBatch()   {}

func (BiasSum) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	_, c := last(in[0])
	return [][]int{{c}}, nil
}

func (BiasSum) Reference(in, out []tensor) {
	rows, c := last(in[0].Shape)
	for r := range rows {
		for j, g := range in[0].Data[r*c : (r+1)*c] {
			out[0].Data[j] += g
		}
	}
}

func (BiasSum) Cost(in, out [][]int) cost { return moved(in, out) }

func (BiasSum) JVP(e emitter, _ []value, _ value, din []value) value {
	return one(e, BiasSum{}, din[0])
}

func (BiasSum) VJP(e emitter, in []value, _, g value, _ []bool) []value {
	return []value{Expand(e, g, in[0].Shape())}
}
