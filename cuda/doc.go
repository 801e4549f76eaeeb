<<<<<<< HEAD
// Package cuda is the CUDA runtime of hbar: devices, memory, modules, launches, stream capture, and the executors that
// run a kernels.Program on a GPU. It is the only package that imports gorgonia.org/cu.
//
// It needs the build tag gpu, cgo and cuda.h; without the tag every entry point reports ErrUnavailable and the build is
// pure Go. With it, one binary serves machines with and without a driver: libcuda is opened at run time.
//
// A Device is used by one goroutine at a time. Work is enqueued on its one stream; Download and Synchronize wait.
=======
// Package cuda is the door to NVIDIA GPUs. This build has none: Available and Open say so.
>>>>>>> main
package cuda

import "errors"

<<<<<<< HEAD
// ErrUnavailable says that no CUDA device can be used; commands fall back to the CPU under --device auto.
var ErrUnavailable = errors.New("cuda: no device")
=======
// ErrNoCUDA is what Available and Open return in a build without CUDA.
var ErrNoCUDA = errors.New("cuda: no CUDA in this build")

// Available reports why no GPU can be used, or nil if one can.
func Available() error { return ErrNoCUDA }

// Device is one GPU.
type Device struct{}

// Open returns GPU number index, counted from 0.
func Open(index int) (*Device, error) { return nil, ErrNoCUDA }
>>>>>>> main
