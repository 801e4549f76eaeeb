// Package nets builds score networks as programs: the plain MLP, the U-Net of DDPM and the diffusion transformer DiT.
//
// A Config is a kind of network with its sizes. New makes a Network of it: a program, and the weights of its parameters.
// All programs have the inputs
//
//	x        the sample: [D], [T, C] or [H, W, C], rate Sample
//	t        the time as the network takes it: [1], rate Sample; U-Net and DiT were made for 0 … 999
//	y        the label: [1], a whole number from 0; only in networks with labels
//	counter  the number of the training sample: [1]; only in training programs with dropout
//
// and the output out, of the shape of x. Where a network also gives a variance, in twice the channels (learn_sigma), out is
// the first half, the prediction itself.
//
// Parameters have the names of the published checkpoints: those of diffusers' UNet2DModel, of facebookresearch/DiT, and
// dense0.weight, dense0.bias, … for the MLP. In programs the weights of a convolution are [out, height, width, in]; a file
// has PyTorch's [out, in, height, width], and Param.FromPublished and Param.ToPublished convert.
package nets
