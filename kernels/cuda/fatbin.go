// Package cuda embeds the CUDA kernels of hbar, compiled ahead for sm_80, 86, 89 and 90 plus PTX by
// scripts/build_cuda.sh from the sources beside this file. Package hbar/cuda loads and launches them.
package cuda

import _ "embed"

// SamplerFP32 is the fused sampler in float32.
//
//go:embed sampler_fp32.fatbin
var SamplerFP32 []byte

// SamplerF16 is the fused sampler on tensor cores.
//
//go:embed sampler_f16.fatbin
var SamplerF16 []byte

// Taylor is the way back of the WKB expansion.
//
//go:embed taylor.fatbin
var Taylor []byte
