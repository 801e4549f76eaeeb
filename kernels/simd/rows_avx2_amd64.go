//go:build !noasm

package simd

var avx2Rows = rowKernels{
	affine:            affineKernels{avx2AffineMB, avx2AffineB, avx2Affine},
	affineSilu:        affineKernels{mb: avx2AffineMBSilu, b: avx2AffineBSilu},
	affineGrad:        avx2AffineGrad,
	affineGradSilu:    avx2AffineGradSilu,
	combine:           avx2Combine,
	gate:              avx2Gate,
	columnSums:        avx2ColumnSums,
	moments:           [2]momentsFn{avx2Moments_1, avx2Moments_4},
	layerNorm:         avx2LayerNorm,
	layerNormGrad:     avx2LayerNormGrad,
	layerNormGradSums: avx2LayerNormGradSums,
	exp:               avx2Exp,
	softmax:           avx2Softmax,
	softmaxGrad:       avx2SoftmaxGrad,
	add:               avx2Add,
	mul:               avx2Mul,
	scale:             avx2Scale,
	sum4:              avx2Sum4,
	scan:              avx2Scan,
	scanGrad:          avx2ScanGrad,
	packT:             avx2PackT,
	pack:              avx2Pack,
	actGrad:           [GELUTanh + 1]func(dx, dy, x *float32, n int){SiLU: avx2ActGradSilu, GELU: avx2ActGradGelu, GELUTanh: avx2ActGradGeluTanh},
	lanes64:           4,
}
