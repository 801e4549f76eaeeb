package cpu

import (
	"reflect"

	"hbar/program"
	"hbar/program/fuse"
	"hbar/program/ops"
)

// table has a binder for each op that the CPU runs. Fused ops that are not here run as their fallbacks.
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
		{ops.Conv{}, bindConv},
		{ops.ConvInput{}, bindConvInput},
		{ops.ConvWeight{}, bindConvWeight},
		{ops.GroupNorm{}, bindGroupNorm},
		{ops.GroupNormInput{}, bindGroupNormInput},
		{ops.GroupNormParams{}, bindGroupNormParams},
		{ops.LayerNorm{}, bindLayerNorm},
		{ops.LayerNormInput{}, bindLayerNormInput},
		{ops.RMSNorm{}, bindRMSNorm},
		{ops.RMSNormInput{}, bindRMSNormInput},
		{ops.Scan{}, bindScan},
		{ops.ScanInput{}, bindScanInput},
		{ops.ComplexExp{}, bindReference},
		{ops.Softmax{}, bindSoftmax},
		{ops.LogSumExp{}, bindLogSumExp},
		{ops.Attention{}, bindAttention},
		{ops.AttentionInput{}, bindAttentionInput},
		{ops.AttentionTangent{}, bindAttentionTangent},
		{ops.Unary{}, bindUnary},
		{ops.Power{}, bindReference},
		{ops.Fill{}, bindReference},
		{ops.Scale{}, bindScale},
		{ops.Add{}, bindAdd},
		{ops.Mul{}, bindMul},
		{ops.SumTo{}, bindSumTo},
		{ops.ExpandTo{}, bindExpandTo},
		{ops.SumBatch{}, bindSumBatch},
		{ops.GatedAdd{}, bindGatedAdd},
		{ops.Reshape{}, bindReshape},
		{ops.Transpose{}, bindReference},
		{ops.Slice{}, bindSlice},
		{ops.Place{}, bindPlace},
		{ops.Concat{}, bindConcat},
		{ops.Einsum{}, bindEinsum},
		{ops.SumPool{}, bindSumPool},
		{ops.Upsample{}, bindUpsample},
		{ops.Patchify{}, bindPatchify},
		{ops.Unpatchify{}, bindUnpatchify},
		{ops.Embedding{}, bindEmbedding},
		{ops.EmbeddingTable{}, bindEmbeddingTable},
		{ops.Sinusoid{}, bindSinusoid},
		{ops.Fourier{}, bindReference},
		{ops.DropoutMask{}, bindDropoutMask},
		{ops.SquaredError{}, bindSquaredError},
		{ops.SquaredErrorInput{}, bindSquaredErrorInput},
		{fuse.Layer{}, bindLayer},
		{fuse.Slope{}, bindSlope},
		{fuse.DenseInputTimes{}, bindDenseInputTimes},
		{fuse.JoinedAttention{}, bindJoinedAttention},
		{fuse.KeptAttention{}, bindKeptAttention},
		{fuse.KeptAttentionInput{}, bindKeptAttentionInput},
	} {
		table[reflect.TypeOf(e.op)] = e.b
	}
}
