//go:build gpu && cgo

package cuda

/*
#include <cuda.h>
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	"gorgonia.org/cu"
)

// Buffer is device memory.
type Buffer struct {
	d    *Device
	ptr  cu.DevicePtr
	size int // bytes
}

// Alloc allocates bytes of device memory, stream-ordered from the driver's pool where the device has one.
// The error of a device that is full says how much was asked for and how much there is.
func (d *Device) Alloc(bytes int) (*Buffer, error) {
	b := &Buffer{d: d, size: bytes}
	if bytes <= 0 {
		return nil, fmt.Errorf("cuda: Alloc: %d bytes asked for; a buffer has at least one", bytes)
	}
	err := d.do(func() error {
		var p C.CUdeviceptr
		var r C.CUresult
		call := "cuMemAlloc"
		if d.StreamOrderedMem {
			call, r = "cuMemAllocAsync", C.cuMemAllocAsync(&p, C.size_t(bytes), d.cstream())
		} else {
			r = C.cuMemAlloc(&p, C.size_t(bytes))
		}
		if r == C.CUDA_ERROR_OUT_OF_MEMORY {
			free, total, _ := cu.MemInfo()
			return newError(call, fmt.Sprintf("%s asked for, %s of %s free on %s", size(int64(bytes)), size(free), size(total), d.Name), r)
		}
		b.ptr = cu.DevicePtr(p)
		return check(call, size(int64(bytes)), r)
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Free returns the buffer's memory once enqueued work is done. A nil or freed buffer is left alone.
func (b *Buffer) Free() error {
	if b == nil || b.ptr == 0 {
		return nil
	}
	p := C.CUdeviceptr(b.ptr)
	b.ptr = 0
	return b.d.do(func() error {
		if b.d.StreamOrderedMem {
			return check("cuMemFreeAsync", "", C.cuMemFreeAsync(p, b.d.cstream()))
		}
		if err := b.d.stream.Synchronize(); err != nil {
			return checkCU("cuStreamSynchronize", b.d.Name, err)
		}
		return check("cuMemFree", "", C.cuMemFree(p))
	})
}

// Size is the buffer's size in bytes.
func (b *Buffer) Size() int { return b.size }

// Upload copies src to the start of the buffer, in order with enqueued work, and waits: src may change afterwards.
func Upload[T any](b *Buffer, src []T) error {
	n := len(src) * int(unsafe.Sizeof(*new(T)))
	if n > b.size {
		return fmt.Errorf("cuda: Upload: %d bytes into a buffer of %d", n, b.size)
	}
	if n == 0 {
		return nil
	}
	return b.d.do(func() error {
		if err := cu.MemcpyHtoDAsync(b.ptr, unsafe.Pointer(unsafe.SliceData(src)), int64(n), b.d.stream); err != nil {
			return checkCU("cuMemcpyHtoDAsync", size(int64(n)), err)
		}
		return checkCU("cuStreamSynchronize", b.d.Name, b.d.stream.Synchronize())
	})
}

// upload allocates a buffer for src and fills it.
func upload[T any](d *Device, src []T) (*Buffer, error) {
	b, err := d.Alloc(len(src) * int(unsafe.Sizeof(*new(T))))
	if err != nil {
		return nil, err
	}
	if err := Upload(b, src); err != nil {
		return nil, errors.Join(err, b.Free())
	}
	return b, nil
}

// Download waits for enqueued work and copies the start of the buffer to dst.
func Download[T any](dst []T, b *Buffer) error {
	n := len(dst) * int(unsafe.Sizeof(*new(T)))
	if n > b.size {
		return fmt.Errorf("cuda: Download: %d bytes from a buffer of %d", n, b.size)
	}
	if n == 0 {
		return nil
	}
	return b.d.do(func() error {
		if err := b.d.stream.Synchronize(); err != nil {
			return checkCU("cuStreamSynchronize", b.d.Name, err)
		}
		return checkCU("cuMemcpyDtoH", size(int64(n)), cu.MemcpyDtoH(unsafe.Pointer(unsafe.SliceData(dst)), b.ptr, int64(n)))
	})
}

// size writes a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d B", n)
}
