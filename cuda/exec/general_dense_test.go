//go:build gpu && cgo

package exec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"hbar/cuda/driver"
	"hbar/cuda/internal/cudatest"
	"hbar/kernels/simd"
)

// All float32 tiles give the same sums, bit for bit, and each tile does whatever the strides, at sizes around the edges;
// nothing outside is touched.
func TestDense(t *testing.T) {
	dev := cudatest.Open(t)
	g, err := NewGeneral(dev, cudatest.Chain(1, 8, 1, simd.Tanh, false, 0), FP32)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := g.Forward64(context.Background(), []float64{0}, []float64{1}, []float64{1}); err != nil { // makes net64
		t.Fatal(err)
	}
	for _, s := range [][3]int{{1, 1, 1}, {3, 17, 0}, {65, 66, 17}, {130, 129, 9}, {257, 16, 33}} {
		testDense(t, g.net32, s[0], s[1], s[2], tileF32Large, tileF32Small, tileF32Narrow)
		testDense(t, g.net64, s[0], s[1], s[2], tileF64Tensor)
		testDense(t, g.net64, s[0], s[1], s[2], tileF64Narrow)
	}
}

// transposed is the r × c matrix v with rows and columns exchanged.
func transposed(v []float64, r, c int) []float64 {
	w := make([]float64, len(v))
	for i := range r {
		for j := range c {
			w[j*r+i] = v[i*c+j]
		}
	}
	return w
}

func testDense[F simd.Float](t *testing.T, n *layers[F], rows, columns, depth int, tiles ...tile) {
	a, b := normals64(rows*depth+1, 1), normals64(depth*columns+1, 2)
	want := make([]float64, rows*columns)
	for i := range rows {
		for j := range columns {
			for k := range depth {
				want[i*columns+j] += a[i*depth+k] * b[k*columns+j]
			}
		}
	}
	const guard = 1234
	var first []F
	for _, tl := range tiles {
		for layout := range 4 {
			q := denseArgs{M: int32(rows), N: int32(columns), K: int32(depth), Group: 1, CRow: int64(columns + 1)}
			pa, pb := a, b
			q.A.Row, q.A.Col, q.B.Row, q.B.Col = int64(depth), 1, int64(columns), 1
			if layout&1 != 0 {
				pa = transposed(a[:rows*depth], rows, depth)
				q.A.Row, q.A.Col = 1, int64(rows)
			}
			if layout&2 != 0 {
				pb = transposed(b[:depth*columns], depth, columns)
				q.B.Row, q.B.Col = 1, int64(depth)
			}
			c := make([]F, rows*(columns+1))
			for i := range c {
				c[i] = guard
			}
			var buffers []*driver.Buffer
			for i, v := range [][]float64{pa, pb} {
				f := make([]F, len(v))
				for j := range v {
					f[j] = F(v[j])
				}
				if len(f) == 0 {
					f = make([]F, 1)
				}
				buf, err := driver.NewBuffer(n.g.d, f)
				if err != nil {
					t.Fatal(err)
				}
				buffers = append(buffers, buf)
				if i == 0 {
					q.A.At = buf.Address()
				} else {
					q.B.At = buf.Address()
				}
			}
			out, err := driver.NewBuffer(n.g.d, c)
			if err != nil {
				t.Fatal(err)
			}
			q.C = out.Address()
			if err := errors.Join(n.denseBy(tl, &q), driver.Download(c, out), out.Free(), buffers[0].Free(), buffers[1].Free()); err != nil {
				t.Fatal(err)
			}
			got := make([]F, 0, rows*columns)
			for i := range rows {
				got = append(got, c[i*(columns+1):][:columns]...)
				if c[i*(columns+1)+columns] != guard {
					t.Fatalf("%s, %d×%d×%d: wrote behind row %d", tl.name, rows, columns, depth, i)
				}
			}
			// Roundings of one sum of depth terms, each up to the largest result.
			eps := map[int]float64{4: 1e-6, 8: 2e-15}[n.size()]
			near(t, fmt.Sprintf("%s, %d×%d×%d, layout %d", tl.name, rows, columns, depth, layout), got, want, eps)
			if first == nil {
				first = got
			} else if !slices.Equal(first, got) {
				t.Errorf("%s, %d×%d×%d, layout %d: other bits than %s", tl.name, rows, columns, depth, layout, tiles[0].name)
			}
		}
	}
}
