//go:build !noasm

package simd

var avx512Rows = rowKernels{
	affine:            affineKernels{avx512AffineMB, avx512AffineB, avx512Affine},
	affineSilu:        affineKernels{mb: avx512AffineMBSilu, b: avx512AffineBSilu},
	affineGrad:        avx512AffineGrad,
	affineGradSilu:    avx512AffineGradSilu,
	combine:           avx512Combine,
	gate:              avx512Gate,
	columnSums:        avx512ColumnSums,
	moments:           [2]momentsFn{avx512Moments_1, avx512Moments_4},
	layerNorm:         avx512LayerNorm,
	layerNormGrad:     avx512LayerNormGrad,
	layerNormGradSums: avx512LayerNormGradSums,
	exp:               avx512Exp,
	softmax:           avx512Softmax,
	softmaxGrad:       avx512SoftmaxGrad,
	add:               avx512Add,
	mul:               avx512Mul,
	scale:             avx512Scale,
	sum4:              avx512Sum4,
	scan:              avx512Scan,
	scanGrad:          avx512ScanGrad,
	packT:             avx2PackT,
	pack:              avx512Pack,
	actGrad:           [GELUTanh + 1]func(dx, dy, x *float32, n int){SiLU: avx512ActGradSilu, GELU: avx512ActGradGelu, GELUTanh: avx512ActGradGeluTanh},
	lanes64:           8,
}
