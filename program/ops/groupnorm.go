package ops

import (
	"fmt"
	"math"

	"hbar/program"
)

// GroupNorm normalises groups of consecutive channels over all positions, then applies a weight and a bias for each channel
// and a function: x [..., C], weight [C], bias [C],
//
//	y = f(w (x − mean)/√(variance + Eps) + b)
//
// with the biased variance (Wu and He 2018, arXiv:1803.08494).
type GroupNorm struct {
	Groups int
	Eps    float64
	Act    Fn // empty: none
}

func (GroupNorm) Name() string { return "group_norm" }

func (o GroupNorm) Shapes(in [][]int) ([][]int, error) {
	return in[:min(1, len(in))], o.check(in, 3)
}

func (o GroupNorm) check(in [][]int, inputs int) error {
	if err := arity(in, inputs); err != nil {
		return err
	}
	_, c := last(in[0])
	switch {
	case o.Groups < 1 || len(in[0]) == 0 || c%o.Groups != 0:
		return fmt.Errorf("%d groups do not divide the %d channels of %v", o.Groups, c, in[0])
	case len(in[1]) != 1 || in[1][0] != c || len(in[2]) != 1 || in[2][0] != c:
		return fmt.Errorf("weight %v and bias %v; want [%d]", in[1], in[2], c)
	case inputs == 4 && !program.SameShape(in[3], in[0]):
		return fmt.Errorf("the cotangent has the shape %v; want %v", in[3], in[0])
	}
	return nil
}

// groups calls f for each group with the offsets of its elements.
func (o GroupNorm) groups(shape []int, f func(group int, at []int)) {
	rows, c := last(shape)
	per := c / o.Groups
	at := make([]int, 0, rows*per)
	for k := range o.Groups {
		at = at[:0]
		for r := range rows {
			for j := range per {
				at = append(at, r*c+k*per+j)
			}
		}
		f(k, at)
	}
}

// statistics of the elements: mean and 1/√(variance + eps).
func statistics(x []float64, at []int, eps float64) (mean, rstd float64) {
	for _, i := range at {
		mean += x[i]
	}
	mean /= float64(len(at))
	v := 0.0
	for _, i := range at {
		v += (x[i] - mean) * (x[i] - mean)
	}
	return mean, 1 / math.Sqrt(v/float64(len(at))+eps)
}

func (o GroupNorm) act(order int, x float64) float64 {
	if o.Act == "" {
		if order == 0 {
			return x
		}
		return 1
	}
	return Unary{o.Act, order}.Eval(x)
}

func (o GroupNorm) Reference(in, out []tensor) {
	_, c := last(in[0].Shape)
	x, w, b := in[0].Data, in[1].Data, in[2].Data
	o.groups(in[0].Shape, func(_ int, at []int) {
		mean, rstd := statistics(x, at, o.Eps)
		for _, i := range at {
			out[0].Data[i] = o.act(0, w[i%c]*(x[i]-mean)*rstd+b[i%c])
		}
	})
}

func (GroupNorm) Cost(in, out [][]int) cost { return moved(in, out) }

// grouped emits x as [positions, groups, channels of a group].
func (o GroupNorm) grouped(e emitter, x value) value {
	rows, c := last(x.Shape())
	return Shape(e, x, rows, o.Groups, c/o.Groups)
}

// normalised emits (x − mean)/√(variance + eps) and 1/√(variance + eps), grouped.
func (o GroupNorm) normalised(e emitter, x value) (xhat, rstd value) {
	return standardised(e, o.grouped(e, x), []int{1, o.Groups, 1}, o.Eps)
}

// standardised emits (x − mean)/√(variance + eps) and 1/√(variance + eps), with means over the dimensions that are 1 in
// the shape of the statistics.
func standardised(e emitter, x value, stats []int, eps float64) (xhat, rstd value) {
	xc := centred(e, x, stats)
	rstd = one(e, Power{-0.5}, Affine(e, 1, eps, mean(e, Product(e, xc, xc), stats)))
	return Product(e, xc, rstd), rstd
}

func mean(e emitter, x value, stats []int) value {
	n := float64(program.Size(x.Shape())) / float64(program.Size(stats))
	return Affine(e, 1/n, 0, Reduce(e, x, stats))
}

func centred(e emitter, x value, stats []int) value {
	return Sum(e, x, Affine(e, -1, 0, mean(e, x, stats)))
}

func (o GroupNorm) Fallback(e emitter, in []value) []value {
	xhat, _ := o.normalised(e, in[0])
	y := Sum(e, Product(e, Shape(e, xhat, in[0].Shape()...), in[1]), in[2])
	if o.Act != "" {
		y = Activate(e, o.Act, y)
	}
	return []value{y}
}

