//go:build gpu && cgo

package exec

import (
	"hbar/cuda/driver"
	"hbar/kernels"
)

// Pass is the forward and backward pass of a batch, up to the gradients of the sums of all layers (before the activation).
type Pass interface {
	// Resize makes room for batches of n rows.
	Resize(n int) error
	// X and DZ are the addresses of a layer's input and of the gradient of its sums, until the next Resize. X is 0 if
	// Launch makes the gradient of the layer's weights itself.
	X(layer int) uint64
	DZ(layer int) uint64
	// Activation is a layer's input, [n][its LDK], and Input that of the first.
	Activation(layer int) *driver.Buffer
	Input() *driver.Buffer
	// Launch enqueues the pass for n rows, in a captured graph too. Unless reached is nil, it is called for each layer as soon as what the
	// gradients of the layer's parameters are computed from, and the losses of the rows, are enqueued: once, from the last layers on.
	Launch(a DrawArgs, control, rowLoss *driver.Buffer, n int, reached func(layer int) error) error
	Close() error
}

// LossScale is 2/(nD), the factor of ∂loss/∂net for batches of n rows, rounded as package learn rounds it.
func LossScale(n, d int) float32 { return 2 / float32(float64(n)*float64(d)) }

// MakePass makes a Pass for the layers of l, whose parameters are in param and whose transposed weights are in copied.
type MakePass func(d *driver.Device, p *kernels.ChainTraining, l *Layout, param, copied *driver.Buffer) (Pass, error)
