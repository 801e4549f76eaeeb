//go:build !noasm

package simd

// avx512 uses AVX-512 F, DQ, BW and VL: blocks of up to 12 rows by two panels of one vector each.
var avx512 = kernels{
	lanes: 16,
	f32: &productKernels[float32]{
		one: []productFn[float32]{nil, avx512Product32_1x1, avx512Product32_2x1, avx512Product32_3x1, avx512Product32_4x1, avx512Product32_5x1, avx512Product32_6x1, avx512Product32_7x1, avx512Product32_8x1, avx512Product32_9x1, avx512Product32_10x1, avx512Product32_11x1, avx512Product32_12x1},
		two: []productFn[float32]{nil, avx512Product32_1x2, avx512Product32_2x2, avx512Product32_3x2, avx512Product32_4x2, avx512Product32_5x2, avx512Product32_6x2, avx512Product32_7x2, avx512Product32_8x2, avx512Product32_9x2, avx512Product32_10x2, avx512Product32_11x2, avx512Product32_12x2},
		carry: carrier[float32]{panels: 2, by: [5]carried[float32]{
			SiLU: {
				steps: 4,
				of:    []carryFn[float32]{8: avx512Silu32Carry_8x2, 9: avx512Silu32Carry_9x2, 10: avx512Silu32Carry_10x2, 11: avx512Silu32Carry_11x2, 12: avx512Silu32Carry_12x2},
				grad:  []carryFn[float32]{8: avx512Silu32GradCarry_8x2, 9: avx512Silu32GradCarry_9x2, 10: avx512Silu32GradCarry_10x2, 11: avx512Silu32GradCarry_11x2, 12: avx512Silu32GradCarry_12x2},
			},
			GELUTanh: {
				steps: 8,
				of:    []carryFn[float32]{8: avx512GeluTanh32Carry_8x2, 9: avx512GeluTanh32Carry_9x2, 10: avx512GeluTanh32Carry_10x2, 11: avx512GeluTanh32Carry_11x2, 12: avx512GeluTanh32Carry_12x2},
				grad:  []carryFn[float32]{8: avx512GeluTanh32GradCarry_8x2, 9: avx512GeluTanh32GradCarry_9x2, 10: avx512GeluTanh32GradCarry_10x2, 11: avx512GeluTanh32GradCarry_11x2, 12: avx512GeluTanh32GradCarry_12x2},
			},
		}},
		act:   [5]actFn[float32]{SiLU: avx512Silu32, GELU: avx512Gelu32, Tanh: avx512Tanh32, GELUTanh: avx512GeluTanh32},
		grad:  [5]gradFn[float32]{SiLU: avx512Silu32Grad, GELU: avx512Gelu32Grad, Tanh: avx512Tanh32Grad, GELUTanh: avx512GeluTanh32Grad},
		lanes: 16,
		jet: [4][6]jetFn[float32]{
			1: {1: avx512Jet32_1_1, 2: avx512Jet32_1_2, 3: avx512Jet32_1_3, 4: avx512Jet32_1_4, 5: avx512Jet32_1_5},
			2: {1: avx512Jet32_2_1, 2: avx512Jet32_2_2, 3: avx512Jet32_2_3, 4: avx512Jet32_2_4, 5: avx512Jet32_2_5},
			3: {1: avx512Jet32_3_1, 2: avx512Jet32_3_2, 3: avx512Jet32_3_3, 4: avx512Jet32_3_4},
		},
	},
	f64: &productKernels[float64]{
		fours: true,                                                                                                                                        // those of one panel
		one:   []productFn[float64]{nil, avx2Product64_1x1, avx2Product64_2x1, avx2Product64_3x1, avx2Product64_4x1, avx2Product64_5x1, avx2Product64_6x1}, // the same bits
		two:   []productFn[float64]{nil, avx512Product64_1x2, avx512Product64_2x2, avx512Product64_3x2, avx512Product64_4x2, avx512Product64_5x2, avx512Product64_6x2, avx512Product64_7x2, avx512Product64_8x2, avx512Product64_9x2, avx512Product64_10x2, avx512Product64_11x2, avx512Product64_12x2},
		act:   [5]actFn[float64]{SiLU: avx512Silu64},
		grad:  [5]gradFn[float64]{SiLU: avx512Silu64Grad},
		lanes: 8,
		jet: [4][6]jetFn[float64]{
			1: {1: avx512Jet64_1_1, 2: avx512Jet64_1_2, 3: avx512Jet64_1_3, 4: avx512Jet64_1_4, 5: avx512Jet64_1_5},
			2: {1: avx512Jet64_2_1, 2: avx512Jet64_2_2, 3: avx512Jet64_2_3, 4: avx512Jet64_2_4, 5: avx512Jet64_2_5},
			3: {1: avx512Jet64_3_1, 2: avx512Jet64_3_2, 3: avx512Jet64_3_3, 4: avx512Jet64_3_4},
		},
	},
	head:    [2][2]headFn{{avx512Head_1x1, avx512Head_1x2}, {avx512Head_4x1, avx512Head_4x2}},
	update:  avx512Update,
	normals: avx512Normals4,
	adam:    avx512Adam,
	peak32:  avx512Peak32,
	peak64:  avx512Peak64,
	rows:    avx512Rows,
	winograd: winogradKernels{
		input: avx512WinogradInput, output: avx512WinogradOutput, outputGrad: avx512WinogradOutputGrad, weights: avx512WinogradWeights, weightsGrad: avx512WinogradWeightsGrad, transpose: avx512Transpose16,
	},
}
