//go:build gpu && cgo

package driver

/*
#include "blas.h"
*/
import "C"

import (
	"fmt"
	"os"
	"unsafe"
)

// BLAS is cuBLAS on a device's stream.
type BLAS struct {
	d *Device
	h C.blas_handle
}

// OpenBLAS returns nil if there is no cuBLAS, or none that can use the device. Products then run by the kernels of kernels/gpu.
func OpenBLAS(d *Device) (*BLAS, error) {
	os.Getenv("HBAR_LIBCUBLAS") // so that Go's test cache depends on it
	if C.blas_open() == 0 {
		return nil, nil
	}
	b := &BLAS{d: d}
	var status C.int
	err := d.do(func() error {
		status = C.blas_create(&b.h, unsafe.Pointer(d.cstream()))
		return nil
	})
	if err != nil || status != 0 {
		return nil, err
	}
	return b, nil
}

// Close frees the library's memory on the device. A nil BLAS is ignored.
func (b *BLAS) Close() error {
	if b == nil {
		return nil
	}
	return b.d.undo(func() error { return blasError("cublasDestroy", b.d.Name, C.blas_destroy(b.h)) })
}

// Matrix is a matrix on the device: the address of its first number, and the strides of its rows and columns. It has the layout of
// struct Matrix of kernels/gpu/gemm.cuh.
type Matrix struct {
	At       uint64
	Row, Col int64
}

// Product is C = A B, or C += A B if Accumulate, of an M×K and a K×N matrix. One stride of A and one of B is 1, and so is that
// of C's columns; its rows are CRow apart.
type Product struct {
	A, B       Matrix
	C          uint64
	CRow       int64
	M, N, K    int32
	Accumulate bool
}

// Enqueue enqueues a product of matrices with elements of so many bytes: 2, half precision, for those of a float32 C.
func (b *BLAS) Enqueue(bytes int, q *Product) error {
	// The library's matrices are column-major: Cᵀ = Bᵀ Aᵀ.
	op := func(m Matrix, row bool) (C.int, C.int) {
		if row {
			return 0, C.int(m.Row)
		}
		return 1, C.int(m.Col)
	}
	ta, lda := op(q.A, q.A.Col == 1)
	tb, ldb := op(q.B, q.B.Col == 1)
	m, n, k, ldc := C.int(q.M), C.int(q.N), C.int(q.K), C.int(q.CRow)
	pa, pb, pc := pointer(q.A.At), pointer(q.B.At), pointer(q.C)
	return b.d.do(func() error {
		what := fmt.Sprintf("%d×%d×%d of f%d on %s", q.M, q.N, q.K, 8*bytes, b.d.Name)
		beta := 0.0
		if q.Accumulate {
			beta = 1
		}
		switch bytes {
		case 2:
			return blasError("cublasGemmEx", what, C.blas_f16(b.h, tb, ta, n, m, k, pb, ldb, pa, lda, C.float(beta), pc, ldc))
		case 4:
			return blasError("cublasSgemm", what, C.blas_f32(b.h, tb, ta, n, m, k, pb, ldb, pa, lda, C.float(beta), pc, ldc))
		}
		return blasError("cublasDgemm", what, C.blas_f64(b.h, tb, ta, n, m, k, pb, ldb, pa, lda, C.double(beta), pc, ldc))
	})
}

// pointer is an address on the device as C has it.
func pointer(at uint64) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&at)) }

func blasError(call, detail string, code C.int) error { return statusError(call, detail, int(code)) }

// statusError is nil for status 0.
func statusError(call, detail string, status int) error {
	if status == 0 {
		return nil
	}
	text, ok := map[int]string{
		1: "not initialized", 3: "allocation failed", 7: "invalid value", 8: "needs another architecture", 11: "mapping error",
		13: "execution failed", 14: "internal error", 15: "not supported",
	}[status]
	if !ok {
		text = "unknown status"
	}
	e := &Error{Call: call, Detail: detail, Code: -status, Text: fmt.Sprintf("cuBLAS status %d: %s", status, text)}
	if status == 3 { // out of memory, as the driver reports it: a smaller batch may fit
		e.Code = outOfMemory
	}
	return e
}