func (o GroupNorm) VJP(e emitter, in []value, _, g value, want []bool) []value {
	r := make([]value, 3)
	if want[0] {
		r[0] = one(e, GroupNormInput{o}, in[0], in[1], in[2], g)
	}
	if want[1] || want[2] {
		p := e.Apply(GroupNormParams{o}, in[0], in[1], in[2], g)
		r[1], r[2] = p[0], p[1]
	}
	return r
}

// inner emits the cotangent of the affine map's output for that of the function's.
func (o GroupNorm) inner(e emitter, xhat, w, b, g value) value {
	if o.Act == "" {
		return g
	}
	return Product(e, g, one(e, Unary{o.Act, 1}, Sum(e, Product(e, xhat, w), b)))
}

// GroupNormInput is the cotangent of x for the cotangent g of y: x, weight, bias, g.
type GroupNormInput struct{ Of GroupNorm }

func (GroupNormInput) Name() string { return "group_norm_input" }

func (GroupNormInput) Cost(in, out [][]int) cost { return moved(in, out) }

func (o GroupNormInput) Shapes(in [][]int) ([][]int, error) {
	return in[:min(1, len(in))], o.Of.check(in, 4)
}

func (o GroupNormInput) Reference(in, out []tensor) {
	_, c := last(in[0].Shape)
	x, w, b, g := in[0].Data, in[1].Data, in[2].Data, in[3].Data
	o.Of.groups(in[0].Shape, func(_ int, at []int) {
		mean, rstd := statistics(x, at, o.Of.Eps)
		n := float64(len(at))
		d := make([]float64, len(at)) // cotangent of the normalised values
		var sum, dot float64
		for k, i := range at {
			xhat := (x[i] - mean) * rstd
			d[k] = g[i] * o.Of.act(1, w[i%c]*xhat+b[i%c]) * w[i%c]
			sum += d[k]
			dot += d[k] * xhat
		}
		for k, i := range at {
			out[0].Data[i] = rstd * (d[k] - sum/n - (x[i]-mean)*rstd*dot/n)
		}
	})
}

func (o GroupNormInput) Fallback(e emitter, in []value) []value {
	xhat, rstd := o.Of.normalised(e, in[0])
	g := o.Of.inner(e, Shape(e, xhat, in[0].Shape()...), in[1], in[2], in[3])
	d := o.Of.grouped(e, Product(e, g, in[1]))
	return []value{Shape(e, standardisedInput(e, xhat, rstd, d, []int{1, o.Of.Groups, 1}), in[0].Shape()...)}
}

// standardisedInput emits the cotangent of standardised's x for that of xhat.
func standardisedInput(e emitter, xhat, rstd, d value, stats []int) value {
	slope := mean(e, Product(e, d, xhat), stats)
	return Product(e, rstd, Sum(e, centred(e, d, stats), Affine(e, -1, 0, Product(e, xhat, slope))))
}

// GroupNormParams are the cotangents of weight and bias, summed over samples, for the cotangent g of y: x, weight, bias, g.
type GroupNormParams struct{ Of GroupNorm }

func (GroupNormParams) Name() string { return "group_norm_params" }
func (GroupNormParams) SumsBatch()   {}

func (GroupNormParams) Cost(in, out [][]int) cost { return moved(in, out) }

func (o GroupNormParams) Shapes(in [][]int) ([][]int, error) {
	err := o.Of.check(in, 4)
	if err != nil {
		return nil, err
	}
	return [][]int{in[1], in[2]}, nil
}

func (o GroupNormParams) Reference(in, out []tensor) {
	_, c := last(in[0].Shape)
	x, w, b, g := in[0].Data, in[1].Data, in[2].Data, in[3].Data
	o.Of.groups(in[0].Shape, func(_ int, at []int) {
		mean, rstd := statistics(x, at, o.Of.Eps)
		for _, i := range at {
			xhat := (x[i] - mean) * rstd
			d := g[i] * o.Of.act(1, w[i%c]*xhat+b[i%c])
			out[0].Data[i%c] += d * xhat
			out[1].Data[i%c] += d
		}
	})
}

func (o GroupNormParams) Fallback(e emitter, in []value) []value {
	xhat, _ := o.Of.normalised(e, in[0])
	flat := Shape(e, xhat, in[0].Shape()...)
	g := o.Of.inner(e, flat, in[1], in[2], in[3])
	return []value{one(e, BiasSum{}, Product(e, g, flat)), one(e, BiasSum{}, g)}
}
