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

// Host is page-locked memory of the host. The device copies from and to it while the host does other work.
type Host struct {
	d    *Device
	p    unsafe.Pointer
	size int // bytes
}

// AllocHost allocates bytes of page-locked memory; its contents are arbitrary.
func (d *Device) AllocHost(bytes int) (*Host, error) {
	if bytes <= 0 {
		return nil, fmt.Errorf("cuda: AllocHost: %d bytes asked for; there must be at least one", bytes)
	}
	h := &Host{d: d, size: bytes}
	err := d.do(func() error {
		return check("cuMemHostAlloc", FormatSize(int64(bytes)), C.cuMemHostAlloc(&h.p, C.size_t(bytes), 0))
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// HostSlice is the memory as a slice, valid until it is freed.
func HostSlice[T any](h *Host) []T {
	return unsafe.Slice((*T)(h.p), h.size/int(unsafe.Sizeof(*new(T))))
}

// Free frees the memory when the enqueued work is done. Nil or freed memory is ignored.
func (h *Host) Free() error {
	if h == nil || h.p == nil {
		return nil
	}
	p := h.p
	h.p = nil
	return h.d.undo(func() error { return check("cuMemFreeHost", FormatSize(int64(h.size)), C.cuMemFreeHost(p)) })
}

// EnqueueUpload enqueues a copy of all of src to the start of b. It may be captured. src must stay as it is until the
// work before an Event that is recorded after this is done.
func EnqueueUpload(b *Buffer, src *Host) error {
	if src.size > b.size {
		return fmt.Errorf("cuda: EnqueueUpload: %d bytes into a buffer of %d", src.size, b.size)
	}
	return b.d.do(func() error {
		return check("cuMemcpyHtoDAsync", FormatSize(int64(src.size)), C.cuMemcpyHtoDAsync(b.ptr, src.p, C.size_t(src.size), b.d.cstream()))
	})
}

// EnqueueDownload enqueues a copy of the start of b to all of dst. It may be captured. dst holds the numbers once an Event
// that is recorded after this has passed.
func EnqueueDownload(dst *Host, b *Buffer) error {
	if dst.size > b.size {
		return fmt.Errorf("cuda: EnqueueDownload: %d bytes from a buffer of %d", dst.size, b.size)
	}
	return b.d.do(func() error {
		return check("cuMemcpyDtoHAsync", FormatSize(int64(dst.size)), C.cuMemcpyDtoHAsync(dst.p, b.ptr, C.size_t(dst.size), b.d.cstream()))
	})
}

const (
	stages     = 4
	stageBytes = 2 << 20
)

// staging copies between Go's memory and the device's through a ring of pieces of page-locked memory: while the device copies one,
// the host fills or empties another. If no page-locked memory can be allocated, the driver copies from Go's memory.
type staging struct {
	ring  [stages]stage
	next  int
	state int8 // 0: not allocated yet, 1: allocated, −1: allocation failed
}

type stage struct {
	p    unsafe.Pointer
	done *Event // its last copy
}

func (s *staging) ready(d *Device) bool {
	if s.state == 0 {
		s.state = 1
		for i := range s.ring {
			r := &s.ring[i]
			if C.cuMemHostAlloc(&r.p, stageBytes, 0) != C.CUDA_SUCCESS {
				r.p = nil
			}
			var err error
			if r.done, err = d.NewEvent(); r.p == nil || err != nil {
				_ = s.free() // copies work without staging
				s.state = -1
				break
			}
		}
	}
	return s.state > 0
}

// nextStage returns the next piece of the ring, once the device has finished its last copy of it.
func (s *staging) nextStage() (*stage, error) {
	r := &s.ring[s.next]
	s.next = (s.next + 1) % stages
	return r, r.done.Wait()
}

func (r *stage) bytes() []byte { return unsafe.Slice((*byte)(r.p), stageBytes) }

// noCapture returns an error while the device's work is captured.
func noCapture(d *Device, call string, bytes int) error {
	if d.capturing {
		return fmt.Errorf("cuda: %s of %s during a capture, which takes launches, Copy, Zero, EnqueueUpload and EnqueueDownload", call, FormatSize(int64(bytes)))
	}
	return nil
}

func (s *staging) upload(d *Device, dst C.CUdeviceptr, src []byte) error {
	if err := noCapture(d, "Upload", len(src)); err != nil {
		return err
	}
	if !s.ready(d) {
		return errors.Join(
			check("cuMemcpyHtoDAsync", FormatSize(int64(len(src))), C.cuMemcpyHtoDAsync(dst, unsafe.Pointer(unsafe.SliceData(src)), C.size_t(len(src)), d.cstream())),
			checkCU("cuStreamSynchronize", d.Name, d.stream.Synchronize()))
	}
	for lo := 0; lo < len(src); lo += stageBytes {
		r, err := s.nextStage()
		if err != nil {
			return err
		}
		n := copy(r.bytes(), src[lo:])
		if err := check("cuMemcpyHtoDAsync", FormatSize(int64(n)), C.cuMemcpyHtoDAsync(dst+C.CUdeviceptr(lo), r.p, C.size_t(n), d.cstream())); err != nil {
			return err
		}
		if err := r.done.Record(); err != nil {
			return err
		}
	}
	return nil
}

func (s *staging) download(d *Device, dst []byte, src C.CUdeviceptr) error {
	if err := noCapture(d, "Download", len(dst)); err != nil {
		return err
	}
	if !s.ready(d) {
		return errors.Join( // a copy to pageable memory has ended when the call returns
			check("cuMemcpyDtoHAsync", FormatSize(int64(len(dst))), C.cuMemcpyDtoHAsync(unsafe.Pointer(unsafe.SliceData(dst)), src, C.size_t(len(dst)), d.cstream())),
			checkCU("cuStreamSynchronize", d.Name, d.stream.Synchronize()))
	}
	var flying [stages]*stage
	pieces := (len(dst) + stageBytes - 1) / stageBytes
	for i := range pieces + stages - 1 {
		if k := i - (stages - 1); k >= 0 {
			r := flying[k%stages]
			if err := r.done.Wait(); err != nil {
				return err
			}
			copy(dst[k*stageBytes:], r.bytes())
		}
		if i >= pieces {
			continue
		}
		r, err := s.nextStage()
		if err != nil {
			return err
		}
		n := min(stageBytes, len(dst)-i*stageBytes)
		if err := check("cuMemcpyDtoHAsync", FormatSize(int64(n)), C.cuMemcpyDtoHAsync(r.p, src+C.CUdeviceptr(i*stageBytes), C.size_t(n), d.cstream())); err != nil {
			return err
		}
		if err := r.done.Record(); err != nil {
			return err
		}
		flying[i%stages] = r
	}
	return nil
}

// free must be called with the device's context current.
func (s *staging) free() (err error) {
	for i := range s.ring {
		r := &s.ring[i]
		if r.p != nil {
			err = errors.Join(err, check("cuMemFreeHost", FormatSize(stageBytes), C.cuMemFreeHost(r.p)))
		}
		err = errors.Join(err, r.done.Close())
		*r = stage{}
	}
	s.state = 0
	return err
}
