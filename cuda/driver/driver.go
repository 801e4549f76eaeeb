//go:build gpu && cgo

package driver

/*
#cgo CFLAGS: -I/usr/local/cuda/include
#cgo LDFLAGS: -L/usr/local/cuda/lib64/stubs -L/usr/lib/x86_64-linux-gnu/stubs -Wl,--as-needed -ldl
#include <cuda.h>
int hbar_driver_status(void);
const char *hbar_driver_message(void);
*/
import "C"

import (
	"fmt"
	"os"
	"reflect"

	"github.com/pkg/errors"
	"gorgonia.org/cu"
)

// Available reports whether a CUDA device can be used, nil if so. The error wraps ErrUnavailable and says why not.
func Available() error {
	// The library is opened by gorgonia.org/cu's package init; os.Getenv lets Go's test cache know what it depends on.
	os.Getenv("HBAR_LIBCUDA")
	switch rc := int(C.hbar_driver_status()); rc {
	case 0:
		n, err := cu.NumDevices()
		if err != nil {
			return fmt.Errorf("%w: cuDeviceGetCount: %v", ErrUnavailable, err)
		}
		if n == 0 {
			return fmt.Errorf("%w: the driver sees none%s", ErrUnavailable, visible())
		}
		return nil
	case -2:
		return fmt.Errorf("%w: no driver: %s", ErrUnavailable, C.GoString(C.hbar_driver_message()))
	default:
		e := newError("cuInit", "", C.CUresult(rc))
		return fmt.Errorf("%w: %s: %s%s", ErrUnavailable, e.Call, e.Text, visible())
	}
}

// visible describes the environment variable that hides devices, if one does.
func visible() string {
	if v, ok := os.LookupEnv("CUDA_VISIBLE_DEVICES"); ok {
		return fmt.Sprintf(" (CUDA_VISIBLE_DEVICES=%q)", v)
	}
	return ""
}

// Error is an error of the driver: the call that failed, details of it, and the driver's message.
type Error struct {
	Call   string // "cuLaunchKernel"
	Detail string // "sampler_fp32, grid 1024, block 256, shared 139264 B"
	Code   int
	Text   string // "CUDA_ERROR_INVALID_VALUE: invalid argument"
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("cuda: %s: %s", e.Call, e.Text)
	}
	return fmt.Sprintf("cuda: %s: %s (%s)", e.Call, e.Text, e.Detail)
}

const outOfMemory = int(C.CUDA_ERROR_OUT_OF_MEMORY)

// OutOfMemory reports whether err is the driver's out-of-memory error.
func (e *Error) OutOfMemory() bool { return e.Code == outOfMemory }

func newError(call, detail string, r C.CUresult) *Error {
	e := &Error{Call: call, Detail: detail, Code: int(r), Text: fmt.Sprintf("CUDA error %d", int(r))}
	var name, text *C.char
	if C.cuGetErrorName(r, &name) == 0 && name != nil {
		e.Text = C.GoString(name)
		if C.cuGetErrorString(r, &text) == 0 && text != nil {
			e.Text += ": " + C.GoString(text)
		}
	}
	return e
}

func check(call, detail string, r C.CUresult) error {
	if r == C.CUDA_SUCCESS {
		return nil
	}
	return newError(call, detail, r)
}

// checkCU is check for an error of gorgonia.org/cu, which is a CUresult, sometimes wrapped.
func checkCU(call, detail string, err error) error {
	if err == nil {
		return nil
	}
	if v := reflect.ValueOf(errors.Cause(err)); v.Kind() == reflect.Int {
		return newError(call, detail, C.CUresult(v.Int()))
	}
	return fmt.Errorf("cuda: %s: %w (%s)", call, err, detail)
}
