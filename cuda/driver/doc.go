// Package driver is the CUDA runtime of hbar: devices, memory, tensors in it, modules, launches, events, stream capture and
// cuBLAS. It is the only package that imports gorgonia.org/cu, and knows no network.
//
// It needs the build tag gpu, cgo and cuda.h. One binary serves machines with and without a driver: libcuda is opened at run
// time.
//
// A Device is used by one goroutine at a time. Work is enqueued on the device's one stream, in order; Download, Event.Wait and
// Synchronize wait for it. Memory is allocated and freed in that order too: what work still uses may be freed behind it.
package driver

import "errors"

// ErrUnavailable says that no CUDA device can be used; commands fall back to the CPU under --device auto.
var ErrUnavailable = errors.New("cuda: no GPU")
