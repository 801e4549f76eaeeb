package ops

import (
	"fmt"
	"math"

	"hbar/program"
)

// RMSNorm divides each row of the last axis by its root mean square and multiplies each channel by a weight: x [..., C],
// weight [C],
//
//	y = weight x/√(mean(x²) + Eps)
//
// (Zhang and Sennrich 2019, arXiv:1910.07467).
type RMSNorm struct{ Eps float64 }

func (RMSNorm) Name() string { return "rms_norm" }

func (RMSNorm) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 2); err != nil {
		return nil, err
	}
	return in[:1], rmsWeight(in)
}

// rmsWeight reports inputs x and weight that do not fit.
func rmsWeight(in [][]int) error {
	if len(in[0]) == 0 {
		return fmt.Errorf("a scalar has no axis to normalise over")
	}
	if _, c := last(in[0]); len(in[1]) != 1 || in[1][0] != c {
		return fmt.Errorf("a weight of %v; want [%d], the channels of %v", in[1], c, in[0])
	}
	return nil
}

// inverseRMS is 1/√(mean(x²) + eps) of the elements.
func inverseRMS(x []float64, at []int, eps float64) float64 {
	s := 0.0
	for _, i := range at {
		s += x[i] * x[i]
	}
	return 1 / math.Sqrt(s/float64(len(at))+eps)
}

func (o RMSNorm) Reference(in, out []tensor) {
	x, w := in[0].Data, in[1].Data
	rows(in[0].Shape, func(at []int) {
		r := inverseRMS(x, at, o.Eps)
		for j, i := range at {
			out[0].Data[i] = w[j] * x[i] * r
		}
	})
}

func (RMSNorm) Cost(in, out [][]int) cost { return moved(in, out) }

// scaled emits x/√(mean(x²) + eps) and 1/√(mean(x²) + eps).
func (o RMSNorm) scaled(e emitter, x value) (xhat, r value) {
	r = one(e, Power{-0.5}, Affine(e, 1, o.Eps, mean(e, Product(e, x, x), statsShape(x.Shape()))))
	return Product(e, x, r), r
}

func (o RMSNorm) Fallback(e emitter, in []value) []value {
	xhat, _ := o.scaled(e, in[0])
	return []value{Product(e, xhat, in[1])}
}

func (o RMSNorm) VJP(e emitter, in []value, _, g value, want []bool) []value {
	r := e.Apply(RMSNormInput{o}, in[0], in[1], g)
	for i, w := range want {
		if !w {
			r[i] = nil
		}
	}
	return r
}

// RMSNormInput is the cotangents of x and weight for the cotangent g of y: x, weight, g.
type RMSNormInput struct{ Of RMSNorm }

func (RMSNormInput) Name() string { return "rms_norm_input" }

func (RMSNormInput) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 3); err != nil {
		return nil, err
	}
	if !program.SameShape(in[2], in[0]) {
		return nil, fmt.Errorf("the cotangent has the shape %v; want %v", in[2], in[0])
	}
	return in[:2], rmsWeight(in)
}

func (o RMSNormInput) Reference(in, out []tensor) {
	x, w, g := in[0].Data, in[1].Data, in[2].Data
	rows(in[0].Shape, func(at []int) {
		r := inverseRMS(x, at, o.Of.Eps)
		slope := 0.0 // mean of the normalised x times their cotangent
		for j, i := range at {
			slope += x[i] * r * g[i] * w[j] / float64(len(at))
		}
		for j, i := range at {
			out[0].Data[i] = r * (g[i]*w[j] - x[i]*r*slope)
			out[1].Data[j] += g[i] * x[i] * r
		}
	})
}

func (RMSNormInput) Cost(in, out [][]int) cost { return moved(in, out) }

func (o RMSNormInput) Fallback(e emitter, in []value) []value {
	xhat, r := o.Of.scaled(e, in[0])
	d := Product(e, in[2], in[1])
	slope := mean(e, Product(e, d, xhat), statsShape(in[0].Shape()))
	return []value{
		Product(e, r, Sum(e, d, Affine(e, -1, 0, Product(e, xhat, slope)))),
		Reduce(e, Product(e, in[2], xhat), in[1].Shape()),
	}
}

var (
	_ program.Fused = RMSNorm{}
	_ program.VJP   = RMSNorm{}
	_ program.Fused = RMSNormInput{}
)
