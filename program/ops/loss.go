package ops

import (
	"fmt"

	"hbar/program"
)

// SquaredError is the weighted squared error w Σ (y − target)² of one sample: y and target of one shape, w [1], result [1].
type SquaredError struct{}

func (SquaredError) Name() string { return "squared_error" }

func (SquaredError) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 3); err != nil {
		return nil, err
	}
	if !program.SameShape(in[0], in[1]) {
		return nil, fmt.Errorf("an output of %v meets a target of %v", in[0], in[1])
	}
	return [][]int{{1}}, scalar(in, 2)
}

func (SquaredError) Reference(in, out []tensor) {
	s := 0.0
	for i, y := range in[0].Data {
		d := y - in[1].Data[i]
		s += d * d
	}
	out[0].Data[0] = in[2].Data[0] * s
}

func (SquaredError) Cost(in, out [][]int) cost { return moved(in, out) }

func (SquaredError) Fallback(e emitter, in []value) []value {
	d := Sum(e, in[0], Affine(e, -1, 0, in[1]))
	return []value{Product(e, in[2], Dot(e, d, d))}
}

func (SquaredError) VJP(e emitter, in []value, out, g value, want []bool) []value {
	r := make([]value, 3)
	if want[0] || want[1] {
		d := one(e, SquaredErrorInput{}, in[0], in[1], in[2], g)
		if want[0] {
			r[0] = d
		}
		if want[1] {
			r[1] = Affine(e, -1, 0, d)
		}
	}
	if want[2] {
		d := Sum(e, in[0], Affine(e, -1, 0, in[1]))
		r[2] = Product(e, g, Dot(e, d, d))
	}
	return r
}

// SquaredErrorInput is the cotangent 2 w g (y − target) of y: y, target, w [1], g [1].
type SquaredErrorInput struct{}

func (SquaredErrorInput) Name() string { return "squared_error_input" }

func (SquaredErrorInput) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 4); err != nil {
		return nil, err
	}
	if !program.SameShape(in[0], in[1]) {
		return nil, fmt.Errorf("an output of %v meets a target of %v", in[0], in[1])
	}
	if err := scalar(in, 2); err != nil {
		return nil, err
	}
	return in[:1], scalar(in, 3)
}

func (SquaredErrorInput) Reference(in, out []tensor) {
	for i, y := range in[0].Data {
		out[0].Data[i] = 2 * in[2].Data[0] * in[3].Data[0] * (y - in[1].Data[i])
	}
}

func (SquaredErrorInput) Cost(in, out [][]int) cost { return moved(in, out) }

func (SquaredErrorInput) Fallback(e emitter, in []value) []value {
	d := Sum(e, in[0], Affine(e, -1, 0, in[1]))
	return []value{Product(e, d, Affine(e, 2, 0, Product(e, in[2], in[3])))}
}
