package cpu

import (
	"math"
	"slices"
	"testing"

	"hbar/kernels"
	"hbar/program"
	"hbar/program/ops"
)

// The products are those of the op's definition, for the forms that attention and its derivatives take, whatever the workers, and
// for a sample alone. What is no matrix product is left to the definition.
func TestEinsum(t *testing.T) {
	shapes := map[string][]int{"thd": {130, 3, 20}, "shd": {50, 3, 20}, "hts": {3, 130, 50}, "ij": {5, 7}, "jk": {7, 33}, "ik": {5, 33}, "i": {5}, "j": {7}}
	for _, c := range []struct {
		a, b, out string
		ok        bool
	}{
		{"thd", "shd", "hts", true}, {"hts", "shd", "thd", true}, {"hts", "thd", "shd", true},
		{"shd", "thd", "hts", true}, {"shd", "hts", "thd", true}, {"thd", "hts", "shd", true},
		{"ij", "jk", "ik", true}, {"ij", "j", "i", true}, {"i", "j", "ij", true}, {"hts", "hts", "hts", false},
	} {
		op := ops.Einsum{A: c.a, B: c.b, Out: c.out}
		e, ok := newEinsum(op, shapes[c.a], shapes[c.b], shapes[c.out])
		if ok != c.ok {
			t.Errorf("%v: product %t, want %t", op, ok, c.ok)
		}
		if !ok {
			continue
		}
		const n = 2
		draw := func(sample uint64, shape []int) []float32 {
			x := make([]float32, n*program.Size(shape))
			kernels.Normals(x, kernels.Noise{Sample0: sample}, 0, n, len(x)/n)
			return x
		}
		a, b, size := draw(0, shapes[c.a]), draw(100, shapes[c.b]), program.Size(shapes[c.out])
		var all [][]float32
		for _, workers := range []int{1, 3} {
			team := NewTeam(workers)
			y := make([]float32, n*size)
			e.run(team, y, a, b, n)
			all = append(all, y)
			y = make([]float32, size)
			e.run(team, y, a[len(a)/n:], b[len(b)/n:], 1)
			all = append(all, y)
			team.Close()
		}
		if !slices.Equal(all[0], all[2]) || !slices.Equal(all[0][size:], all[1]) {
			t.Errorf("%v: the bits depend on workers or batch", op)
		}
		for i := range n {
			wide := func(x []float32) []float64 {
				var w []float64
				for _, v := range x[i*len(x)/n : (i+1)*len(x)/n] {
					w = append(w, float64(v))
				}
				return w
			}
			want := program.Tensor{Shape: shapes[c.out], Data: make([]float64, size)}
			op.Reference([]program.Tensor{{Shape: shapes[c.a], Data: wide(a)}, {Shape: shapes[c.b], Data: wide(b)}}, []program.Tensor{want})
			for j, w := range want.Data { // sums of up to 130 products of normals, each rounded by 6e-8
				if got := float64(all[0][i*size+j]); !(math.Abs(got-w) < 2e-5) {
					t.Fatalf("%v: element %d of sample %d is %g, want %g", op, j, i, got, w)
				}
			}
		}
	}
}
