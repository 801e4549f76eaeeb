//go:build gpu && cgo

package programs

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"hbar/cuda/exec"
	"hbar/program"
	"hbar/program/eval"
	"hbar/program/fuse"
	"hbar/program/ops"
	"hbar/program/ops/opstest"
)

// TestSizes runs products and attentions of several tiles and slices of a sum, in both sizes of tiles and all widths of heads, and their
// cotangents. Float32 sums of hundreds of terms.
func TestSizes(t *testing.T) {
	d, k := device(t)
	d.Multiprocessors = 2 // so that large tiles are taken, and elements in several passes, whatever the device
	weights := map[int]bool{1: true, 2: true}
	rows := func(queries, width int) opstest.Case {
		return opstest.Case{Op: ops.Attention{Heads: 2}, In: [][]int{{queries, 2 * width}, {41, 2 * width}, {41, 2 * width}}}
	}
	attention := func(width int) opstest.Case { return rows(35, width) }
	tangent := func(width int) opstest.Case {
		c := attention(width)
		return opstest.Case{Op: ops.AttentionTangent{Of: c.Op.(ops.Attention)}, In: append(c.In, c.In...)}
	}
	for i, c := range []opstest.Case{
		{Op: ops.Dense{}, In: [][]int{{70, 76}, {100, 76}, {100}}, Shared: weights},
		{Op: ops.Dense{}, In: [][]int{{9, 75}, {70, 75}}, Shared: weights},
		{Op: ops.Same, In: [][]int{{7, 5, 20}, {66, 3, 3, 20}, {66}}, Shared: weights},
		{Op: ops.Conv{Stride: 2, Right: 1, Bottom: 1}, In: [][]int{{8, 6, 5}, {7, 3, 3, 5}}, Shared: weights},
		{Op: ops.GroupNorm{Groups: 2, Eps: 1e-5, Act: ops.SiLU}, In: [][]int{{9, 7, 40}, {40}, {40}}, Shared: weights},
		{Op: ops.LayerNorm{Eps: 1e-5}, In: [][]int{{20, 70}, {70}, {70}}},
		rows(70, 20), attention(40), attention(100), attention(140), tangent(40), tangent(140), rows(150, 64), rows(9, 18),
		// Whole slices of channels and others, whole quads of them and others; large tiles for values, cotangents of images and of weights.
		{Op: ops.Same, In: [][]int{{7, 5, 32}, {48, 3, 3, 32}}, Shared: weights},
		{Op: ops.Conv{Stride: 2, Right: 1, Bottom: 1}, In: [][]int{{8, 6, 16}, {132, 3, 3, 16}}, Shared: weights},
		{Op: ops.Same, In: [][]int{{9, 8, 100}, {20, 3, 3, 100}}, Shared: weights},
		{Op: ops.Same, In: [][]int{{9, 8, 112}, {32, 3, 3, 112}}, Shared: weights},
		{Op: ops.Conv{Stride: 2, Left: 1, Top: 1, Right: 1, Bottom: 1}, In: [][]int{{9, 8, 3}, {14, 3, 3, 3}}, Shared: weights},
		{Op: ops.Same, In: [][]int{{3, 2, 1}, {16, 3, 3, 1}}, Shared: weights},
		{Op: ops.Dense{}, In: [][]int{{70, 132}, {100, 132}}, Shared: weights},
		{Op: ops.Dense{}, In: [][]int{{40, 100}, {132, 100}}, Shared: weights},
		{Op: ops.Same, In: [][]int{{5, 8, 112}, {64, 3, 3, 112}}, Shared: weights},
		{Op: ops.Conv{Stride: 2, Right: 1, Bottom: 1}, In: [][]int{{8, 6, 96}, {64, 3, 3, 96}}, Shared: weights},
	} {
		t.Run(fmt.Sprintf("%d_%s", i, c.Op.Name()), func(t *testing.T) {
			programs, err := c.Programs()
			if err != nil {
				t.Fatal(err)
			}
			const n = 2
			programs = programs[:2]
			if _, ok := c.Op.(ops.AttentionTangent); ok {
				programs = programs[:1] // its derivatives are plain products
			}
			for _, p := range programs {
				in := opstest.Random(p, c, n, rand.New(rand.NewPCG(4, uint64(i))))
				want, err := eval.Run(p, n, in)
				if err != nil {
					t.Fatal(err)
				}
				opstest.Compare(t, p, execute(t, d, k, p, n, Options{}, in), want, 2e-5) // float32 against float64, as in TestExecutor
			}
			switch c.Op.(type) {
			case ops.Dense, ops.Conv, ops.Attention: // and their cotangents
			default:
				programs = programs[:1]
			}
			for _, p := range programs {
				in := opstest.Random(p, c, n, rand.New(rand.NewPCG(4, uint64(i))))
				want, err := eval.Run(p, n, in)
				if err != nil {
					t.Fatal(err)
				}
				opstest.Compare(t, p, execute(t, d, k, p, n, Options{Precision: exec.TF32}, in), want, 3e-3) // factors rounded to 11 bits, 5e-4 each
				opstest.Compare(t, p, execute(t, d, k, p, n, Options{Precision: exec.F16}, in), want, 3e-3)  // so are these
				opstest.Compare(t, p, execute(t, d, k, p, n, Options{Precision: exec.BF16}, in), want, 3e-2) // to 8 bits, 4e-3 each
			}
		})
	}
}

