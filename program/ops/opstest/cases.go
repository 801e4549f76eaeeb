// Package opstest has what tests of ops and of back ends share: a list of all ops with shapes to try them on.
package opstest

import (
	"fmt"

	"hbar/program"
	"hbar/program/ops"
)

// Case is an op with the shapes of its inputs, and which inputs are integers below 4 (without a derivative), positive, or shared
// by all samples.
type Case struct {
	Op                        program.Op
	In                        [][]int
	Integer, Positive, Shared map[int]bool
}

func shapes(s ...[]int) [][]int { return s }

var (
	image  = []int{3, 4, 6}
	tokens = []int{5, 6}
	six    = []int{6}
	scalar = []int{1}
	conv   = ops.Conv{Stride: 2, Left: 0, Right: 1, Top: 1, Bottom: 1}
	norm   = ops.GroupNorm{Groups: 3, Eps: 1e-3, Act: ops.SiLU}
	heads  = ops.Attention{Heads: 2}
)

// Cases has every op of package ops at least once, with odd sizes.
var Cases = []Case{
	{Op: ops.Unary{Fn: ops.SiLU}, In: shapes(six)},
	{Op: ops.Unary{Fn: ops.GELU}, In: shapes(six)},
	{Op: ops.Unary{Fn: ops.GELUTanh}, In: shapes(six)},
	{Op: ops.Unary{Fn: ops.Tanh}, In: shapes(six)},
	{Op: ops.Unary{Fn: ops.Exp}, In: shapes(six)},
	{Op: ops.Power{P: -0.5}, In: shapes(six), Positive: map[int]bool{0: true}},
	{Op: ops.Fill{Value: 2.5, Shape: image}},
	{Op: ops.Scale{A: 3, B: -1}, In: shapes(six)},
	{Op: ops.Add{}, In: shapes(image, six)},
	{Op: ops.Add{}, In: shapes(scalar, image)},
	{Op: ops.Mul{}, In: shapes(image, image)},
	{Op: ops.Mul{}, In: shapes([]int{3, 1, 6}, []int{4, 1})},
	{Op: ops.SumTo{Shape: six}, In: shapes(image)},
	{Op: ops.SumTo{Shape: []int{3, 1, 6}}, In: shapes(image)},
	{Op: ops.ExpandTo{Shape: image}, In: shapes([]int{4, 1})},
	{Op: ops.SumBatch{}, In: shapes(six)},
	{Op: ops.Reshape{Shape: []int{8, 9}}, In: shapes(image)},
	{Op: ops.Transpose{Perm: []int{2, 0, 1}}, In: shapes(image)},
	{Op: ops.Slice{Lo: 2, Hi: 5}, In: shapes(image)},
	{Op: ops.Place{Lo: 2, Of: 9}, In: shapes(image)},
	{Op: ops.Concat{}, In: shapes(image, []int{3, 4, 2}, image)},
	{Op: ops.Einsum{A: "thd", B: "shd", Out: "hts"}, In: shapes([]int{4, 2, 3}, []int{5, 2, 3})},
	{Op: ops.Dense{}, In: shapes(tokens, []int{4, 6}, []int{4}), Shared: map[int]bool{1: true, 2: true}},
	{Op: ops.Dense{}, In: shapes(six, []int{4, 6}), Shared: map[int]bool{1: true, 2: true}},
	{Op: ops.DenseInput{}, In: shapes(tokens, []int{6, 4}), Shared: map[int]bool{1: true, 2: true}},
	{Op: ops.DenseWeight{}, In: shapes(tokens, []int{5, 3})},
	{Op: ops.BiasSum{}, In: shapes(image)},
	{Op: ops.Same, In: shapes(image, []int{2, 3, 3, 6}, []int{2}), Shared: map[int]bool{1: true, 2: true}},
	{Op: conv, In: shapes(image, []int{2, 3, 3, 6}), Shared: map[int]bool{1: true, 2: true}},
	{Op: ops.ConvInput{Conv: conv, H: 3, W: 4}, In: shapes([]int{2, 2, 2}, []int{2, 3, 3, 6}), Shared: map[int]bool{1: true, 2: true}},
	{Op: ops.ConvWeight{Conv: conv, KH: 3, KW: 3}, In: shapes([]int{2, 2, 2}, image)},
	{Op: ops.SumPool{}, In: shapes([]int{5, 4, 3})},
	{Op: ops.Upsample{H: 7, W: 8}, In: shapes(image)},
	{Op: norm, In: shapes(image, six, six), Shared: map[int]bool{1: true, 2: true}},
	{Op: ops.GroupNorm{Groups: 2, Eps: 1e-6}, In: shapes(image, six, six), Shared: map[int]bool{1: true, 2: true}},
	{Op: ops.GroupNormInput{Of: norm}, In: shapes(image, six, six, image), Shared: map[int]bool{1: true, 2: true}},
	{Op: ops.GroupNormParams{Of: norm}, In: shapes(image, six, six, image), Shared: map[int]bool{1: true, 2: true}},
	{Op: ops.LayerNorm{Eps: 1e-3}, In: shapes(tokens)},
	{Op: ops.LayerNorm{Eps: 1e-3}, In: shapes(tokens, six, six)},
	{Op: ops.LayerNormInput{Eps: 1e-3}, In: shapes(tokens, tokens)},
	{Op: ops.LayerNormInput{Eps: 1e-3}, In: shapes(tokens, six, tokens)},
	{Op: ops.RMSNorm{Eps: 1e-3}, In: shapes(tokens, six), Shared: map[int]bool{1: true}},
	{Op: ops.RMSNorm{Eps: 1e-3}, In: shapes(image, six)},
	{Op: ops.RMSNormInput{Of: ops.RMSNorm{Eps: 1e-3}}, In: shapes(tokens, six, tokens), Shared: map[int]bool{1: true}},
	{Op: ops.Softmax{}, In: shapes(tokens)},
	{Op: ops.LogSumExp{}, In: shapes(tokens)},
	{Op: heads, In: shapes(tokens, []int{4, 6}, []int{4, 6})},
	{Op: ops.AttentionInput{Of: heads}, In: shapes(tokens, []int{4, 6}, []int{4, 6}, tokens)},
	{Op: ops.AttentionTangent{Of: heads}, In: shapes(tokens, []int{4, 6}, []int{4, 6}, tokens, []int{4, 6}, []int{4, 6})},
	{Op: ops.GatedAdd{}, In: shapes(tokens, six, tokens)},
	{Op: ops.Embedding{}, In: shapes([]int{4, 6}, scalar), Integer: map[int]bool{1: true}, Shared: map[int]bool{0: true}},
	{Op: ops.EmbeddingTable{Rows: 4}, In: shapes(scalar, six), Integer: map[int]bool{0: true}},
	{Op: ops.Sinusoid{Dim: 7, MaxPeriod: 100, Shift: 1}, In: shapes(scalar)},
	{Op: ops.Sinusoid{Dim: 8, MaxPeriod: 100, CosFirst: true}, In: shapes(scalar)},
	{Op: ops.Fourier{}, In: shapes([]int{3}, scalar), Integer: map[int]bool{0: true}},
	{Op: ops.Patchify{Patch: 2}, In: shapes([]int{4, 6, 3})},
	{Op: ops.Patchify{Patch: 2}, In: shapes([]int{6, 3})},
	{Op: ops.Unpatchify{Patch: 2, Shape: []int{4, 6, 3}}, In: shapes([]int{6, 12})},
	{Op: ops.DropoutMask{P: 0.25, Seed: 3, Layer: 1, Shape: image}, In: shapes(scalar), Integer: map[int]bool{0: true}},
	{Op: ops.Scan{}, In: shapes(six, tokens), Shared: map[int]bool{0: true}},
	{Op: ops.Scan{}, In: shapes(six, []int{1, 6})},
	{Op: ops.Scan{Adjoint: true}, In: shapes(six, tokens)},
	{Op: ops.ScanInput{}, In: shapes(six, tokens, tokens), Shared: map[int]bool{0: true}},
	{Op: ops.ScanInput{Of: ops.Scan{Adjoint: true}}, In: shapes(six, tokens, tokens)},
	{Op: ops.ComplexExp{}, In: shapes(six)},
	{Op: ops.ComplexExp{}, In: shapes(tokens)},
	{Op: ops.SquaredError{}, In: shapes(image, image, scalar)},
	{Op: ops.SquaredErrorInput{}, In: shapes(image, image, scalar, scalar)},
}

// Program is a program of the op alone, with inputs in0, in1, … and outputs out0, out1, …; or of its fallback.
func (c Case) Program(fallback bool) (*program.Program, error) {
	return program.Build(func(b *program.Builder) {
		var in []program.Value
		for i, s := range c.In {
			name := fmt.Sprintf("in%d", i)
			if c.Shared[i] {
				in = append(in, b.Param(name, s...))
			} else {
				in = append(in, b.Input(name, program.Sample, s...))
			}
		}
		var out []program.Value
		if fallback {
			out = c.Op.(program.Fused).Fallback(b, in)
		} else {
			out = b.Apply(c.Op, in...)
		}
		for i, v := range out {
			b.Output(fmt.Sprintf("out%d", i), v)
		}
	})
}
