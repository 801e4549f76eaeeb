//go:build gpu && cgo

package programs

import (
	"reflect"

	"hbar/program"
	"hbar/program/fuse"
	"hbar/program/ops"
)

// table has a binder for each op that the GPU runs.
var table = map[reflect.Type]binder{}

func init() {
	for _, e := range []struct {
		op program.Op
		b  binder
	}{
		{ops.Dense{}, bindDense},
		{ops.DenseInput{}, bindDenseInput},
		{ops.DenseWeight{}, bindDenseWeight},
		{ops.BiasSum{}, bindBiasSum},
		{ops.Conv{}, bindDense},
		{ops.ConvInput{}, bindConvInput},
		{ops.ConvWeight{}, bindConvWeight},
		{ops.Einsum{}, bindEinsum},
		{ops.GroupNorm{}, bindGroupNorm},
		{ops.GroupNormInput{}, bindGroupNormInput},
		{ops.GroupNormParams{}, bindGroupNormParams},
		{ops.LayerNorm{}, bindLayerNorm},
		{ops.LayerNormInput{}, bindLayerNormInput},
		{ops.RMSNorm{}, bindRMSNorm},
		{ops.RMSNormInput{}, bindRMSNormInput},
		{ops.Scan{}, bindScan},
		{ops.ScanInput{}, bindScanInput},
		{ops.ComplexExp{}, bindComplexExp},
		{ops.Softmax{}, bindSoftmax},
		{ops.LogSumExp{}, bindLogSumExp},
		{ops.Attention{}, bindAttention},
		{ops.AttentionInput{}, bindAttentionInput},
		{ops.AttentionTangent{}, bindAttentionTangent},
		{ops.Unary{}, bindUnary},
		{ops.Power{}, bindPower},
		{ops.Fill{}, bindFill},
		{ops.Scale{}, bindScale},
		{ops.Add{}, bindAdd},
		{ops.Mul{}, bindMul},
		{ops.SumTo{}, bindSumTo},
		{ops.ExpandTo{}, bindExpandTo},
		{ops.SumBatch{}, bindSumBatch},
		{ops.GatedAdd{}, bindGatedAdd},
		{ops.Reshape{}, bindReshape},
		{ops.Transpose{}, bindTranspose},
		{ops.Slice{}, bindSlice},
		{ops.Place{}, bindPlace},
		{ops.Concat{}, bindConcat},
		{ops.SumPool{}, bindSumPool},
		{ops.Upsample{}, bindUpsample},
		{ops.Patchify{}, bindPatchify},
		{ops.Unpatchify{}, bindUnpatchify},
		{ops.Embedding{}, bindEmbedding},
		{ops.EmbeddingTable{}, bindEmbeddingTable},
		{ops.Sinusoid{}, bindSinusoid},
		{ops.Fourier{}, bindFourier},
		{ops.DropoutMask{}, bindDropoutMask},
		{ops.SquaredError{}, bindSquaredError},
		{ops.SquaredErrorInput{}, bindSquaredErrorInput},
		{fuse.Layer{}, bindLayer},
		{fuse.Slope{}, bindSlope},
		{fuse.JoinedAttention{}, bindJoinedAttention},
	} {
		table[reflect.TypeOf(e.op)] = e.b
	}
}
