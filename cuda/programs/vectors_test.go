//go:build gpu && cgo

package programs

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"hbar/program/eval"
	"hbar/program/ops"
	"hbar/program/ops/opstest"
)

// TestVectors runs operations of sizes for which there are kernels on vectors, and of sizes next to these.
func TestVectors(t *testing.T) {
	d, k := device(t)
	weights := map[int]bool{1: true, 2: true}
	norm := func(h, w, groups, per int, act ops.Fn) opstest.Case {
		c := groups * per
		return opstest.Case{Op: ops.GroupNorm{Groups: groups, Eps: 1e-5, Act: act}, In: [][]int{{h, w, c}, {c}, {c}}, Shared: weights}
	}
	for i, c := range []struct {
		opstest.Case
		n      int
		offset float64 // of the first input
	}{
		{norm(9, 7, 4, 8, ops.SiLU), 3, 0},
		{norm(6, 6, 4, 4, ""), 20, 0},
		{norm(5, 5, 3, 12, ops.SiLU), 2, 0}, // a thread of the block has no column
		{norm(4, 4, 32, 4, ops.SiLU), 2, 0},
		{norm(4, 4, 4, 4, ops.GELUTanh), 2, 0},
		{norm(33, 33, 2, 8, ops.SiLU), 2, 0}, // more positions than threads hold
		{norm(33, 33, 2, 8, ""), 1, 0},
		{norm(9, 7, 4, 8, ""), 2, 1e4}, // a mean that float32 rounds to 5e-4
		{opstest.Case{Op: ops.LayerNorm{Eps: 1e-5}, In: [][]int{{20, 72}, {72}, {72}}}, 2, 0},
		{opstest.Case{Op: ops.LayerNorm{Eps: 1e-5}, In: [][]int{{3, 132}}}, 2, 1e4},
		{opstest.Case{Op: ops.LayerNorm{Eps: 1e-5}, In: [][]int{{2, 1028}}}, 2, 0},
		{opstest.Case{Op: ops.RMSNorm{Eps: 1e-5}, In: [][]int{{5, 72}, {72}}, Shared: map[int]bool{1: true}}, 2, 0},
		{opstest.Case{Op: ops.SumTo{Shape: []int{24}}, In: [][]int{{20, 24}}}, 3, 0},
		{opstest.Case{Op: ops.SumTo{Shape: []int{5}}, In: [][]int{{40, 5}}}, 3, 0},
		{opstest.Case{Op: ops.BiasSum{}, In: [][]int{{37, 24}}}, 20, 0},
		{opstest.Case{Op: ops.BiasSum{}, In: [][]int{{300, 7}}}, 3, 0},
		{opstest.Case{Op: ops.SumBatch{}, In: [][]int{{200}}}, 40, 0},
		{opstest.Case{Op: ops.Add{}, In: [][]int{{6, 5, 8}, {8}}}, 3, 0},
		{opstest.Case{Op: ops.Mul{}, In: [][]int{{6, 5, 8}, {6, 1, 8}}}, 3, 0},
		{opstest.Case{Op: ops.Mul{}, In: [][]int{{6, 8}, {6, 1}}}, 3, 0},
		{opstest.Case{Op: ops.GatedAdd{}, In: [][]int{{5, 8}, {8}, {5, 8}}}, 3, 0},
		{opstest.Case{Op: ops.Concat{}, In: [][]int{{3, 4, 8}, {3, 4, 4}}}, 3, 0},
		{opstest.Case{Op: ops.Transpose{Perm: []int{1, 0, 2}}, In: [][]int{{3, 5, 8}}}, 3, 0},
		{opstest.Case{Op: ops.Transpose{Perm: []int{2, 0, 1}}, In: [][]int{{4, 4, 8}}}, 3, 0},
		{opstest.Case{Op: ops.SumPool{}, In: [][]int{{4, 6, 8}}}, 3, 0},
		{opstest.Case{Op: ops.Upsample{H: 7, W: 8}, In: [][]int{{3, 4, 8}}}, 3, 0},
	} {
		t.Run(fmt.Sprintf("%d_%s", i, c.Op.Name()), func(t *testing.T) {
			programs, err := c.Programs()
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range programs[:2] {
				in := opstest.Random(p, c.Case, c.n, rand.New(rand.NewPCG(6, uint64(i))))
				for j := range in["in0"] {
					in["in0"][j] = float64(float32(in["in0"][j] + c.offset))
				}
				want, err := eval.Run(p, c.n, in)
				if err != nil {
					t.Fatal(err)
				}
				opstest.Compare(t, p, execute(t, d, k, p, c.n, Options{}, in), want, 2e-5) // float32 against float64, as in TestOps
			}
		})
	}
}

// TestBlockBits wants sums over samples to be the same in all bits, whether samples pass at once or in blocks of multiples of 16.
func TestBlockBits(t *testing.T) {
	d, k := device(t)
	weights := map[int]bool{1: true, 2: true}
	const n = 72
	for i, c := range []opstest.Case{
		{Op: ops.GroupNorm{Groups: 2, Eps: 1e-5, Act: ops.SiLU}, In: [][]int{{3, 3, 8}, {8}, {8}}, Shared: weights},
		{Op: ops.Dense{}, In: [][]int{{5, 8}, {12, 8}, {12}}, Shared: weights},
		{Op: ops.RMSNorm{Eps: 1e-5}, In: [][]int{{5, 8}, {8}}, Shared: map[int]bool{1: true}},
	} {
		t.Run(c.Op.Name(), func(t *testing.T) {
			programs, err := c.Programs()
			if err != nil {
				t.Fatal(err)
			}
			p := programs[1]
			in := opstest.Random(p, c, n, rand.New(rand.NewPCG(7, uint64(i))))
			all := execute(t, d, k, p, n, Options{}, in)
			for _, block := range []int{16, 48} {
				for name, y := range execute(t, d, k, p, n, Options{Block: block}, in) {
					for j, v := range y {
						if v != all[name][j] {
							t.Errorf("%s[%d] is %g in blocks of %d, %g at once", name, j, v, block, all[name][j])
							break
						}
					}
				}
			}
		})
	}
}

// TestQuotient checks the multipliers by which kernels divide, where they are most likely to be wrong.
func TestQuotient(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 0))
	divisors := []int{1<<31 - 1, 1 << 30, 1<<30 + 1}
	for d := 1; d < 3000; d++ {
		divisors = append(divisors, d, 1+r.IntN(1<<31-1))
	}
	for _, d := range divisors {
		m, s := quotient(d)
		for range 50 {
			q := r.IntN((1<<31-1)/d + 1)
			for _, n := range []int{q * d, min(q*d+d-1, 1<<31-1), 1<<31 - 1} {
				got := uint64(n)
				if m != 0 {
					got = uint64(n) * uint64(m) >> 32 >> s
				}
				if got != uint64(n/d) {
					t.Fatalf("%d/%d is %d by the multiplier %d and the shift %d", n, d, got, m, s)
				}
			}
		}
	}
}
