//go:build gpu && cgo

package exec

import (
	"hbar/cuda/driver"
	"hbar/kernels/simd"
)

// denseArgs has the layout of struct Dense of kernels/gpu/dense.cu, which documents the fields.
type denseArgs struct {
	A, B                            driver.Matrix
	C                               uint64
	CRow                            int64
	Bias                            uint64
	BiasRow                         int64
	Mul                             uint64
	MulRow                          int64
	Add                             uint64
	AddRow                          int64
	Slope                           uint64
	SlopeRow                        int64
	M, N, K, Group, Act, Accumulate int32
}

func matrix(at uint64, row, col int64) driver.Matrix {
	return driver.Matrix{At: at, Row: row, Col: col}
}

// product is the matrices' part of q.
func (q *denseArgs) product() *driver.Product {
	return &driver.Product{A: q.A, B: q.B, C: q.C, CRow: q.CRow, M: q.M, N: q.N, K: q.K, Accumulate: q.Accumulate != 0}
}

// tile is a kernel of a product by the shape of its blocks' results.
type tile struct {
	name    string
	m, n    int
	threads int
	shared  int // bytes of shared memory
}

// The tiles of kernels/gpu/gemm.cuh and gemm_f64.cuh. Shared memory has two buffers, each of a few steps of k of both operands, with
// padded rows.
var (
	tileF32Large  = tile{"dense_f32_large", 128, 128, 256, 2 * 8 * (4*(128+128) + 32)}
	tileF32Small  = tile{"dense_f32_small", 64, 64, 256, 2 * 16 * (4*(64+64) + 32)}
	tileF32Narrow = tile{"dense_f32_narrow", 256, 16, 256, 2 * 16 * (4*(256+16) + 32)}
	tileF64Tensor = tile{"dense_f64_tensor", 64, 64, 128, 2 * 16 * (8*(64+64) + 64)}
	tileF64Narrow = tile{"dense_f64_narrow", 128, 16, 256, 2 * 16 * (8*(128+16) + 32)}
)

// grid is the number of blocks of m×n results.
func (t tile) grid(m, n int) int { return (m + t.m - 1) / t.m * ((n + t.n - 1) / t.n) }

// chooseTile chooses a tile by the number of columns n, which is fixed for a layer. Among tiles that give the same results it also goes
// by the number of rows m.
func (g *General) chooseTile(bytes, m, n int) tile {
	switch narrow := n <= tileF32Narrow.n; {
	case bytes == 8 && narrow:
		return tileF64Narrow
	case bytes == 8:
		return tileF64Tensor
	case narrow:
		return tileF32Narrow
	case min(m, n) > tileF32Small.n && tileF32Large.grid(m, n) >= g.d.Multiprocessors:
		return tileF32Large
	}
	return tileF32Small
}

const (
	// libraryWidth is the number of inputs and of outputs from which on cuBLAS computes a layer's products, if there is one.
	libraryWidth = 512
	// libraryRows is the number of rows of every such product. Missing rows are filled with arbitrary numbers. The library
	// chooses the order of its sums by the shape of the product, and a sample must not depend on the size of its batch.
	libraryRows = 4096
)

// padded is the number of rows that scratch memory for r rows has.
func (g *General) padded(r int) int {
	if g.blas == nil {
		return r
	}
	return (r + g.blasRows - 1) / g.blasRows * g.blasRows
}

// layer enqueues the product of an instruction on buffer src, or of its backward pass, from scratch memory to scratch memory. For
// layers on the input cuBLAS is not used: they are small, and their rows may not be contiguous.
func (n *layers[F]) layer(src int, q *denseArgs) error {
	if n.g.blas == nil || src == 0 || min(int(q.N), int(q.K)) < n.g.blasWidth {
		return n.dense(q)
	}
	sums := *q
	sums.M = int32(n.g.blasRows)
	for r := 0; r < int(q.M); r += n.g.blasRows {
		if err := n.g.blas.Enqueue(n.size(), sums.product()); err != nil {
			return err
		}
		sums.A.At += uint64(n.size() * n.g.blasRows * int(q.A.Row))
		sums.C += uint64(n.size() * n.g.blasRows * int(q.CRow))
	}
	if q.Bias == 0 && q.Mul == 0 && q.Add == 0 && q.Slope == 0 && q.Act == int32(simd.Identity) {
		return nil
	}
	finish := *q
	finish.Accumulate = 0
	return n.g.each(n.name("dense_finish"), int(q.M)*int(q.N), driver.Pack(new(driver.Args), finish))
}

// dense enqueues a product with its epilogue.
func (n *layers[F]) dense(q *denseArgs) error {
	if q.M == 0 {
		return nil
	}
	return n.denseBy(n.g.chooseTile(n.size(), int(q.M), int(q.N)), q)
}

func (n *layers[F]) denseBy(t tile, q *denseArgs) error {
	return n.g.kernels[t.name].Launch(t.grid(int(q.M), int(q.N)), driver.Pack(new(driver.Args), *q))
}

// The images that General loads.
const (
	moduleDense = iota
	moduleRows
	moduleSteps
	moduleF16
)

// lookUp finds the kernels whose launch shape does not depend on the call.
func (g *General) lookUp() error {
	for _, t := range []tile{tileF32Large, tileF32Small, tileF32Narrow, tileF64Tensor, tileF64Narrow} {
		if err := g.find(moduleDense, t.name, t.threads, t.shared); err != nil {
			return err
		}
	}
	for _, t := range []tile{tileF16Large, tileF16Narrow, tileF16First} {
		if err := g.find(moduleF16, t.name, t.threads, t.shared); err != nil {
			return err
		}
	}
	for _, k := range []struct {
		module, threads int
		names           []string
	}{
		{moduleDense, 256, []string{"dense_finish_f32", "dense_finish_f64"}},
		{moduleRows, 256, []string{"features_f32", "features_f64", "input_rows_f32", "input_rows_f64", "adjoint_forward_f32", "adjoint_forward_f64",
			"adjoint_reverse_f32", "adjoint_reverse_f64", "add_rows_f32", "add_rows_f64", "trace_f32", "trace_f64"}},
		{moduleSteps, 256, []string{"scale_state", "step_state"}},
		{moduleSteps, 128, []string{"step_path"}},
		{moduleF16, 256, []string{"dense_f16_finish", "halve_rows"}},
	} {
		for _, name := range k.names {
			if err := g.find(k.module, name, k.threads, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *General) find(module int, name string, threads, shared int) (err error) {
	g.kernels[name], err = g.modules[module].Kernel(name, threads, shared)
	return err
}

// each enqueues an element kernel, which takes a grid of any size, for so many elements.
func (g *General) each(name string, elements int, a *driver.Args) error {
	return g.launch(g.kernels[name], elements, a)
}

func (g *General) launch(k *driver.Kernel, elements int, a *driver.Args) error {
	if elements == 0 {
		return nil
	}
	return k.Launch(min((elements+k.Block()-1)/k.Block(), 16*g.d.Multiprocessors), a)
}
