// Package exec runs networks on a CUDA device layer by layer: General for values and derivatives, trajectories and paths of any
// kernels.Chain, Trainer for the training steps of any kernels.ChainTraining. A pass of a training step may be another
// package's (Pass): package chains has one for networks of equal hidden layers.
package exec
