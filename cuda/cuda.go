//go:build gpu && cgo

package cuda

import (
	"hbar/cuda/chains"
	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/kernels"
	"hbar/kernels/fit"
)

// Available reports whether a CUDA device can be used, nil if so. The error wraps ErrUnavailable and says why not.
func Available() error { return driver.Available() }

// Device is an open GPU.
type Device = driver.Device

// Open opens device index (as CUDA_VISIBLE_DEVICES numbers them).
func Open(index int) (*Device, error) { return driver.Open(index) }

// Trainer takes training steps on a device.
type Trainer = exec.Trainer

// NewTrainer uploads p with its parameters, and the data that batches are drawn from; b may be nil if every batch comes from
// a fit.Source. If the fused kernels take the network, the rows of a batch pass through it in one launch, else layer by layer.
// Workers and Impl of the options are ignored. With a group the trainer computes the gradients of some rows of each batch, and the processes sum
// them. Close the trainer when done.
func NewTrainer(d *Device, p *kernels.ChainTraining, opt fit.Options, b *kernels.Batches, g *Group) (*Trainer, error) {
	return exec.NewTrainer(d, p, opt, b, chains.TrainingPass(p), exec.Peers{Comm: g.communicator(), Failed: g.failed})
}
