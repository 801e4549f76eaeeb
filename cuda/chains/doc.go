// Package chains runs chains of dense layers with equal hidden widths on a CUDA device in fused kernels: whole trajectories
// (Sampler), probability flows with divergences (Flow), path integrals (Path), expansions in h (Taylor) and the rows of training
// steps (TrainingPass). Takes reports whether a network is one of these; package exec runs the others.
package chains
