//go:build !noasm

package simd

// avx2 uses AVX2 and FMA: blocks of up to 6 rows by one panel of two vectors.
var avx2 = kernels{
	lanes: 8,
	f32: &productKernels[float32]{
		fours: true,
		one:   []productFn[float32]{nil, avx2Product32_1x1, avx2Product32_2x1, avx2Product32_3x1, avx2Product32_4x1, avx2Product32_5x1, avx2Product32_6x1},
		carry: carrier[float32]{panels: 1, by: [5]carried[float32]{
			SiLU: {
				steps: 12,
				of:    []carryFn[float32]{4: avx2Silu32Carry_4x1, 5: avx2Silu32Carry_5x1},
				grad:  []carryFn[float32]{4: avx2Silu32GradCarry_4x1, 5: avx2Silu32GradCarry_5x1},
			},
		}},
		act:   [5]actFn[float32]{SiLU: avx2Silu32, GELU: avx2Gelu32, Tanh: avx2Tanh32, GELUTanh: avx2GeluTanh32},
		grad:  [5]gradFn[float32]{SiLU: avx2Silu32Grad, GELU: avx2Gelu32Grad, Tanh: avx2Tanh32Grad, GELUTanh: avx2GeluTanh32Grad},
		lanes: 8,
		jet: [4][6]jetFn[float32]{
			1: {1: avx2Jet32_1_1, 2: avx2Jet32_1_2, 3: avx2Jet32_1_3, 4: avx2Jet32_1_4, 5: avx2Jet32_1_5},
			2: {1: avx2Jet32_2_1, 2: avx2Jet32_2_2, 3: avx2Jet32_2_3, 4: avx2Jet32_2_4, 5: avx2Jet32_2_5},
			3: {1: avx2Jet32_3_1, 2: avx2Jet32_3_2, 3: avx2Jet32_3_3, 4: avx2Jet32_3_4},
		},
	},
	f64: &productKernels[float64]{
		fours: true,
		one:   []productFn[float64]{nil, avx2Product64_1x1, avx2Product64_2x1, avx2Product64_3x1, avx2Product64_4x1, avx2Product64_5x1, avx2Product64_6x1},
		act:   [5]actFn[float64]{SiLU: avx2Silu64},
		grad:  [5]gradFn[float64]{SiLU: avx2Silu64Grad},
		lanes: 4,
		jet: [4][6]jetFn[float64]{
			1: {1: avx2Jet64_1_1, 2: avx2Jet64_1_2, 3: avx2Jet64_1_3, 4: avx2Jet64_1_4, 5: avx2Jet64_1_5},
			2: {1: avx2Jet64_2_1, 2: avx2Jet64_2_2, 3: avx2Jet64_2_3, 4: avx2Jet64_2_4, 5: avx2Jet64_2_5},
			3: {1: avx2Jet64_3_1, 2: avx2Jet64_3_2, 3: avx2Jet64_3_3, 4: avx2Jet64_3_4},
		},
	},
	head:    [2][2]headFn{{avx2Head_1x1, avx2Head_1x2}, {avx2Head_4x1, avx2Head_4x2}},
	update:  avx2Update,
	normals: avx2Normals4,
	adam:    avx2Adam,
	peak32:  avx2Peak32,
	peak64:  avx2Peak64,
	rows:    avx2Rows,
	winograd: winogradKernels{
		input: avx2WinogradInput, output: avx2WinogradOutput, outputGrad: avx2WinogradOutputGrad, weights: avx2WinogradWeights, weightsGrad: avx2WinogradWeightsGrad, transpose: avx2Transpose16,
	},
}
