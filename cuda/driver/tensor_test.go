//go:build gpu && cgo

package driver_test

import (
	"errors"
	"slices"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"hbar/cuda/driver"
	"hbar/cuda/internal/cudatest"
)

// onDevice is a tensor with the numbers 0.5, 1.5, … on the device.
func onDevice(t *testing.T, d *driver.Device, shape ...int) *tensor.Dense {
	t.Helper()
	x, err := d.Tensors().NewTensor(tensor.Float32, shape...)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Tensors().Upload(x, cudatest.OnHost(cudatest.Ramp(x.Size()), shape...)); err != nil {
		t.Fatal(err)
	}
	return x
}

func TestTensor(t *testing.T) {
	d := cudatest.Open(t)
	e := d.Tensors()
	x := onDevice(t, d, 4, 3)
	if !x.Shape().Eq(tensor.Shape{4, 3}) || x.Dtype() != tensor.Float32 || x.Engine() != tensor.Engine(e) || x.IsNativelyAccessible() || !x.IsManuallyManaged() {
		t.Errorf("shape %v of %v, engine %T, accessible %t", x.Shape(), x.Dtype(), x.Engine(), x.IsNativelyAccessible())
	}
	if got := cudatest.Numbers(t, d, x); !slices.Equal(got, cudatest.Ramp(12)) {
		t.Errorf("came back as %v", got)
	}
	// rows of it, which are its memory
	view, err := x.Slice(gorgonia.S(1, 3))
	if err != nil {
		t.Fatal(err)
	}
	rows := view.(*tensor.Dense)
	if got := cudatest.Numbers(t, d, rows); !slices.Equal(got, cudatest.Ramp(12)[3:9]) {
		t.Errorf("rows 1 and 2 are %v", got)
	}
	// a clone has memory of its own
	c := x.Clone().(*tensor.Dense)
	if err := e.Upload(rows, cudatest.OnHost(make([]float32, 6), 2, 3)); err != nil {
		t.Fatal(err)
	}
	if got := cudatest.Numbers(t, d, x); got[2] != 2.5 || got[3] != 0 || got[8] != 0 || got[9] != 9.5 {
		t.Errorf("after an upload to rows 1 and 2: %v", got)
	}
	if got := cudatest.Numbers(t, d, c); !slices.Equal(got, cudatest.Ramp(12)) {
		t.Errorf("the clone is %v", got)
	}
	// a copy on the device
	if err := tensor.Copy(x, c); err != nil {
		t.Fatal(err)
	}
	if got := cudatest.Numbers(t, d, x); !slices.Equal(got, cudatest.Ramp(12)) {
		t.Errorf("after the copy: %v", got)
	}
	if err := x.Reshape(2, 6); err != nil || !x.Shape().Eq(tensor.Shape{2, 6}) {
		t.Errorf("reshaped to %v, %v", x.Shape(), err)
	}
	e.Memclr(x)
	if err := e.Memset(c, float32(7)); err != nil {
		t.Fatal(err)
	}
	if a, b := cudatest.Numbers(t, d, x), cudatest.Numbers(t, d, c); a[0] != 0 || a[11] != 0 || b[0] != 7 || b[11] != 7 {
		t.Errorf("cleared %v, set %v", a, b)
	}
	cudatest.Wants(t, "release of a view", e.Release(rows), "release the tensor itself")
	if err := errors.Join(e.Release(x), e.Release(c)); err != nil {
		t.Error(err)
	}
	cudatest.Wants(t, "released twice", e.Release(x), "Free: the 48 bytes at 0x")
	cudatest.Wants(t, "released", e.Download(cudatest.OnHost(make([]float32, 6), 2, 3), rows), "24 bytes of the device's tensor (2, 3) are not allocated")
	if u, err := d.Usage(); err != nil || u.InUse != 0 {
		t.Errorf("%d bytes are left in use, %v", u.InUse, err)
	}
}

