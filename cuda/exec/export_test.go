//go:build gpu && cgo

package exec

import (
	"hbar/cuda/driver"
	"hbar/kernels/fit"
)

const (
	GraphSteps = graphSteps
	MaxBurst   = maxBurst
)

// SetFoldAbove changes beyond how many tiles their sums of squares are added in two stages.
func (t *Trainer) SetFoldAbove(n int) { t.foldAbove = n }

// Inputs are the network's inputs of the last batch, n rows of ld numbers: on the device, and as src draws them for a step.
func (t *Trainer) Inputs(src fit.Source, step int64, n int) (device, host []float32, ld int, err error) {
	ld = t.layout.Layers[0].LDK
	device = make([]float32, n*ld)
	var h hostBatch
	h.fill(t.prog, src, step, 0, n, ld)
	return device, h.input, ld, driver.Download(device, t.pass.Input())
}
