package ops

import (
	"fmt"
	"math"

	"hbar/kernels"
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

// Draw gives what routines draw the mask with: word i mod 4 of block i/4 of the counter in a stream (kernels.Block) decides
// on element i, which is 0 if the word is below drop and otherwise keep.
func (o DropoutMask) Draw() (seed uint64, stream uint32, drop uint64, keep float64) {
	return o.Seed, kernels.StreamDropout + uint32(o.Layer)<<8, uint64(math.Round(o.P * (1 << 32))), 1 / (1 - o.P)
}

func (o DropoutMask) Reference(in, out []tensor) {
	seed, stream, drop, keep := o.Draw()
	for i := range out[0].Data {
		out[0].Data[i] = keep
		if words := kernels.Block(seed, stream, uint64(in[0].Data[0]), uint32(i/4)); uint64(words[i%4]) < drop {
			out[0].Data[i] = 0
		}
	}
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
