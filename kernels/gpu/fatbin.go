// Package gpu embeds the CUDA kernels of hbar, compiled ahead for sm_80, 86, 89 and 90 plus PTX by
// scripts/build_cuda.sh from the sources beside this file. Package hbar/cuda loads and launches them.
package gpu

import _ "embed"

// SamplerFP32 is the fused sampler in float32.
//
//go:embed sampler_fp32.fatbin
var SamplerFP32 []byte

// SamplerSplit is the fused sampler in float32's accuracy on tensor cores.
//
//go:embed sampler_split.fatbin
var SamplerSplit []byte

// SamplerF16 is the fused sampler on tensor cores.
//
//go:embed sampler_f16.fatbin
var SamplerF16 []byte

// Dense is one layer of a network for any number of rows.
//
//go:embed dense.fatbin
var Dense []byte

// Rows is what happens to rows between the layers' products: inputs, and rules of derivatives.
//
//go:embed rows.fatbin
var Rows []byte

// Steps is the state's part of a step of a trajectory or a path, for networks that run layer by layer.
//
//go:embed steps.fatbin
var Steps []byte

// Train is a training step but for the rows of networks that TrainFused takes.
//
//go:embed train.fatbin
var Train []byte

// TrainFused is the rows of a training step, through all layers in one launch.
//
//go:embed train_fused.fatbin
var TrainFused []byte

// Taylor is the way back of the WKB expansion.
//
//go:embed taylor.fatbin
var Taylor []byte

// FlowSplit is the fused probability flow with its divergence, on tensor cores at float32's accuracy.
//
//go:embed flow_split.fatbin
var FlowSplit []byte

// FlowFP32 is the fused probability flow with its divergence, in float32, for networks that FlowSplit does not take.
//
//go:embed flow_fp32.fatbin
var FlowFP32 []byte

// SplitPack packs networks for FlowSplit and PathSplit.
//
//go:embed split_pack.fatbin
var SplitPack []byte

// PathSplit is the fused path integral on tensor cores, at float32's accuracy.
//
//go:embed path_split.fatbin
var PathSplit []byte

// PathFP32 is the fused path integral in float32, for networks that PathSplit does not take.
//
//go:embed path_fp32.fatbin
var PathFP32 []byte

// DenseF16 is Dense with half-precision operands, on tensor cores.
//
//go:embed dense_f16.fatbin
var DenseF16 []byte
