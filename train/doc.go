// Package train fits a score network by denoising score matching (arXiv:2403.11262, Prop. 3.3; Song 2021):
//
//	L = ½ E_t E_{x0,z} w(t) |s(α x0 + σ z, t) + z/σ|²
//
// A [Run] is the loop: batches, learning rate, averaged weights, log, checkpoints, resume. The loss it reports is the mean
// over the batch and the D coordinates of w(t)·(s + z/σ)², which is 2L/D; the published figures are of that kind.
//
// # What is random
//
// Row i of step k is training sample k·batch + i of the run. Its numbers come from that counter of the stream
// kernels.StreamBatch under the run's seed: which data row it takes, its time, its D normals. They depend on nothing
// else, so a run is the same bit for bit with any number of workers, and a run resumed on the same kind of device equals one
// that never stopped.
//
// # Times
//
// The expectation over t is uniform on a grid of 1000 points (the published setting), uniform on [Tmin, Tmax], or EDM's
// log-normal in σ/α. For the first two, importance sampling of t is a choice: times are drawn in proportion to the loss
// that the best linear score would have, and the loss is reweighted. That changes the variance of the gradient and
// not its mean: see [proposal].
//
// # Devices
//
// A [Trainer] takes the steps: learn.Trainer on the CPU, or what Options.NewTrainer makes, cuda.Trainer on a GPU. That draws
// the same samples from the same counters, from kernels.Batches instead of [times]; sums run in another order, so losses and
// weights agree up to rounding errors and their growth over the steps. Checkpoints are the same, and a run can be resumed on another
// device.
//
// Legend: n data rows, D dimensions of a sample; matrices row-major n×D.
package train
