//go:build gpu && cgo

package driver

/*
#include <cuda.h>

static CUresult hbar_copy_rows(CUdeviceptr dst, size_t dst_pitch, CUdeviceptr src, size_t src_pitch, size_t width, size_t rows, CUstream s) {
  CUDA_MEMCPY2D c = {0};
  c.srcMemoryType = c.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  c.srcDevice = src, c.srcPitch = src_pitch;
  c.dstDevice = dst, c.dstPitch = dst_pitch;
  c.WidthInBytes = width, c.Height = rows;
  return cuMemcpy2DAsync(&c, s);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"math"

	"gorgonia.org/tensor"
)

// TensorEngine makes tensor.Dense live in a device's memory. Such a tensor has shape, strides and type like any other; it can
// be sliced, cloned and copied on the device and bound to nodes of a Gorgonia graph. Go cannot read its
// numbers: Upload and Download copy them. Functions that need the numbers on the host (printing, Eq, Data()[i], Gorgonia's own
// machines and solvers) fail with a memory fault.
//
// A tensor that NewTensor, Clone or tensor.New made is freed by Release, or with the device: a slice of a tensor does not keep it
// alive, so the garbage collector cannot know when the memory is free.
type TensorEngine struct {
	d    *Device
	owns map[C.CUdeviceptr]bool // the memory that it has allocated itself
}

var (
	_ tensor.Engine       = (*TensorEngine)(nil)
	_ tensor.NonStdEngine = (*TensorEngine)(nil)
)

// Tensors is the device's engine.
func (d *Device) Tensors() *TensorEngine { return d.tensors }

// NewTensor allocates a tensor; its contents are arbitrary. A shape without numbers is a scalar.
func (e *TensorEngine) NewTensor(dt tensor.Dtype, shape ...int) (*tensor.Dense, error) {
	n := 1
	for _, s := range shape {
		n *= s
	}
	mem, err := e.Alloc(int64(n) * int64(dt.Size()))
	if err != nil {
		return nil, fmt.Errorf("%w; a tensor %v of %v", err, shape, dt)
	}
	return e.over(mem, dt, shape), nil
}

// Over is a tensor in the memory of b, from its start; b's owner frees it.
func (e *TensorEngine) Over(b *Buffer, dt tensor.Dtype, shape ...int) (*tensor.Dense, error) {
	n := int(dt.Size())
	for _, s := range shape {
		n *= s
	}
	if n > b.size || b.d != e.d {
		return nil, fmt.Errorf("cuda: a tensor %v of %v has %d bytes; the buffer of %s has %d", shape, dt, n, b.d.Name, b.size)
	}
	return e.over(b.View(0, n), dt, shape), nil
}

// OverRows is a matrix in the memory of b whose rows begin ld numbers apart; b's owner frees it.
func (e *TensorEngine) OverRows(b *Buffer, dt tensor.Dtype, rows, cols, ld int) (*tensor.Dense, error) {
	if rows < 1 || cols < 1 || ld < cols {
		return nil, fmt.Errorf("cuda: a matrix of %d rows of %d numbers, %d apart", rows, cols, ld)
	}
	t, err := e.Over(b, dt, (rows-1)*ld+cols)
	if err != nil {
		return nil, fmt.Errorf("%w, for a matrix of %d rows of %d numbers, %d apart", err, rows, cols, ld)
	}
	if ld == cols {
		return t, t.Reshape(rows, cols)
	}
	t.AP = tensor.MakeAP(tensor.Shape{rows, cols}, []int{ld, 1}, tensor.MakeDataOrder(tensor.NonContiguous), tensor.NotTriangle)
	return t, nil
}

func (e *TensorEngine) over(mem tensor.Memory, dt tensor.Dtype, shape []int) *tensor.Dense {
	return tensor.New(tensor.Of(dt), tensor.WithEngine(e), tensor.FromMemory(mem.Uintptr(), mem.MemSize()), tensor.WithShape(shape...))
}

// Release frees a tensor's memory in order with enqueued work.
func (e *TensorEngine) Release(t *tensor.Dense) error {
	if t.IsView() {
		return fmt.Errorf("cuda: Release of a view of a tensor; release the tensor itself, whose memory it is")
	}
	return e.Free(t, int64(t.MemSize()))
}

// Upload copies the numbers of host, a tensor in Go's memory, to t, of the same shape and type. host may change afterwards.
func (e *TensorEngine) Upload(t, host *tensor.Dense) error {
	l, err := e.pair("Upload", t, host)
	if err != nil {
		return err
	}
	if l.dense() {
		return e.d.do(func() error { return e.d.staging.upload(e.d, l.ptr, host.Raw) })
	}
	return e.through(l, func(flat *Buffer) error {
		return errors.Join(Upload(flat, host.Raw), e.rows(l.ptr, l.pitch, flat.ptr, l.width, l))
	})
}

// Download waits for enqueued work and copies the numbers of t to host, a tensor in Go's memory of the same shape and type.
func (e *TensorEngine) Download(host, t *tensor.Dense) error {
	l, err := e.pair("Download", t, host)
	if err != nil {
		return err
	}
	if l.dense() {
		return e.d.do(func() error { return e.d.staging.download(e.d, host.Raw, l.ptr) })
	}
	return e.through(l, func(flat *Buffer) error {
		return errors.Join(e.rows(flat.ptr, l.width, l.ptr, l.pitch, l), Download(host.Raw, flat))
	})
}

// layout of a tensor in memory: rows of width bytes, pitch bytes apart.
type layout struct {
	ptr                C.CUdeviceptr
	rows, width, pitch int
}

func (l layout) dense() bool { return l.rows == 1 || l.pitch == l.width }

// through calls fn with temporary memory for the numbers of a tensor without gaps between rows.
func (e *TensorEngine) through(l layout, fn func(flat *Buffer) error) error {
	flat, err := e.d.Alloc(l.rows * l.width)
	if err != nil {
		return err
	}
	return errors.Join(fn(flat), flat.Free())
}

// rows enqueues a copy of rows from one pitch to another.
func (e *TensorEngine) rows(dst C.CUdeviceptr, dstPitch int, src C.CUdeviceptr, srcPitch int, l layout) error {
	return e.d.do(func() error {
		return check("cuMemcpy2DAsync", fmt.Sprintf("%d rows of %d B, %d to %d B apart", l.rows, l.width, srcPitch, dstPitch),
			C.hbar_copy_rows(dst, C.size_t(dstPitch), src, C.size_t(srcPitch), C.size_t(l.width), C.size_t(l.rows), e.d.cstream()))
	})
}

// pair checks the arguments of Upload and Download.
func (e *TensorEngine) pair(call string, t, host *tensor.Dense) (layout, error) {
	switch {
	case t.Engine() != tensor.Engine(e):
		return layout{}, fmt.Errorf("cuda: %s: the tensor %v is not in the memory of %s", call, t.Shape(), e.d.Name)
	case !host.IsNativelyAccessible():
		return layout{}, fmt.Errorf("cuda: %s: the host's tensor %v is in a device's memory; use tensor.Copy between tensors of a device", call, host.Shape())
	case host.Dtype() != t.Dtype() || !host.Shape().Eq(t.Shape()):
		return layout{}, fmt.Errorf("cuda: %s: the host's tensor is %v of %v, the device's %v of %v; they must be alike", call, host.Shape(), host.Dtype(), t.Shape(), t.Dtype())
	case host.RequiresIterator() || host.DataOrder().IsColMajor():
		return layout{}, fmt.Errorf("cuda: %s: the host's tensor %v is not contiguous and row-major; Materialize it", call, host.Shape())
	}
	return e.layout(call, t)
}

// layout takes contiguous row-major tensors, and matrices whose rows are.
func (e *TensorEngine) layout(call string, t *tensor.Dense) (layout, error) {
	unit, shape, strides := int(t.Dtype().Size()), t.Shape(), t.Strides()
	l := layout{ptr: C.CUdeviceptr(t.Uintptr()), rows: 1, width: t.Size() * unit}
	want := 1
	for i := len(shape) - 1; i >= 0; i-- {
		if i == 0 && len(shape) == 2 && strides[0] > want {
			l.rows, l.width, l.pitch = shape[0], shape[1]*unit, strides[0]*unit
		} else if shape[i] > 1 && strides[i] != want {
			return l, fmt.Errorf("cuda: %s: the device's tensor %v has strides %v; it may have gaps between the rows of a matrix only", call, shape, strides)
		}
		want *= shape[i]
	}
	if end := (l.rows-1)*l.pitch + l.width; !e.d.pool.holds(l.ptr, end) {
		return l, fmt.Errorf("cuda: %s: the %d bytes of the device's tensor %v are not allocated: it was released, or is of a device that was closed", call, end, shape)
	}
	return l, nil
}

// Memory is the memory of a tensor whose numbers follow each other; call and name are what an error calls it by.
func (e *TensorEngine) Memory(call, name string, t *tensor.Dense) (*Buffer, error) {
	l, err := e.layout(call, t)
	if err == nil && !l.dense() {
		err = fmt.Errorf("cuda: %s: the rows of %s are %d bytes apart; they must follow each other", call, name, l.pitch)
	}
	if err != nil {
		return nil, err
	}
	return e.d.view(t.Uintptr(), int(t.MemSize())), nil
}

// NonStdAlloc says that memory is not Go's.
func (e *TensorEngine) NonStdAlloc() {}

// AllocAccessible is false: Go cannot read the memory.
func (e *TensorEngine) AllocAccessible() bool { return false }

// WorksWith reports whether Memcpy and the like can work on an order of elements.
func (e *TensorEngine) WorksWith(order tensor.DataOrder) bool {
	return order.IsRowMajor() && order.IsContiguous()
}

// Alloc allocates for tensor.New and Clone.
func (e *TensorEngine) Alloc(bytes int64) (tensor.Memory, error) {
	if bytes <= 0 {
		return nil, errors.New("cuda: a tensor in a device's memory has at least one element")
	}
	b, err := e.d.Alloc(int(bytes))
	if err != nil {
		return nil, err
	}
	e.owns[b.ptr] = true
	return b, nil
}

// Free frees what Alloc made.
func (e *TensorEngine) Free(mem tensor.Memory, bytes int64) error {
	p := C.CUdeviceptr(mem.Uintptr())
	if !e.owns[p] {
		return fmt.Errorf("cuda: Free: the %d bytes at %#x were released before, or belong to an executor", bytes, uint64(p))
	}
	delete(e.owns, p)
	return e.d.undo(func() error { return e.d.pool.release(p) })
}

// Memcpy enqueues a copy between tensors of the device.
func (e *TensorEngine) Memcpy(dst, src tensor.Memory) error {
	d, s := C.CUdeviceptr(dst.Uintptr()), C.CUdeviceptr(src.Uintptr())
	n := int(dst.MemSize())
	if n != int(src.MemSize()) {
		return fmt.Errorf("cuda: Memcpy of %d bytes to %d; they must be as many", src.MemSize(), n)
	}
	if !e.d.pool.holds(d, n) || !e.d.pool.holds(s, n) {
		return fmt.Errorf("cuda: Memcpy of %d bytes: one side is not in the memory of %s; Upload and Download pass between host and device", n, e.d.Name)
	}
	return e.d.do(func() error {
		return check("cuMemcpyDtoDAsync", FormatSize(int64(n)), C.cuMemcpyDtoDAsync(d, s, C.size_t(n), e.d.cstream()))
	})
}

// Memset enqueues a fill with val, a float32, an int32 or a zero.
func (e *TensorEngine) Memset(mem tensor.Memory, val any) error {
	var word uint32
	n := int(mem.MemSize())
	switch v := val.(type) {
	case float32:
		word = math.Float32bits(v)
	case int32:
		word = uint32(v)
	case float64, int64, int, bool, uint8:
		if v != float64(0) && v != int64(0) && v != 0 && v != false && v != uint8(0) {
			return fmt.Errorf("cuda: Memset to %v of %T; have float32, int32, and zeros of other types: Upload the numbers", val, val)
		}
		return e.zero(mem)
	default:
		return fmt.Errorf("cuda: Memset to a %T; have float32, int32, and zeros of other types", val)
	}
	p := C.CUdeviceptr(mem.Uintptr())
	if n%4 != 0 || !e.d.pool.holds(p, n) {
		return fmt.Errorf("cuda: Memset of %d bytes that are not numbers of 4 bytes in the memory of %s", n, e.d.Name)
	}
	return e.d.do(func() error {
		return check("cuMemsetD32Async", FormatSize(int64(n)), C.cuMemsetD32Async(p, C.uint(word), C.size_t(n/4), e.d.cstream()))
	})
}

func (e *TensorEngine) zero(mem tensor.Memory) error {
	p, n := C.CUdeviceptr(mem.Uintptr()), int(mem.MemSize())
	if !e.d.pool.holds(p, n) {
		return fmt.Errorf("cuda: Memclr: %d bytes that are not in the memory of %s", n, e.d.Name)
	}
	return e.d.view(uintptr(p), n).Zero()
}

// Memclr enqueues a fill with zeros. tensor.Engine gives it no error to return, so it panics if there is one.
func (e *TensorEngine) Memclr(mem tensor.Memory) {
	if err := e.zero(mem); err != nil {
		panic(err)
	}
}

// Accessible is always an error: there is no address at which Go could read the memory.
func (e *TensorEngine) Accessible(tensor.Memory) (tensor.Memory, error) {
	return nil, fmt.Errorf("cuda: Go cannot read the memory of %s; Download the tensor", e.d.Name)
}

// Uintptr and MemSize make a Buffer a tensor.Memory.
func (b *Buffer) Uintptr() uintptr { return uintptr(b.ptr) }

// MemSize is the buffer's size in bytes.
func (b *Buffer) MemSize() uintptr { return uintptr(b.size) }
