// Package cuda opens networks on a GPU: an Engine with the methods of infer.Engine, a Trainer with those of learn.Trainer. Below
// it are cuda/driver (the runtime), cuda/exec (any network, layer by layer) and cuda/chains (fused kernels for those that they take).
//
// It needs the build tag gpu, cgo and cuda.h; without the tag every entry point reports ErrUnavailable and the build is
// pure Go. With it, one binary serves machines with and without a driver: libcuda is opened at run time.
//
// A Device is used by one goroutine at a time; an Engine may be shared.
package cuda

import (
	"hbar/cuda/driver"
	"hbar/cuda/exec"
)

// ErrUnavailable says that no CUDA device can be used; commands fall back to the CPU under --device auto.
var ErrUnavailable = driver.ErrUnavailable

// Precision is the arithmetic of a network on the device.
type Precision = exec.Precision

// The precisions.
const (
	FP32 = exec.FP32
	F16  = exec.F16
)

// PrecisionNames are those that ParsePrecision reads.
func PrecisionNames() []string { return exec.PrecisionNames() }

// ParsePrecision reads "fp32" or "f16".
func ParsePrecision(s string) (Precision, error) { return exec.ParsePrecision(s) }
