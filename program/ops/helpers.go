package ops

import (
	"fmt"
	"slices"

	"hbar/program"
)

type (
	value   = program.Value
	emitter = program.Emitter
	tensor  = program.Tensor
	cost    = program.Cost
)

// one applies an op with one output.
func one(e emitter, op program.Op, in ...value) value { return e.Apply(op, in...)[0] }

// arity reports a wrong number of inputs.
func arity(in [][]int, want ...int) error {
	if !slices.Contains(want, len(in)) {
		return fmt.Errorf("it takes %v inputs, not %d", want, len(in))
	}
	return nil
}

// ranked reports an input that has not the wanted rank.
func ranked(in [][]int, i, rank int, layout string) error {
	if len(in[i]) != rank {
		return fmt.Errorf("input %d has the shape %v; want %s", i, in[i], layout)
	}
	return nil
}

// last is the last dimension and the number of rows before it.
func last(shape []int) (rows, cols int) {
	if len(shape) == 0 {
		return 1, 1
	}
	cols = shape[len(shape)-1]
	if cols == 0 {
		return 0, 0
	}
	return program.Size(shape) / cols, cols
}

// withLast is shape with another last dimension.
func withLast(shape []int, cols int) []int {
	s := slices.Clone(shape)
	s[len(s)-1] = cols
	return s
}

// moved is the cost of an op that reads its inputs and writes its outputs once.
func moved(in, out [][]int) cost {
	n := 0
	for _, s := range slices.Concat(in, out) {
		n += program.Size(s)
	}
	return cost{Elements: float64(n)}
}

// sum adds values of which some may be nil (zero).
func sum(e emitter, vs ...value) value {
	var s value
	for _, v := range vs {
		switch {
		case v == nil:
		case s == nil:
			s = v
		default:
			s = Sum(e, s, v)
		}
	}
	return s
}

// each calls f for each index of a shape in row-major order.
func each(shape []int, f func(i []int)) {
	i := make([]int, len(shape))
	for range program.Size(shape) {
		f(i)
		for d := len(i) - 1; d >= 0; d-- {
			if i[d]++; i[d] < shape[d] {
				break
			}
			i[d] = 0
		}
	}
}
