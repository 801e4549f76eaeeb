package ops

import (
	"fmt"
	"math"

	"hbar/program"
)

// Softmax is eˣ/Σ eˣ over the last axis.
type Softmax struct{}

func (Softmax) Name() string                       { return "softmax" }
func (Softmax) Shapes(in [][]int) ([][]int, error) { return in, arity(in, 1) }
func (Softmax) Cost(in, out [][]int) cost          { return moved(in, out) }

func (Softmax) Reference(in, out []tensor) {
	rows(in[0].Shape, func(at []int) { softmax(in[0].Data[at[0]:at[0]+len(at)], out[0].Data[at[0]:]) })
}

func softmax(x, y []float64) {
	top, s := math.Inf(-1), 0.0
	for _, v := range x {
		top = math.Max(top, v)
	}
	for i, v := range x {
		y[i] = math.Exp(v - top)
		s += y[i]
	}
	for i := range x {
		y[i] /= s
	}
}

func (Softmax) JVP(e emitter, _ []value, y value, din []value) value {
	return softmaxSlope(e, y, din[0])
}

func (Softmax) VJP(e emitter, _ []value, y, g value, _ []bool) []value {
	return []value{softmaxSlope(e, y, g)}
}

// softmaxSlope emits y (d − Σ y d): the Jacobian of softmax, which is symmetric.
func softmaxSlope(e emitter, y, d value) value {
	s := Reduce(e, Product(e, y, d), statsShape(y.Shape()))
	return Product(e, y, Sum(e, d, Affine(e, -1, 0, s)))
}

// Attention is softmax(q kᵀ/√d) v for each of Heads heads: q [T, C], k and v [S, C], result [T, C], with channels in the
// order (head, channel of the head) and d = C/Heads (Vaswani 2017, arXiv:1706.03762).
type Attention struct{ Heads int }

func (Attention) Name() string { return "attention" }

func (o Attention) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 3); err != nil {
		return nil, err
	}
	return in[:1], o.check(in)
}

func (o Attention) check(in [][]int) error {
	for i := range 3 {
		if err := ranked(in, i, 2, "[positions, channels]"); err != nil {
			return err
		}
	}
	c := in[0][1]
	if o.Heads < 1 || c%o.Heads != 0 {
		return fmt.Errorf("%d heads do not divide the %d channels", o.Heads, c)
	}
	if in[1][1] != c || !program.SameShape(in[1], in[2]) {
		return fmt.Errorf("queries %v meet keys %v and values %v; want equal channels, and keys and values of one shape", in[0], in[1], in[2])
	}
	return nil
}

func (o Attention) scale(q []int) float64 { return 1 / math.Sqrt(float64(q[1]/o.Heads)) }

func (o Attention) Reference(in, out []tensor) {
	q, k, v := in[0], in[1], in[2]
	T, C, S := q.Shape[0], q.Shape[1], k.Shape[0]
	d := C / o.Heads
	p := make([]float64, S)
	for h := range o.Heads {
		for t := range T {
			for s := range S {
				p[s] = 0
				for c := h * d; c < (h+1)*d; c++ {
					p[s] += q.Data[t*C+c] * k.Data[s*C+c]
				}
				p[s] *= o.scale(q.Shape)
			}
			softmax(p, p)
			for s := range S {
				for c := h * d; c < (h+1)*d; c++ {
					out[0].Data[t*C+c] += p[s] * v.Data[s*C+c]
				}
			}
		}
	}
}

// products is the cost of n products of the size of q kᵀ.
func (o Attention) products(n int, in, out [][]int) cost {
	c := moved(in, out)
	c.MulAdds = float64(n) * float64(in[0][0]) * float64(in[1][0]) * float64(in[0][1])
	return c
}

func (o Attention) Cost(in, out [][]int) cost { return o.products(2, in, out) }

// split emits [T, C] as [T, heads, d].
func (o Attention) split(e emitter, x value) value {
	s := x.Shape()
	return Shape(e, x, s[0], o.Heads, s[1]/o.Heads)
}

// probabilities emits softmax(q kᵀ/√d), [heads, T, S], of split queries and keys.
func (o Attention) probabilities(e emitter, q, k value, scale float64) value {
	return one(e, Softmax{}, Affine(e, scale, 0, one(e, scores, q, k)))
}

var (
	scores = Einsum{"thd", "shd", "hts"} // q, k → scores
	mix    = Einsum{"hts", "shd", "thd"} // probabilities, v → result
	unmix  = Einsum{"hts", "thd", "shd"} // probabilities, cotangent → cotangent of v
)

func (o Attention) Fallback(e emitter, in []value) []value {
	p := o.probabilities(e, o.split(e, in[0]), o.split(e, in[1]), o.scale(in[0].Shape()))
	return []value{Shape(e, one(e, mix, p, o.split(e, in[2])), in[0].Shape()...)}
}

func (o Attention) VJP(e emitter, in []value, _, g value, want []bool) []value {
	r := e.Apply(AttentionInput{o}, in[0], in[1], in[2], g)
	for i, w := range want {
		if !w {
			r[i] = nil
		}
	}
	return r
}

func (o Attention) JVP(e emitter, in []value, _ value, din []value) value {
	if din[0] != nil && din[1] != nil && din[2] != nil {
		return one(e, AttentionTangent{o}, in[0], in[1], in[2], din[0], din[1], din[2])
	}
	return Shape(e, o.tangent(e, in, din), in[0].Shape()...)
}

