// Package gpu embeds the CUDA kernels of hbar, compiled ahead for sm_80, 86, 89 and 90 plus PTX, those on warpgroup products for sm_90a
// alone, by scripts/build_cuda.sh from the sources beside this file. Package hbar/cuda loads and launches them.
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

// SamplerF16Warpgroups is SamplerF16 on warpgroup products, for compute capability 9.0.
//
//go:embed sampler_f16_wgmma.fatbin
var SamplerF16Warpgroups []byte

// SamplerSplitWarpgroups is SamplerSplit on warpgroup products, for compute capability 9.0.
//
//go:embed sampler_split_wgmma.fatbin
var SamplerSplitWarpgroups []byte

// Dense is one layer of a network for any number of rows.
//
//go:embed dense.fatbin
var Dense []byte

// Rows computes rows between the layers' products: inputs, and the rules of derivatives.
//
//go:embed rows.fatbin
var Rows []byte

// Steps updates the states of trajectories and paths, for networks that run layer by layer.
//
//go:embed steps.fatbin
var Steps []byte

// Train is a training step, without the forward and backward pass of networks that TrainFused takes.
//
//go:embed train.fatbin
var Train []byte

// TrainFused is the forward and backward pass of a training step in one launch.
//
//go:embed train_fused.fatbin
var TrainFused []byte

// Taylor integrates paths and the WKB expansion along them.
//
//go:embed taylor.fatbin
var Taylor []byte

// FlowSplit is the fused probability flow with its divergence, on tensor cores at float32's accuracy.
//
//go:embed flow_split.fatbin
var FlowSplit []byte

// FlowSplitWarpgroups is FlowSplit on warpgroup products, for compute capability 9.0. It takes networks as SamplerSplitWarpgroups packs them.
//
//go:embed flow_split_wgmma.fatbin
var FlowSplitWarpgroups []byte

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

// PathSplitWarpgroups is PathSplit on warpgroup products, for compute capability 9.0. It takes networks as SamplerSplitWarpgroups packs them.
//
//go:embed path_split_wgmma.fatbin
var PathSplitWarpgroups []byte

// PathFP32 is the fused path integral in float32, for networks that PathSplit does not take.
//
//go:embed path_fp32.fatbin
var PathFP32 []byte

// DenseF16 is Dense with half-precision operands, on tensor cores.
//
//go:embed dense_f16.fatbin
var DenseF16 []byte

// DenseWarpgroups is layers of wide networks on warpgroup products, for compute capability 9.0.
//
//go:embed dense_wgmma.fatbin
var DenseWarpgroups []byte

// NetElements is elementwise operations of programs, sums, and copies between layouts.
//
//go:embed net_elements.fatbin
var NetElements []byte

// NetNorms is norms and softmax of programs.
//
//go:embed net_norms.fatbin
var NetNorms []byte

// NetProducts is matrix products and convolutions of programs on tensor cores.
//
//go:embed net_products.fatbin
var NetProducts []byte

// NetProductsWarpgroups is NetProducts in bf16 on warpgroup products, for compute capability 9.0.
//
//go:embed net_products_wgmma.fatbin
var NetProductsWarpgroups []byte

// NetWeightsWarpgroups is gradients of weights in bf16 on warpgroup products, for compute capability 9.0.
//
//go:embed net_weights_wgmma.fatbin
var NetWeightsWarpgroups []byte

// NetAttention is attention of programs.
//
//go:embed net_attention.fatbin
var NetAttention []byte

// NetAttentionStrips are attention and its cotangents in bf16 for arrays of whole quads.
//
//go:embed net_attention_strips.fatbin
var NetAttentionStrips []byte

// NetInputs is time features, tables, dropout and losses of programs.
//
//go:embed net_inputs.fatbin
var NetInputs []byte

// NetScan is recurrences of complex modes, and the exponential of complex numbers, of programs.
//
//go:embed net_scan.fatbin
var NetScan []byte

// NetSteps is what steps of samplers and of training of programs have in common.
//
//go:embed net_steps.fatbin
var NetSteps []byte

// NetPeak is the rate of the products that those of programs are made of.
//
//go:embed net_peak.fatbin
var NetPeak []byte