// TestLayers runs products with all that may follow them: rows that are whole quads of columns and such that are not, samples of one row, of
// some rows and of more rows than a tile has, every activation.
func TestLayers(t *testing.T) {
	d, k := device(t)
	d.Multiprocessors = 2 // so that large tiles are taken, and elements in several passes, whatever the device
	weights := map[int]bool{1: true, 2: true}
	layer := func(op program.Op, in [][]int, l fuse.Layer) opstest.Case {
		y, err := op.Shapes(in)
		if err != nil {
			t.Fatal(err)
		}
		l.Op = op
		columns := []int{y[0][len(y[0])-1]}
		if l.Bias {
			in = append(in, columns)
		}
		if l.Vector {
			in = append(in, columns)
		}
		if l.Residual {
			in = append(in, y[0])
		}
		if l.Gated {
			in = append(in, columns)
		}
		return opstest.Case{Op: l, In: in, Shared: weights}
	}
	dense := func(rows, k, columns int, l fuse.Layer) opstest.Case {
		return layer(ops.Dense{}, [][]int{{rows, k}, {columns, k}}, l)
	}
	all := fuse.Layer{Bias: true, Vector: true, Residual: true, Gated: true, Act: ops.GELUTanh, Pre: true}
	rest := fuse.Layer{Bias: true, Residual: true, Gated: true}
	for i, c := range []opstest.Case{
		dense(37, 20, 132, all), dense(37, 21, 99, all), dense(1, 8, 40, all), dense(150, 4, 100, all),
		dense(45, 24, 136, rest), dense(45, 24, 134, rest),
		dense(9, 12, 68, fuse.Layer{Bias: true, Act: ops.SiLU, Pre: true}), dense(9, 12, 67, fuse.Layer{Bias: true, Act: ops.GELU}), dense(9, 12, 68, fuse.Layer{Bias: true, Act: ops.Tanh}),
		layer(ops.Same, [][]int{{7, 5, 20}, {72, 3, 3, 20}}, fuse.Layer{Bias: true, Vector: true, Residual: true, Act: ops.SiLU}),
		layer(ops.Same, [][]int{{9, 20, 3}, {130, 3, 3, 3}}, fuse.Layer{Bias: true, Vector: true, Pre: true, Act: ops.SiLU}),
		// On warpgroup products where the device has them: several tiles and slices, the last ones of them in parts.
		dense(37, 100, 132, all), dense(16, 67, 129, all), dense(150, 200, 100, rest),
		layer(ops.Same, [][]int{{7, 5, 64}, {136, 3, 3, 64}}, fuse.Layer{Bias: true, Vector: true, Residual: true, Act: ops.SiLU}),
		layer(ops.Conv{Stride: 2, Right: 1, Bottom: 1}, [][]int{{10, 12, 96}, {97, 3, 3, 96}}, fuse.Layer{Bias: true, Vector: true}),
		layer(ops.Conv{Stride: 1}, [][]int{{6, 5, 100}, {100, 1, 1, 100}}, fuse.Layer{Bias: true}),
		layer(ops.Conv{Stride: 1}, [][]int{{6, 5, 96}, {100, 1, 1, 96}}, fuse.Layer{Bias: true, Residual: true}),
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			p, err := c.Program(false)
			if err != nil {
				t.Fatal(err)
			}
			const n = 5
			in := opstest.Random(p, c, n, rand.New(rand.NewPCG(6, uint64(i))))
			want, err := eval.Run(p, n, in)
			if err != nil {
				t.Fatal(err)
			}
			opstest.Compare(t, p, execute(t, d, k, p, n, Options{}, in), want, 2e-5) // float32 against float64, as in TestSizes
			// Factors rounded to 8 bits: a sum of 12 products is up to 0.03 away, and tanh's largest number is 1.
			opstest.Compare(t, p, execute(t, d, k, p, n, Options{Precision: exec.BF16}, in), want, 6e-2)
			opstest.Compare(t, p, execute(t, d, k, p, n, Options{Precision: exec.F16}, in), want, 7.5e-3) // 11 bits: an eighth
		})
	}
}

// TestAttentionErrors says how far results and cotangents of attention are from float64 in each precision: the largest difference over the
// largest number. The bounds are twice what standard normal inputs gave.
func TestAttentionErrors(t *testing.T) {
	d, k := device(t)
	const width = 64
	c := opstest.Case{Op: ops.Attention{Heads: 1}, In: [][]int{{70, width}, {50, width}, {50, width}}}
	programs, err := c.Programs()
	if err != nil {
		t.Fatal(err)
	}
	p := programs[1] // with its cotangents
	in := opstest.Random(p, c, 1, rand.New(rand.NewPCG(5, 1)))
	want, err := eval.Run(p, 1, in)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		precision exec.Precision
		bound     float64
	}{{exec.FP32, 6e-7}, {exec.TF32, 1.4e-3}, {exec.BF16, 1.4e-2}, {exec.F16, 1.4e-3}} {
		got := execute(t, d, k, p, 1, Options{Precision: q.precision}, in)
		for _, o := range p.Outputs {
			worst, largest := 0.0, 0.0
			for i, v := range want[o.Name] {
				worst, largest = max(worst, math.Abs(float64(got[o.Name][i])-v)), max(largest, math.Abs(v))
			}
			t.Logf("%v, %s: %.2g", q.precision, o.Name, worst/largest)
			if !(worst <= q.bound*largest) {
				t.Errorf("%v: %s is %.2g away, more than %.2g", q.precision, o.Name, worst/largest, q.bound)
			}
		}
	}
}
