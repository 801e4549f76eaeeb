package programs

import (
	"fmt"
	"reflect"

	"hbar/program"
	"hbar/program/fuse"
	"hbar/program/ops"
)

// MaxHeadWidth is the most channels of a head that the attention kernels take. Wider ones run as products and a softmax, with the
// matrix of probabilities in memory.
const MaxHeadWidth = 256

// kinds are the operations with kernels, by type.
var kinds = map[reflect.Type]bool{}

func init() {
	for _, op := range []program.Op{
		ops.Dense{}, ops.DenseInput{}, ops.DenseWeight{}, ops.BiasSum{}, ops.Conv{}, ops.ConvInput{}, ops.ConvWeight{}, ops.Einsum{},
		ops.GroupNorm{}, ops.GroupNormInput{}, ops.GroupNormParams{}, ops.LayerNorm{}, ops.LayerNormInput{}, ops.RMSNorm{}, ops.RMSNormInput{},
		ops.Scan{}, ops.ScanInput{}, ops.ComplexExp{}, ops.Softmax{}, ops.LogSumExp{}, ops.Attention{}, ops.AttentionInput{}, ops.AttentionTangent{},
		ops.Unary{}, ops.Power{}, ops.Fill{}, ops.Scale{}, ops.Add{}, ops.Mul{}, ops.SumTo{}, ops.ExpandTo{}, ops.SumBatch{}, ops.GatedAdd{},
		ops.Reshape{}, ops.Transpose{}, ops.Slice{}, ops.Place{}, ops.Concat{}, ops.SumPool{}, ops.Upsample{}, ops.Patchify{}, ops.Unpatchify{},
		ops.Embedding{}, ops.EmbeddingTable{}, ops.Sinusoid{}, ops.Fourier{}, ops.DropoutMask{}, ops.SquaredError{}, ops.SquaredErrorInput{},
		fuse.Layer{}, fuse.Slope{}, fuse.JoinedAttention{},
	} {
		kinds[reflect.TypeOf(op)] = true
	}
}

// has reports whether an operation on inputs of these shapes has a kernel.
func has(op program.Op, in [][]int) bool {
	switch o := op.(type) {
	case ops.Attention:
		return in[0][1]/o.Heads <= MaxHeadWidth
	case ops.AttentionInput:
		return in[0][1]/o.Of.Heads <= MaxHeadWidth
	case ops.AttentionTangent:
		return in[0][1]/o.Of.Heads <= MaxHeadWidth
	}
	return kinds[reflect.TypeOf(op)]
}

// prepared is p with fallbacks for what has no kernel, and with patterns fused.
func prepared(p *program.Program) (*program.Program, error) {
	p, err := fuse.Fallbacks(p, "GPU", has)
	if err != nil {
		return nil, fmt.Errorf("cuda: %w", err)
	}
	return fuse.Program(p), nil
}

// Runs reports the first operation of a program that has neither a kernel here nor a fallback of operations that have one, or nil.
func Runs(p *program.Program) error {
	_, err := prepared(p)
	return err
}
