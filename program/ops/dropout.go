package ops

import (
	"fmt"
	"math"

	"hbar/kernels"
	"hbar/program"
)

// DropoutMask is 0 with probability P and 1/(1−P) otherwise, for each element of Shape: counter [1]. The mask is drawn from
// Philox by Seed, the layer's number and the counter of the training sample, an integer below 2⁵³, so that it does not
// depend on the batch.
type DropoutMask struct {
	P     float64
	Seed  uint64
	Layer int
	Shape []int
}

func (DropoutMask) Name() string { return "dropout_mask" }

func (o DropoutMask) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if !(o.P >= 0 && o.P < 1) {
		return nil, fmt.Errorf("probability %g; want at least 0 and below 1", o.P)
	}
	return [][]int{o.Shape}, scalar(in, 0)
}

// Eval calls set for each element.
func (o DropoutMask) Eval(counter float64, set func(i int, v float64)) {
	drop := uint64(math.Round(o.P * (1 << 32)))
	keep := 1 / (1 - o.P)
	n := program.Size(o.Shape)
	for b := 0; b < n; b += 4 {
		words := kernels.Block(o.Seed, kernels.StreamDropout+uint32(o.Layer)<<8, uint64(counter), uint32(b/4))
		for i := range min(4, n-b) {
			if uint64(words[i]) < drop {
				set(b+i, 0)
			} else {
				set(b+i, keep)
			}
		}
	}
}

func (o DropoutMask) Reference(in, out []tensor) {
	o.Eval(in[0].Data[0], func(i int, v float64) { out[0].Data[i] = v })
}

func (DropoutMask) Cost(in, out [][]int) cost { return moved(in, out) }

func (DropoutMask) JVP(emitter, []value, value, []value) value { return nil }

func (DropoutMask) VJP(emitter, []value, value, value, []bool) []value { return make([]value, 1) }

// Dropout emits x with elements dropped in training.
func Dropout(e emitter, x, counter value, p float64, seed uint64, layer int) value {
	if p == 0 {
		return x
	}
	return Product(e, x, one(e, DropoutMask{p, seed, layer, x.Shape()}, counter))
}
