package ops

import (
	"fmt"

	"hbar/program"
)

// LayerNorm normalises over the last axis and then, with inputs shift and scale, modulates: x [..., C], shift and scale [C],
//
//	y = (1 + scale) (x − mean)/√(variance + Eps) + shift
//
// with the biased variance (Ba 2016, arXiv:1607.06450; Peebles and Xie 2023, arXiv:2212.09748). Inputs: x, or x, shift, scale.
type LayerNorm struct{ Eps float64 }

func (LayerNorm) Name() string { return "layer_norm" }

func (LayerNorm) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 1, 3); err != nil {
		return nil, err
	}
	_, c := last(in[0])
	if len(in[0]) == 0 {
		return nil, fmt.Errorf("a scalar has no axis to normalise over")
	}
	for _, s := range in[1:] {
		if len(s) != 1 || s[0] != c {
			return nil, fmt.Errorf("shift and scale of %v and %v; want [%d]", in[1], in[2], c)
		}
	}
	return in[:1], nil
}

// rows calls f for each row with the offsets of its elements.
func rows(shape []int, f func(at []int)) {
	n, c := last(shape)
	at := make([]int, c)
	for r := range n {
		for j := range at {
			at[j] = r*c + j
		}
		f(at)
	}
}

func (o LayerNorm) Reference(in, out []tensor) {
	x := in[0].Data
	rows(in[0].Shape, func(at []int) {
		mean, rstd := statistics(x, at, o.Eps)
		for j, i := range at {
			y := (x[i] - mean) * rstd
			if len(in) == 3 {
				y = y*(1+in[2].Data[j]) + in[1].Data[j]
			}
			out[0].Data[i] = y
		}
	})
}

func (LayerNorm) Cost(in, out [][]int) cost { return moved(in, out) }

// statsShape is that of one mean for each row.
func statsShape(shape []int) []int { return withLast(shape, 1) }

func (o LayerNorm) Fallback(e emitter, in []value) []value {
	xhat, _ := standardised(e, in[0], statsShape(in[0].Shape()), o.Eps)
	if len(in) == 3 {
		xhat = Sum(e, Product(e, xhat, Affine(e, 1, 1, in[2])), in[1])
	}
	return []value{xhat}
}

func (o LayerNorm) VJP(e emitter, in []value, _, g value, want []bool) []value {
	if len(in) == 1 {
		return e.Apply(LayerNormInput(o), in[0], g)
	}
	r := e.Apply(LayerNormInput(o), in[0], in[2], g)
	for i, w := range want { // the order of inputs: x, shift, scale
		if !w {
			r[i] = nil
		}
	}
	return r
}

// LayerNormInput is the cotangents of LayerNorm's inputs for the cotangent g of y. Inputs: x, g, with the cotangent of x;
// or x, scale, g, with those of x, shift, scale.
type LayerNormInput struct{ Eps float64 }

func (LayerNormInput) Name() string { return "layer_norm_input" }

func (LayerNormInput) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 2, 3); err != nil {
		return nil, err
	}
	_, c := last(in[0])
	if g := in[len(in)-1]; len(in[0]) == 0 || !program.SameShape(g, in[0]) {
		return nil, fmt.Errorf("the cotangent has the shape %v; want %v", g, in[0])
	}
	if len(in) == 2 {
		return in[:1], nil
	}
	if len(in[1]) != 1 || in[1][0] != c {
		return nil, fmt.Errorf("scale of %v; want [%d]", in[1], c)
	}
	return [][]int{in[0], {c}, {c}}, nil
}

func (o LayerNormInput) Reference(in, out []tensor) {
	x, g := in[0].Data, in[len(in)-1].Data
	rows(in[0].Shape, func(at []int) {
		mean, rstd := statistics(x, at, o.Eps)
		n := float64(len(at))
		d := make([]float64, len(at))
		var sum, dot float64
		for j, i := range at {
			xhat := (x[i] - mean) * rstd
			d[j] = g[i]
			if len(in) == 3 {
				d[j] *= 1 + in[1].Data[j]
				out[1].Data[j] += g[i]
				out[2].Data[j] += g[i] * xhat
			}
			sum += d[j]
			dot += d[j] * xhat
		}
		for j, i := range at {
			out[0].Data[i] = rstd * (d[j] - sum/n - (x[i]-mean)*rstd*dot/n)
		}
	})
}

func (LayerNormInput) Cost(in, out [][]int) cost { return moved(in, out) }

func (o LayerNormInput) Fallback(e emitter, in []value) []value {
	stats := statsShape(in[0].Shape())
	xhat, rstd := standardised(e, in[0], stats, o.Eps)
	g := in[len(in)-1]
	if len(in) == 2 {
		return []value{standardisedInput(e, xhat, rstd, g, stats)}
	}
	d := Product(e, g, Affine(e, 1, 1, in[1]))
	c := in[1].Shape()
	return []value{
		standardisedInput(e, xhat, rstd, d, stats),
		Reduce(e, g, c),
		Reduce(e, Product(e, g, xhat), c),
	}
}
