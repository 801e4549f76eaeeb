// Package cuda is the CUDA runtime of hbar: devices, memory, modules, launches, stream capture, and the executors that
// run a kernels.Chain on a GPU. It is the only package that imports gorgonia.org/cu.
//
// It needs the build tag gpu, cgo and cuda.h; without the tag every entry point reports ErrUnavailable and the build is
// pure Go. With it, one binary serves machines with and without a driver: libcuda is opened at run time.
//
// A Device is used by one goroutine at a time; an Engine may be shared. Work is enqueued on the device's one stream, in order;
// Download, Event.Wait and Synchronize wait for it. Memory is allocated and freed in that order too: what work still uses may
// be freed behind it.
package cuda

import "errors"

// ErrUnavailable says that no CUDA device can be used; commands fall back to the CPU under --device auto.
var ErrUnavailable = errors.New("cuda: no GPU")