// A matrix with gaps between its rows, as executors pad them.
func TestTensorPitch(t *testing.T) {
	d := cudatest.Open(t)
	e := d.Tensors()
	b, err := driver.NewBuffer(d, cudatest.Ramp(20))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Free()
	padded, err := e.Over(b, tensor.Float32, 4, 5)
	if err != nil {
		t.Fatal(err)
	}
	view, err := padded.Slice(nil, gorgonia.S(0, 3))
	if err != nil {
		t.Fatal(err)
	}
	x := view.(*tensor.Dense)
	want := []float32{0.5, 1.5, 2.5, 5.5, 6.5, 7.5, 10.5, 11.5, 12.5, 15.5, 16.5, 17.5}
	if got := cudatest.Numbers(t, d, x); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if err := e.Upload(x, cudatest.OnHost(make([]float32, 12), 4, 3)); err != nil {
		t.Fatal(err)
	}
	if got := cudatest.Numbers(t, d, padded); !slices.Equal(got, []float32{0, 0, 0, 3.5, 4.5, 0, 0, 0, 8.5, 9.5, 0, 0, 0, 13.5, 14.5, 0, 0, 0, 18.5, 19.5}) {
		t.Errorf("the gaps have changed: %v", got)
	}
	cudatest.Wants(t, "an executor's memory", e.Release(padded), "belong to an executor")
	column, err := padded.Slice(gorgonia.S(0, 4), gorgonia.S(1))
	if err != nil {
		t.Fatal(err)
	}
	cudatest.Wants(t, "a column", e.Download(cudatest.OnHost(make([]float32, 4), 4), column.(*tensor.Dense)), "has strides [5]")
	_, err = e.Over(b, tensor.Float64, 4, 5)
	cudatest.Wants(t, "too large", err, "has 160 bytes; the buffer of ", " has 80")
}

// A node of a Gorgonia graph holds one.
func TestTensorNode(t *testing.T) {
	d := cudatest.Open(t)
	x := onDevice(t, d, 2, 3)
	g := gorgonia.NewGraph()
	n := gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(2, 3), gorgonia.WithName("x"))
	if err := gorgonia.UnsafeLet(n, x); err != nil {
		t.Fatal(err)
	}
	if got := cudatest.Numbers(t, d, n.Value().(*tensor.Dense)); !slices.Equal(got, cudatest.Ramp(6)) {
		t.Errorf("the node's value is %v", got)
	}
	if err := d.Tensors().Release(x); err != nil {
		t.Error(err)
	}
}

func TestTensorErrors(t *testing.T) {
	d := cudatest.Open(t)
	e := d.Tensors()
	x := onDevice(t, d, 2, 3)
	host := cudatest.OnHost(cudatest.Ramp(6), 2, 3)
	_, err := e.Accessible(x)
	cudatest.Wants(t, "access", err, "Go cannot read the memory of ", "Download the tensor")
	cudatest.Wants(t, "shape", e.Upload(x, cudatest.OnHost(cudatest.Ramp(6), 3, 2)), "the host's tensor is (3, 2) of float32, the device's (2, 3) of float32")
	cudatest.Wants(t, "type", e.Upload(x, tensor.New(tensor.WithShape(2, 3), tensor.WithBacking(make([]float64, 6)))), "(2, 3) of float64")
	cudatest.Wants(t, "two on the host", e.Download(host, host), "is not in the memory of ")
	cudatest.Wants(t, "two on the device", e.Upload(x, x), "is in a device's memory; use tensor.Copy")
	cudatest.Wants(t, "between", e.Memcpy(x, host), "Upload and Download pass between host and device")
	cudatest.Wants(t, "lengths", e.Memcpy(x, cudatest.OnHost(cudatest.Ramp(5), 5)), "Memcpy of 20 bytes to 24")
	cudatest.Wants(t, "a value", e.Memset(x, 3.0), "Memset to 3 of float64")
	transposed := cudatest.OnHost(cudatest.Ramp(6), 3, 2)
	if err := transposed.T(); err != nil {
		t.Fatal(err)
	}
	cudatest.Wants(t, "transposed", e.Upload(x, transposed), "not contiguous and row-major")
	_, err = e.NewTensor(tensor.Float32, 2, 0)
	cudatest.Wants(t, "nothing", err, "at least one element")
	_, err = e.NewTensor(tensor.Float32, 1<<20, 1<<20)
	cudatest.Wants(t, "too large", err, "CUDA_ERROR_OUT_OF_MEMORY", "asked for", "a tensor [1048576 1048576] of float32")
	if err := e.Release(x); err != nil {
		t.Error(err)
	}
}
