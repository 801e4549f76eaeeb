//go:build gpu && cgo

package driver

/*
#include <cuda.h>

// The call's structure has a name for each version of the driver's interface; this one is the first.
static CUresult hbar_pool(CUmemoryPool *pool, int device) {
  CUmemPoolProps p = {0};
  p.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  p.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  p.location.id = device;
  return cuMemPoolCreate(pool, &p);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"unsafe"

	"gorgonia.org/cu"
)

// pool allocates a device's buffers. Freed memory stays with the process for later buffers. If the driver has memory pools, the
// memory is in a pool that releases nothing before Close, else in lists of free blocks. Work of one stream runs in order, so a
// block can be used again as soon as it has been freed, whatever still runs.
type pool struct {
	d      *Device
	handle C.CUmemoryPool          // nil: the driver has none
	live   map[C.CUdeviceptr]int   // sizes of what is allocated
	inUse  int                     // their sum
	free   map[int][]C.CUdeviceptr // without a driver's pool: freed blocks by size
	kept   int                     // their sum
}

// newPool must be called with the device's context current.
func newPool(d *Device) (*pool, error) {
	p := &pool{d: d, live: map[C.CUdeviceptr]int{}}
	if !d.StreamOrderedMem {
		p.free = map[int][]C.CUdeviceptr{}
		return p, nil
	}
	if err := check("cuMemPoolCreate", d.Name, C.hbar_pool(&p.handle, C.int(d.Index))); err != nil {
		return nil, err
	}
	keep := C.cuuint64_t(math.MaxUint64)
	err := check("cuMemPoolSetAttribute", "release threshold", C.cuMemPoolSetAttribute(p.handle, C.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, unsafe.Pointer(&keep)))
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// alloc must be called with the device's context current, as all methods below. It fails during a capture, because the driver would
// allocate memory that belongs to the graph alone.
func (p *pool) alloc(bytes int) (C.CUdeviceptr, error) {
	if err := noCapture(p.d, "Alloc", bytes); err != nil {
		return 0, err
	}
	if p.handle == nil {
		return p.allocBlock(blockSize(bytes))
	}
	const call = "cuMemAllocFromPoolAsync"
	var ptr C.CUdeviceptr
	r := C.cuMemAllocFromPoolAsync(&ptr, C.size_t(bytes), p.handle, p.d.cstream())
	if r == C.CUDA_ERROR_OUT_OF_MEMORY { // the free blocks may be too small: return them to the driver
		err := errors.Join(checkCU("cuStreamSynchronize", p.d.Name, p.d.stream.Synchronize()), check("cuMemPoolTrimTo", "", C.cuMemPoolTrimTo(p.handle, 0)))
		if err != nil {
			return 0, err
		}
		r = C.cuMemAllocFromPoolAsync(&ptr, C.size_t(bytes), p.handle, p.d.cstream())
	}
	if r != C.CUDA_SUCCESS {
		return 0, p.failed(call, bytes, r)
	}
	p.live[ptr] = bytes
	p.inUse += bytes
	return ptr, nil
}

func (p *pool) allocBlock(bytes int) (C.CUdeviceptr, error) {
	var ptr C.CUdeviceptr
	if l := p.free[bytes]; len(l) > 0 {
		ptr, p.free[bytes] = l[len(l)-1], l[:len(l)-1]
		p.kept -= bytes
	} else {
		r := C.cuMemAlloc(&ptr, C.size_t(bytes))
		if r == C.CUDA_ERROR_OUT_OF_MEMORY && p.kept > 0 {
			if err := p.trim(); err != nil {
				return 0, err
			}
			r = C.cuMemAlloc(&ptr, C.size_t(bytes))
		}
		if r != C.CUDA_SUCCESS {
			return 0, p.failed("cuMemAlloc", bytes, r)
		}
	}
	p.live[ptr] = bytes
	p.inUse += bytes
	return ptr, nil
}

func (p *pool) failed(call string, bytes int, r C.CUresult) error {
	if r != C.CUDA_ERROR_OUT_OF_MEMORY {
		return newError(call, FormatSize(int64(bytes)), r)
	}
	u, err := p.usage()
	if err != nil {
		return errors.Join(newError(call, FormatSize(int64(bytes)), r), err)
	}
	return newError(call, fmt.Sprintf("%s asked for, %s of %s free on %s", FormatSize(int64(bytes)), FormatSize(u.Free), FormatSize(u.Total), p.d.Name), r)
}

// release frees a block in order with enqueued work.
func (p *pool) release(ptr C.CUdeviceptr) error {
	bytes, ok := p.live[ptr]
	if !ok {
		return fmt.Errorf("cuda: Free: no memory of %s begins at %#x", p.d.Name, uint64(ptr))
	}
	if err := noCapture(p.d, "Free", bytes); err != nil {
		return err
	}
	delete(p.live, ptr)
	p.inUse -= bytes
	if p.handle == nil {
		p.free[bytes] = append(p.free[bytes], ptr)
		p.kept += bytes
		return nil
	}
	return check("cuMemFreeAsync", FormatSize(int64(bytes)), C.cuMemFreeAsync(ptr, p.d.cstream()))
}

// releaseAt is release by the number of an address.
func (p *pool) releaseAt(at uint64) error { return p.release(C.CUdeviceptr(at)) }

// holds reports whether bytes from ptr on are all allocated.
func (p *pool) holds(ptr C.CUdeviceptr, bytes int) bool {
	for at, n := range p.live {
		if ptr >= at && ptr+C.CUdeviceptr(bytes) <= at+C.CUdeviceptr(n) {
			return true
		}
	}
	return false
}

// trim returns the kept blocks to the driver.
func (p *pool) trim() (err error) {
	for bytes, l := range p.free {
		for _, ptr := range l {
			err = errors.Join(err, check("cuMemFree", FormatSize(int64(bytes)), C.cuMemFree(ptr))) // waits for the device
		}
	}
	clear(p.free)
	p.kept = 0
	return err
}

// close returns all memory to the driver, what is still allocated too.
func (p *pool) close() (err error) {
	for ptr := range p.live {
		err = errors.Join(err, p.release(ptr))
	}
	if p.handle == nil {
		return errors.Join(err, p.trim())
	}
	return errors.Join(err, checkCU("cuStreamSynchronize", p.d.Name, p.d.stream.Synchronize()), check("cuMemPoolDestroy", "", C.cuMemPoolDestroy(p.handle)))
}

func (p *pool) usage() (Usage, error) {
	free, total, err := cu.MemInfo()
	if err != nil {
		return Usage{}, checkCU("cuMemGetInfo", p.d.Name, err)
	}
	kept := int64(p.kept)
	if p.handle != nil {
		var reserved, used C.cuuint64_t
		err := errors.Join(
			check("cuMemPoolGetAttribute", "reserved", C.cuMemPoolGetAttribute(p.handle, C.CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, unsafe.Pointer(&reserved))),
			check("cuMemPoolGetAttribute", "used", C.cuMemPoolGetAttribute(p.handle, C.CU_MEMPOOL_ATTR_USED_MEM_CURRENT, unsafe.Pointer(&used))))
		if err != nil {
			return Usage{}, err
		}
		kept = int64(reserved - used)
	}
	return Usage{InUse: int64(p.inUse), Kept: kept, Free: free + kept, Total: total}, nil
}

// Usage of a device's memory, in bytes.
type Usage struct {
	InUse int64 // by buffers of this Device
	Kept  int64 // freed by them and not given back to the driver
	Free  int64 // what buffers can still take, Kept included, unless another process takes it first
	Total int64
}

// Usage reports how the device's memory is used.
func (d *Device) Usage() (u Usage, err error) {
	err = d.do(func() error {
		u, err = d.pool.usage()
		return err
	})
	return u, err
}

// blockSize rounds up to one of four sizes between powers of two, at least 512, so that freed blocks fit later requests.
func blockSize(bytes int) int {
	step := max(512, 1<<bits.Len(uint(bytes-1))>>3)
	return (bytes + step - 1) / step * step
}
