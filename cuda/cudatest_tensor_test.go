//go:build gpu && cgo

package cuda

import (
	"testing"

	"gorgonia.org/tensor"
)

// onHost is a tensor in Go's memory.
func onHost(x []float32, shape ...int) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(x))
}

// numbers downloads a tensor.
func numbers(t *testing.T, d *Device, x *tensor.Dense) []float32 {
	t.Helper()
	h := tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(x.Shape()...))
	if err := d.Tensors().Download(h, x); err != nil {
		t.Fatal(err)
	}
	return h.Float32s()
}
