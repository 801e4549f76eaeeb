// Package cuda opens networks on a GPU. For chains of dense layers there are an Engine with the methods of infer.Engine and a Trainer with
// those of learn.Trainer; for networks of any kind a NetEngine and a NetTrainer with those of cpu.Engine and cpu.Trainer. Below
// are cuda/driver (the runtime), cuda/exec (chains, layer by layer), cuda/chains (fused kernels for those that they take) and
// cuda/programs (any program).
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
	TF32 = exec.TF32
	BF16 = exec.BF16
)

// PrecisionNames are those that ParsePrecision reads.
func PrecisionNames() []string { return exec.PrecisionNames() }

// ParsePrecision reads the name of a precision.
func ParsePrecision(s string) (Precision, error) { return exec.ParsePrecision(s) }
