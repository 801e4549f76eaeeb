//go:build gpu && cgo

package driver

/*
#include <cuda.h>
#include <stdlib.h>

static CUresult hbar_load(CUmodule *m, const void *image, char *log, unsigned nlog) {
  CUjit_option o[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void *v[] = {log, (void *)(size_t)nlog};
  return cuModuleLoadDataEx(m, image, 2, o, v);
}

// One call, the arguments packed by Go into a C buffer: any number and size of them.
static CUresult hbar_launch(CUfunction f, unsigned grid, unsigned block, unsigned shared, CUstream s, void *buf, size_t n) {
  void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, buf, CU_LAUNCH_PARAM_BUFFER_SIZE, &n, CU_LAUNCH_PARAM_END};
  return cuLaunchKernel(f, grid, 1, 1, block, 1, 1, shared, s, NULL, extra);
}
*/
import "C"

import (
	"fmt"
	"strings"
	"unsafe"

	"gorgonia.org/cu"
)

// Module is a loaded image of kernels.
type Module struct {
	d      *Device
	m      cu.Module
	shared map[string]int // the most dynamic shared memory that a function has been allowed, in bytes
}

// Load loads a fatbin, cubin or PTX image. The error of a failed just-in-time compilation holds its log.
func (d *Device) Load(image []byte) (*Module, error) {
	m := &Module{d: d, shared: map[string]int{}}
	err := d.do(func() error {
		img := C.CBytes(append(image[:len(image):len(image)], 0)) // PTX must end in NUL; in other images the byte is ignored
		defer C.free(img)
		const nlog = 8192
		log := (*C.char)(C.calloc(1, nlog))
		defer C.free(unsafe.Pointer(log))
		var h C.CUmodule
		r := C.hbar_load(&h, img, log, nlog)
		m.m = *(*cu.Module)(unsafe.Pointer(&h))
		return check("cuModuleLoadDataEx", strings.TrimSpace(fmt.Sprintf("%s for sm_%d%d %s", FormatSize(int64(len(image))), d.Major, d.Minor, C.GoString(log))), r)
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Unload frees the module.
func (m *Module) Unload() error {
	return m.d.undo(func() error { return checkCU("cuModuleUnload", "", m.m.Unload()) })
}

// Kernel is a function of a module with its launch shape.
type Kernel struct {
	Name   string
	d      *Device
	f      cu.Function
	block  int // threads
	shared int // bytes of dynamic shared memory
}

// Kernel looks up a function that runs with blocks of the given number of threads and bytes of dynamic shared memory.
func (m *Module) Kernel(name string, block, shared int) (*Kernel, error) {
	k := &Kernel{Name: name, d: m.d, block: block, shared: shared}
	if shared > m.d.SharedPerBlock {
		return nil, fmt.Errorf("cuda: %s needs %s of shared memory a block; %s has %s", name, FormatSize(int64(shared)), m.d.Name, FormatSize(int64(m.d.SharedPerBlock)))
	}
	return k, m.d.do(func() (err error) {
		if k.f, err = m.m.Function(name); err != nil {
			return checkCU("cuModuleGetFunction", name, err)
		}
		return m.allow(k)
	})
}

// allow has the driver accept launches of a kernel with its shared memory. The driver keeps one bound for a function, which must not sink below
// what other kernels of the same function need.
func (m *Module) allow(k *Kernel) error {
	const always = 48 << 10 // beyond that a kernel must opt in
	if k.shared <= max(always, m.shared[k.Name]) {
		return nil
	}
	err := check("cuFuncSetAttribute", fmt.Sprintf("%s, %d B of shared memory", k.Name, k.shared),
		C.cuFuncSetAttribute(k.cfunc(), C.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, C.int(k.shared)))
	if err == nil {
		m.shared[k.Name] = k.shared
	}
	return err
}

func (k *Kernel) cfunc() C.CUfunction { return *(*C.CUfunction)(unsafe.Pointer(&k.f)) }

// Block is the number of threads of a block.
func (k *Kernel) Block() int { return k.block }

// Launch enqueues the kernel on a grid of blocks.
func (k *Kernel) Launch(grid int, a *Args) error {
	return k.d.do(func() error {
		p := C.CBytes(a.b)
		defer C.free(p)
		return check("cuLaunchKernel", fmt.Sprintf("%s, grid %d, block %d, shared %d B", k.Name, grid, k.block, k.shared),
			C.hbar_launch(k.cfunc(), C.uint(grid), C.uint(k.block), C.uint(k.shared), k.d.cstream(), p, C.size_t(len(a.b))))
	})
}

// Args packs kernel arguments in order, each at its natural alignment.
type Args struct{ b []byte }

// Pack appends any value that is laid out as in C.
func Pack[T any](a *Args, v T) *Args {
	for len(a.b)%int(unsafe.Alignof(v)) != 0 {
		a.b = append(a.b, 0)
	}
	a.b = append(a.b, bytesOf(&v)...)
	return a
}

func (a *Args) F32(v float32) *Args { return Pack(a, v) }
func (a *Args) I32(v int) *Args     { return Pack(a, int32(v)) }
func (a *Args) U32(v uint32) *Args  { return Pack(a, v) }
func (a *Args) U64(v uint64) *Args  { return Pack(a, v) }

// Buf passes a buffer's address; nil passes a null pointer.
func (a *Args) Buf(b *Buffer) *Args {
	if b == nil {
		return Pack(a, uint64(0))
	}
	return Pack(a, b.Address())
}

// bytesOf is the memory of v.
func bytesOf[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}
