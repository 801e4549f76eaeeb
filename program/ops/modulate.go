package ops

import (
	"fmt"

	"hbar/program"
)

// GatedAdd is x + gate z: x and z [..., C], gate [C].
type GatedAdd struct{}

func (GatedAdd) Name() string { return "gated_add" }

func (GatedAdd) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 3); err != nil {
		return nil, err
	}
	_, c := last(in[0])
	if !program.SameShape(in[0], in[2]) || len(in[1]) != 1 || in[1][0] != c {
		return nil, fmt.Errorf("x %v, gate %v, z %v; want x and z of one shape, and a gate for each channel", in[0], in[1], in[2])
	}
	return in[:1], nil
}

func (GatedAdd) Reference(in, out []tensor) {
	_, c := last(in[0].Shape)
	for i, x := range in[0].Data {
		out[0].Data[i] = x + in[1].Data[i%c]*in[2].Data[i]
	}
}

func (GatedAdd) Cost(in, out [][]int) cost { return moved(in, out) }

func (GatedAdd) Fallback(e emitter, in []value) []value {
	return []value{Sum(e, in[0], Product(e, in[1], in[2]))}
}

func (GatedAdd) VJP(e emitter, in []value, _, g value, want []bool) []value {
	r := make([]value, 3)
	if want[0] {
		r[0] = g
	}
	if want[1] {
		r[1] = Reduce(e, Product(e, g, in[2]), in[1].Shape())
	}
	if want[2] {
		r[2] = Product(e, g, in[1])
	}
	return r
}
