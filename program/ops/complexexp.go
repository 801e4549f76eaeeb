package ops

import (
	"fmt"
	"math"

	"hbar/program"
)

// ComplexExp is the exponential of complex numbers, e^a (cos b, sin b) of a + ib: the last dimension has the real parts first and then
// as many imaginary ones.
type ComplexExp struct{}

func (ComplexExp) Name() string { return "complex_exp" }

func (ComplexExp) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if _, c := last(in[0]); len(in[0]) == 0 || c%2 != 0 {
		return nil, fmt.Errorf("%v has no real and imaginary parts; want an even last dimension", in[0])
	}
	return in, nil
}

func (ComplexExp) Reference(in, out []tensor) {
	rows(in[0].Shape, func(at []int) {
		n := len(at) / 2
		for j, i := range at[:n] {
			size := math.Exp(in[0].Data[i])
			sin, cos := math.Sincos(in[0].Data[at[n+j]])
			out[0].Data[i], out[0].Data[at[n+j]] = size*cos, size*sin
		}
	})
}

func (ComplexExp) Cost(in, out [][]int) cost { return moved(in, out) }

// JVP multiplies by the result, which is its own derivative.
func (ComplexExp) JVP(e emitter, _ []value, out value, din []value) value {
	return ComplexProduct(e, out, din[0])
}

func (ComplexExp) VJP(e emitter, _ []value, out, g value, _ []bool) []value {
	return []value{ComplexProduct(e, conjugate(e, out), g)}
}

var (
	_ program.JVP = ComplexExp{}
	_ program.VJP = ComplexExp{}
)
