//go:build gpu && cgo

package cudatest

import (
	"testing"

	"gorgonia.org/tensor"

	"hbar/cuda/driver"
)

// OnHost is a tensor in Go's memory.
func OnHost(x []float32, shape ...int) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(x))
}

// Numbers downloads a tensor.
func Numbers(t *testing.T, d *driver.Device, x *tensor.Dense) []float32 {
	t.Helper()
	h := tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(x.Shape()...))
	if err := d.Tensors().Download(h, x); err != nil {
		t.Fatal(err)
	}
	return h.Float32s()
}
