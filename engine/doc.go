// Package engine chooses what runs a network: on a GPU or on the CPU, fused if the network is a chain of dense layers
// (kernels/infer, cuda) and instruction by instruction if it is any other program (kernels/cpu).
package engine
