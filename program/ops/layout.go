package ops

import (
	"fmt"
	"slices"

	"hbar/program"
)

// Reshape gives an array another shape of the same size.
type Reshape struct{ Shape []int }

func (Reshape) Name() string  { return "reshape" }
func (Reshape) SharesMemory() {}

func (o Reshape) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if program.Size(in[0]) != program.Size(o.Shape) {
		return nil, fmt.Errorf("%v has %d elements; want those of %v, %d", o.Shape, program.Size(o.Shape), in[0], program.Size(in[0]))
	}
	return [][]int{o.Shape}, nil
}

func (Reshape) Reference(in, out []tensor) { copy(out[0].Data, in[0].Data) }
func (Reshape) Cost(_, _ [][]int) cost     { return cost{} }

func (o Reshape) JVP(e emitter, _ []value, _ value, din []value) value {
	return Shape(e, din[0], o.Shape...)
}

func (Reshape) VJP(e emitter, in []value, _, g value, _ []bool) []value {
	return []value{Shape(e, g, in[0].Shape()...)}
}

// Shape emits Reshape, or v itself if it has the shape.
func Shape(e emitter, v value, shape ...int) value {
	if program.SameShape(v.Shape(), shape) {
		return v
	}
	return one(e, Reshape{shape}, v)
}

// Transpose permutes dimensions: dimension d of the output is dimension Perm[d] of the input.
type Transpose struct{ Perm []int }

func (Transpose) Name() string { return "transpose" }

func (o Transpose) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	sorted := slices.Sorted(slices.Values(o.Perm))
	s := make([]int, len(in[0]))
	for d := range s {
		if len(o.Perm) != len(s) || sorted[d] != d {
			return nil, fmt.Errorf("%v is no permutation of the %d dimensions of %v", o.Perm, len(s), in[0])
		}
		s[d] = in[0][o.Perm[d]]
	}
	return [][]int{s}, nil
}

func (o Transpose) Reference(in, out []tensor) {
	st := program.Strides(in[0].Shape)
	n := 0
	each(out[0].Shape, func(i []int) {
		from := 0
		for d, k := range i {
			from += k * st[o.Perm[d]]
		}
		out[0].Data[n] = in[0].Data[from]
		n++
	})
}

func (Transpose) Cost(in, out [][]int) cost { return moved(in, out) }

func (o Transpose) JVP(e emitter, _ []value, _ value, din []value) value {
	return one(e, o, din[0])
}

func (o Transpose) VJP(e emitter, _ []value, _, g value, _ []bool) []value {
	inverse := make([]int, len(o.Perm))
	for d, p := range o.Perm {
		inverse[p] = d
	}
	return []value{one(e, Transpose{inverse}, g)}
}

// Slice takes indices Lo to Hi−1 of the last dimension.
type Slice struct{ Lo, Hi int }

func (Slice) Name() string { return "slice" }

func (o Slice) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if _, c := last(in[0]); len(in[0]) == 0 || o.Lo < 0 || o.Hi > c || o.Lo >= o.Hi {
		return nil, fmt.Errorf("indices %d to %d of the last dimension of %v; want a range within it", o.Lo, o.Hi, in[0])
	}
	return [][]int{withLast(in[0], o.Hi-o.Lo)}, nil
}

func (o Slice) Reference(in, out []tensor) {
	rows, c := last(in[0].Shape)
	w := o.Hi - o.Lo
	for r := range rows {
		copy(out[0].Data[r*w:(r+1)*w], in[0].Data[r*c+o.Lo:])
	}
}

func (Slice) Cost(_, out [][]int) cost { return moved(out, out) }

func (o Slice) JVP(e emitter, _ []value, _ value, din []value) value {
	return one(e, o, din[0])
}

func (o Slice) VJP(e emitter, in []value, _, g value, _ []bool) []value {
	_, c := last(in[0].Shape())
	return []value{one(e, Place{o.Lo, c}, g)}
}

// Part emits channels lo to hi−1 of v.
func Part(e emitter, v value, lo, hi int) value {
	if _, c := last(v.Shape()); lo == 0 && hi == c {
		return v
	}
	return one(e, Slice{lo, hi}, v)
}

// Place puts an array at index Lo of a last dimension of size Of, with zeros elsewhere: the transpose of Slice.
type Place struct{ Lo, Of int }

func (Place) Name() string { return "place" }

func (o Place) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if _, c := last(in[0]); len(in[0]) == 0 || o.Lo < 0 || o.Lo+c > o.Of {
		return nil, fmt.Errorf("%v does not fit at %d of a last dimension of %d", in[0], o.Lo, o.Of)
	}
	return [][]int{withLast(in[0], o.Of)}, nil
}

func (o Place) Reference(in, out []tensor) {
	rows, c := last(in[0].Shape)
	for r := range rows {
		copy(out[0].Data[r*o.Of+o.Lo:], in[0].Data[r*c:(r+1)*c])
	}
}

func (Place) Cost(in, out [][]int) cost { return moved(in, out) }

func (o Place) JVP(e emitter, _ []value, _ value, din []value) value {
	return one(e, o, din[0])
}

func (o Place) VJP(e emitter, in []value, _, g value, _ []bool) []value {
	_, c := last(in[0].Shape())
	return []value{one(e, Slice{o.Lo, o.Lo + c}, g)}
}

// Concat joins arrays along the last dimension, the first input first.
type Concat struct{}

func (Concat) Name() string { return "concat" }

func (Concat) Shapes(in [][]int) ([][]int, error) {
	if len(in) == 0 {
		return nil, fmt.Errorf("nothing to join")
	}
	c := 0
	for _, s := range in {
		if len(s) != len(in[0]) || len(s) == 0 || !slices.Equal(s[:len(s)-1], in[0][:len(s)-1]) {
			return nil, fmt.Errorf("all but the last dimension must be equal")
		}
		c += s[len(s)-1]
	}
	return [][]int{withLast(in[0], c)}, nil
}

func (Concat) Reference(in, out []tensor) {
	rows, of := last(out[0].Shape)
	lo := 0
	for _, x := range in {
		_, c := last(x.Shape)
		for r := range rows {
			copy(out[0].Data[r*of+lo:], x.Data[r*c:(r+1)*c])
		}
		lo += c
	}
}

func (Concat) Cost(in, out [][]int) cost { return moved(in, out) }

func (Concat) JVP(e emitter, in []value, out value, din []value) value {
	all := true
	for _, d := range din {
		all = all && d != nil
	}
	if all {
		return one(e, Concat{}, din...)
	}
	_, of := last(out.Shape())
	terms := make([]value, len(in))
	lo := 0
	for i, d := range din {
		_, c := last(in[i].Shape())
		if d != nil {
			terms[i] = one(e, Place{lo, of}, d)
		}
		lo += c
	}
	return sum(e, terms...)
}

func (Concat) VJP(e emitter, in []value, _, g value, want []bool) []value {
	r := make([]value, len(in))
	lo := 0
	for i, x := range in {
		_, c := last(x.Shape())
		if want[i] {
			r[i] = one(e, Slice{lo, lo + c}, g)
		}
		lo += c
	}
	return r
}

// Join emits Concat.
func Join(e emitter, vs ...value) value { return one(e, Concat{}, vs...) }
