package ops

import (
	"errors"
	"math"
)

// LogSumExp is log Σ eˣ over the last axis: [..., K] → [..., 1]. With logits x, LogSumExp(x) − x_k is the cross-entropy of class k.
type LogSumExp struct{}

func (LogSumExp) Name() string { return "log_sum_exp" }

func (LogSumExp) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if len(in[0]) == 0 || in[0][len(in[0])-1] == 0 {
		return nil, errors.New("there is no last axis to sum over")
	}
	return [][]int{statsShape(in[0])}, nil
}

func (LogSumExp) Reference(in, out []tensor) {
	n := 0
	rows(in[0].Shape, func(at []int) {
		x := in[0].Data[at[0] : at[0]+len(at)]
		top, s := math.Inf(-1), 0.0
		for _, v := range x {
			top = math.Max(top, v)
		}
		for _, v := range x {
			s += math.Exp(v - top)
		}
		out[0].Data[n] = top + math.Log(s)
		n++
	})
}

func (LogSumExp) Cost(in, out [][]int) cost { return moved(in, out) }

func (LogSumExp) JVP(e emitter, in []value, out value, din []value) value {
	return Reduce(e, Product(e, one(e, Softmax{}, in[0]), din[0]), out.Shape())
}

func (LogSumExp) VJP(e emitter, in []value, _, g value, _ []bool) []value {
	return []value{Product(e, g, one(e, Softmax{}, in[0]))}
}

// CrossEntropy emits LogSumExp(x) − Σ p x of one sample, in nats: logits x [K], and the target's probabilities p [K], which add up to
// 1; result [1].
func CrossEntropy(e emitter, x, p value) value {
	return Sum(e, one(e, LogSumExp{}, x), Affine(e, -1, 0, Dot(e, p, x)))
}