// tangent emits the tangent of the result with plain ops, split.
func (o Attention) tangent(e emitter, in, din []value) value {
	scale := o.scale(in[0].Shape())
	q, k, v := o.split(e, in[0]), o.split(e, in[1]), o.split(e, in[2])
	p := o.probabilities(e, q, k, scale)
	var terms [2]value
	if din[0] != nil {
		terms[0] = one(e, scores, o.split(e, din[0]), k)
	}
	if din[1] != nil {
		terms[1] = one(e, scores, q, o.split(e, din[1]))
	}
	var fromScores, fromValues value
	if ds := sum(e, terms[:]...); ds != nil {
		fromScores = one(e, mix, softmaxSlope(e, p, Affine(e, scale, 0, ds)), v)
	}
	if din[2] != nil {
		fromValues = one(e, mix, p, o.split(e, din[2]))
	}
	return sum(e, fromScores, fromValues)
}

// AttentionInput is the cotangents of q, k and v for the cotangent g of the result: q, k, v, g.
type AttentionInput struct{ Of Attention }

func (AttentionInput) Name() string { return "attention_input" }

func (o AttentionInput) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 4); err != nil {
		return nil, err
	}
	if !program.SameShape(in[3], in[0]) {
		return nil, fmt.Errorf("the cotangent has the shape %v; want %v", in[3], in[0])
	}
	return in[:3], o.Of.check(in)
}

func (o AttentionInput) Reference(in, out []tensor) {
	q, k, v, g := in[0], in[1], in[2], in[3]
	T, C, S := q.Shape[0], q.Shape[1], k.Shape[0]
	d := C / o.Of.Heads
	scale := o.Of.scale(q.Shape)
	p, dp := make([]float64, S), make([]float64, S)
	for h := range o.Of.Heads {
		for t := range T {
			for s := range S {
				p[s], dp[s] = 0, 0
				for c := h * d; c < (h+1)*d; c++ {
					p[s] += q.Data[t*C+c] * k.Data[s*C+c]
					dp[s] += g.Data[t*C+c] * v.Data[s*C+c]
				}
				p[s] *= scale
			}
			softmax(p, p)
			dot := 0.0
			for s := range S {
				dot += p[s] * dp[s]
			}
			for s := range S {
				ds := p[s] * (dp[s] - dot) * scale
				for c := h * d; c < (h+1)*d; c++ {
					out[0].Data[t*C+c] += ds * k.Data[s*C+c]
					out[1].Data[s*C+c] += ds * q.Data[t*C+c]
					out[2].Data[s*C+c] += p[s] * g.Data[t*C+c]
				}
			}
		}
	}
}

// Cost counts q kᵀ, which is computed again, and the products for the cotangents of probabilities, q, k and v.
func (o AttentionInput) Cost(in, out [][]int) cost { return o.Of.products(4, in, out) }

func (o AttentionInput) Fallback(e emitter, in []value) []value {
	scale := o.Of.scale(in[0].Shape())
	q, k, v, g := o.Of.split(e, in[0]), o.Of.split(e, in[1]), o.Of.split(e, in[2]), o.Of.split(e, in[3])
	p := o.Of.probabilities(e, q, k, scale)
	ds := Affine(e, scale, 0, softmaxSlope(e, p, one(e, scores, g, v)))
	return []value{
		Shape(e, one(e, mix, ds, k), in[0].Shape()...),
		Shape(e, one(e, unmix, ds, q), in[1].Shape()...),
		Shape(e, one(e, unmix, p, g), in[2].Shape()...),
	}
}

// AttentionTangent is the tangent of the result for those of q, k and v: q, k, v, dq, dk, dv.
type AttentionTangent struct{ Of Attention }

func (AttentionTangent) Name() string { return "attention_tangent" }

func (o AttentionTangent) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 6); err != nil {
		return nil, err
	}
	for i := range 3 {
		if !program.SameShape(in[i], in[i+3]) {
			return nil, fmt.Errorf("the tangent %d has the shape %v; want %v", i, in[i+3], in[i])
		}
	}
	return in[:1], o.Of.check(in)
}

func (o AttentionTangent) Reference(in, out []tensor) {
	q, k, v, dq, dk, dv := in[0], in[1], in[2], in[3], in[4], in[5]
	T, C, S := q.Shape[0], q.Shape[1], k.Shape[0]
	d := C / o.Of.Heads
	scale := o.Of.scale(q.Shape)
	p, ds := make([]float64, S), make([]float64, S)
	for h := range o.Of.Heads {
		for t := range T {
			for s := range S {
				p[s], ds[s] = 0, 0
				for c := h * d; c < (h+1)*d; c++ {
					p[s] += q.Data[t*C+c] * k.Data[s*C+c] * scale
					ds[s] += (dq.Data[t*C+c]*k.Data[s*C+c] + q.Data[t*C+c]*dk.Data[s*C+c]) * scale
				}
			}
			softmax(p, p)
			dot := 0.0
			for s := range S {
				dot += p[s] * ds[s]
			}
			for s := range S {
				dp := p[s] * (ds[s] - dot)
				for c := h * d; c < (h+1)*d; c++ {
					out[0].Data[t*C+c] += dp*v.Data[s*C+c] + p[s]*dv.Data[s*C+c]
				}
			}
		}
	}
}

// Cost counts q kᵀ and its tangent, two products, and the result's, two.
func (o AttentionTangent) Cost(in, out [][]int) cost { return o.Of.products(5, in, out) }

func (o AttentionTangent) Fallback(e emitter, in []value) []value {
	return []value{Shape(e, o.Of.tangent(e, in[:3], in[3:]), in[0].Shape()...)}
}
