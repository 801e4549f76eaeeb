package ops

import (
	"fmt"
	"slices"

	"hbar/program"
)

// broadcast is the shape of a sum or product of arrays of two shapes, by NumPy's rule: the shorter shape is padded with
// ones on the left, and dimensions of one are repeated.
func broadcast(a, b []int) ([]int, error) {
	n := max(len(a), len(b))
	s := make([]int, n)
	for i := range n {
		x, y := dim(a, n, i), dim(b, n, i)
		switch {
		case x == y || y == 1:
			s[i] = x
		case x == 1:
			s[i] = y
		default:
			return nil, fmt.Errorf("the shapes do not broadcast; want equal dimensions, or 1, from the right")
		}
	}
	return s, nil
}

// dim is dimension i of n of a shape that is padded with ones on the left.
func dim(shape []int, n, i int) int {
	if i -= n - len(shape); i < 0 {
		return 1
	}
	return shape[i]
}

func offset(i, st []int) int {
	o := 0
	for d, k := range i {
		o += k * st[d]
	}
	return o
}

// pairwise computes f of two arrays that broadcast.
func pairwise(a, b, out tensor, f func(x, y float64) float64) {
	sa, sb := program.BroadcastStrides(a.Shape, out.Shape), program.BroadcastStrides(b.Shape, out.Shape)
	n := 0
	each(out.Shape, func(i []int) {
		out.Data[n] = f(a.Data[offset(i, sa)], b.Data[offset(i, sb)])
		n++
	})
}

func pairShape(in [][]int) ([][]int, error) {
	if err := arity(in, 2); err != nil {
		return nil, err
	}
	s, err := broadcast(in[0], in[1])
	return [][]int{s}, err
}

// Add is a + b, with broadcasting.
type Add struct{}

func (Add) Name() string                       { return "add" }
func (Add) Shapes(in [][]int) ([][]int, error) { return pairShape(in) }
func (Add) Cost(in, out [][]int) cost          { return moved(in, out) }
func (Add) Reference(in, out []tensor) {
	pairwise(in[0], in[1], out[0], func(x, y float64) float64 { return x + y })
}

func (Add) JVP(e emitter, _ []value, out value, din []value) value {
	return Expand(e, sum(e, din...), out.Shape())
}

func (Add) VJP(e emitter, in []value, _, g value, want []bool) []value {
	r := make([]value, 2)
	for i := range r {
		if want[i] {
			r[i] = Reduce(e, g, in[i].Shape())
		}
	}
	return r
}

// Sum emits a + b.
func Sum(e emitter, a, b value) value { return one(e, Add{}, a, b) }

// Mul is a b, with broadcasting.
type Mul struct{}

func (Mul) Name() string                       { return "mul" }
func (Mul) Shapes(in [][]int) ([][]int, error) { return pairShape(in) }
func (Mul) Cost(in, out [][]int) cost          { return moved(in, out) }
func (Mul) Reference(in, out []tensor) {
	pairwise(in[0], in[1], out[0], func(x, y float64) float64 { return x * y })
}

func (Mul) JVP(e emitter, in []value, out value, din []value) value {
	terms := make([]value, 2)
	for i, d := range din {
		if d != nil {
			terms[i] = Product(e, in[1-i], d)
		}
	}
	return Expand(e, sum(e, terms...), out.Shape())
}

func (Mul) VJP(e emitter, in []value, _, g value, want []bool) []value {
	r := make([]value, 2)
	for i := range r {
		if want[i] {
			r[i] = Reduce(e, Product(e, g, in[1-i]), in[i].Shape())
		}
	}
	return r
}

// Product emits a b.
func Product(e emitter, a, b value) value { return one(e, Mul{}, a, b) }

// SumTo sums over the dimensions along which an array of Shape would be repeated to become the input.
type SumTo struct{ Shape []int }

func (SumTo) Name() string { return "sum" }

func (o SumTo) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if s, err := broadcast(o.Shape, in[0]); err != nil || !slices.Equal(s, in[0]) {
		return nil, fmt.Errorf("%v does not broadcast to %v", o.Shape, in[0])
	}
	return [][]int{o.Shape}, nil
}

func (SumTo) Cost(in, out [][]int) cost { return moved(in, out) }

func (SumTo) Reference(in, out []tensor) {
	st := program.BroadcastStrides(out[0].Shape, in[0].Shape)
	n := 0
	each(in[0].Shape, func(i []int) {
		out[0].Data[offset(i, st)] += in[0].Data[n]
		n++
	})
}

func (o SumTo) JVP(e emitter, _ []value, _ value, din []value) value {
	return Reduce(e, din[0], o.Shape)
}

func (SumTo) VJP(e emitter, in []value, _, g value, _ []bool) []value {
	return []value{Expand(e, g, in[0].Shape())}
}

// Reduce emits SumTo, or v itself if it has the shape.
func Reduce(e emitter, v value, shape []int) value {
	if program.SameShape(v.Shape(), shape) {
		return v
	}
	return one(e, SumTo{shape}, v)
}

// ExpandTo repeats an array along the dimensions that it lacks, or has as 1.
type ExpandTo struct{ Shape []int }

func (ExpandTo) Name() string { return "expand" }

func (o ExpandTo) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if s, err := broadcast(in[0], o.Shape); err != nil || !slices.Equal(s, o.Shape) {
		return nil, fmt.Errorf("%v does not broadcast to %v", in[0], o.Shape)
	}
	return [][]int{o.Shape}, nil
}

func (ExpandTo) Cost(in, out [][]int) cost { return moved(in, out) }

func (ExpandTo) Reference(in, out []tensor) {
	st := program.BroadcastStrides(in[0].Shape, out[0].Shape)
	n := 0
	each(out[0].Shape, func(i []int) {
		out[0].Data[n] = in[0].Data[offset(i, st)]
		n++
	})
}

func (o ExpandTo) JVP(e emitter, _ []value, _ value, din []value) value {
	return Expand(e, din[0], o.Shape)
}

func (ExpandTo) VJP(e emitter, in []value, _, g value, _ []bool) []value {
	return []value{Reduce(e, g, in[0].Shape())}
}

// Expand emits ExpandTo, or v itself if it has the shape or is nil.
func Expand(e emitter, v value, shape []int) value {
	if v == nil || program.SameShape(v.Shape(), shape) {
		return v
	}
	return one(e, ExpandTo{shape}, v)
}

// SumBatch is the sum over the samples of a batch.
type SumBatch struct{}

func (SumBatch) Name() string                       { return "sum_batch" }
func (SumBatch) SumsBatch()                         {}
func (SumBatch) Shapes(in [][]int) ([][]int, error) { return in, arity(in, 1) }
func (SumBatch) Cost(in, out [][]int) cost          { return moved(in, out) }

func (SumBatch) Reference(in, out []tensor) {
	for i, x := range in[0].Data {
		out[0].Data[i] += x
	}
}

func (SumBatch) JVP(e emitter, in []value, _ value, din []value) value {
	if din[0].Rate() < in[0].Rate() {
		panic(&program.Error{Op: "sum_batch", Err: fmt.Errorf("a tangent that all samples share is not summed")})
	}
	return one(e, SumBatch{}, din[0])
}

// VJP of a sum is its cotangent, which all samples share.
func (SumBatch) VJP(_ emitter, _ []value, _, g value, _ []bool) []value { return []value{g} }

// Dot emits Σ a b over all elements of a sample, of shape [1].
func Dot(e emitter, a, b value) value { return Reduce(e, Product(e, a, b), []int{1}) }
