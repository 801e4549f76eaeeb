// Command train fits a score network to a data set and draws samples from it.
//
//	go run ./cmd/train
//
// trains on a swiss roll in some seconds and leaves a run directory with
//
//	model.safetensors   the network, for cmd/sample, cmd/likelihood and Python
//	state.safetensors   what --resume needs
//	options.json        all options, as they were resolved
//	train.jsonl         step, loss, learning rate, gradient norm, images a second, of large networks the share of the machine's peak, one JSON object a line
//	train.csv           the same as a table
//	events.out.*        with --tensorboard: the same and the pictures, for TensorBoard
//	loss.png            the loss
//	samples.png         data beside samples
//	samples-STEP.png    of networks of images: samples during training
//
// Run it with --help for the options.
package main

import "hbar/cmd/internal/ui"

func main() { ui.Main("train", launch) }
