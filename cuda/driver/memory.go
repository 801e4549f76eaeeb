//go:build gpu && cgo

package driver

/*
#include <cuda.h>
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

// Buffer is device memory.
type Buffer struct {
	d    *Device
	ptr  C.CUdeviceptr
	size int  // bytes
	view bool // of another buffer, which owns the memory
}

// Alloc allocates bytes of device memory; its contents are arbitrary. The error of a device that is full says how much was
// asked for and how much there is.
func (d *Device) Alloc(bytes int) (*Buffer, error) {
	if bytes <= 0 {
		return nil, fmt.Errorf("cuda: Alloc: %d bytes asked for; a buffer has at least one", bytes)
	}
	b := &Buffer{d: d, size: bytes}
	err := d.do(func() (err error) {
		b.ptr, err = d.pool.alloc(bytes)
		return err
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Free frees the buffer's memory once the enqueued work is done. A nil or freed buffer is ignored. The memory of a view belongs to
// another buffer and is not freed.
func (b *Buffer) Free() error {
	if b == nil || b.ptr == 0 {
		return nil
	}
	p := b.ptr
	b.ptr = 0
	if b.view {
		return nil
	}
	return b.d.undo(func() error { return b.d.pool.release(p) })
}

// Size is the buffer's size in bytes.
func (b *Buffer) Size() int { return b.size }

// Address is where the buffer begins on the device, for a kernel's arguments.
func (b *Buffer) Address() uint64 { return uint64(b.ptr) }

// At is the address of number i of a buffer of float32.
func (b *Buffer) At(i int) uint64 { return uint64(b.ptr) + 4*uint64(i) }

// View is part of the buffer, valid until that is freed. Like a slice expression it panics outside of the buffer.
func (b *Buffer) View(offset, bytes int) *Buffer {
	if offset < 0 || bytes < 0 || offset+bytes > b.size {
		panic(fmt.Sprintf("cuda: View of %d bytes from %d on of a buffer of %d", bytes, offset, b.size))
	}
	return &Buffer{d: b.d, ptr: b.ptr + C.CUdeviceptr(offset), size: bytes, view: true}
}

// view is memory of the device at an address.
func (d *Device) view(at uintptr, bytes int) *Buffer {
	return &Buffer{d: d, ptr: C.CUdeviceptr(at), size: bytes, view: true}
}

// Memory is memory of the device at an address, as long as what it is part of is not freed.
func (d *Device) Memory(at uint64, bytes int) *Buffer { return d.view(uintptr(at), bytes) }

// NewBuffer allocates a buffer for src and fills it.
func NewBuffer[T any](d *Device, src []T) (*Buffer, error) {
	b, err := d.Alloc(len(src) * int(unsafe.Sizeof(*new(T))))
	if err != nil {
		return nil, err
	}
	if err := Upload(b, src); err != nil {
		return nil, errors.Join(err, b.Free())
	}
	return b, nil
}

// Upload copies src to the start of the buffer, in order with enqueued work. It does not wait for that, and src may change
// afterwards: it passes through page-locked memory.
func Upload[T any](b *Buffer, src []T) error {
	n := len(src) * int(unsafe.Sizeof(*new(T)))
	if n > b.size {
		return fmt.Errorf("cuda: Upload: %d bytes into a buffer of %d", n, b.size)
	}
	if n == 0 {
		return nil
	}
	return b.d.do(func() error {
		return b.d.staging.upload(b.d, b.ptr, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(src))), n))
	})
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
		return b.d.staging.download(b.d, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(dst))), n), b.ptr)
	})
}

// Copy enqueues a copy of the start of src, as much as dst holds.
func Copy(dst, src *Buffer) error {
	if dst.size > src.size {
		return fmt.Errorf("cuda: Copy: %d bytes from a buffer of %d", dst.size, src.size)
	}
	return dst.d.do(func() error {
		return check("cuMemcpyDtoDAsync", FormatSize(int64(dst.size)), C.cuMemcpyDtoDAsync(dst.ptr, src.ptr, C.size_t(dst.size), dst.d.cstream()))
	})
}

// Zero enqueues a fill with zeros.
func (b *Buffer) Zero() error {
	return b.d.do(func() error {
		return check("cuMemsetD8Async", FormatSize(int64(b.size)), C.cuMemsetD8Async(b.ptr, 0, C.size_t(b.size), b.d.cstream()))
	})
}

// FormatSize writes a number of bytes for people.
func FormatSize(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d B", n)
}
