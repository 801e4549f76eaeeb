package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"hbar/program"
	"hbar/program/diff"
	"hbar/program/eval"
	"hbar/program/ops"
	"hbar/program/ops/opstest"
)

// TestScan has more modes than one task and, where modes are few, several chunks of times; λ is a parameter or one of each
// sample. Values, gradients and the gradients' sums are those of the reference, the same for any workers and blocks.
func TestScan(t *testing.T) {
	for _, c := range []struct{ times, modes, n int }{{70, 53, 3}, {2100, 5, 2}, {1, 4, 2}} {
		for _, adjoint := range []bool{false, true} {
			for _, shared := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d times, %d modes, adjoint %t, shared %t", c.times, c.modes, adjoint, shared), func(t *testing.T) {
					testScan(t, c.times, c.modes, c.n, adjoint, shared)
				})
			}
		}
	}
}

func testScan(t *testing.T, times, modes, n int, adjoint, shared bool) {
	p, err := program.Build(func(b *program.Builder) {
		lambda := program.Value(nil)
		if shared {
			lambda = b.Param("lambda", 2*modes)
		} else {
			lambda = b.Input("lambda", program.Sample, 2*modes)
		}
		b.Output("z", b.Apply(ops.Scan{Adjoint: adjoint}, lambda, b.Input("u", program.Sample, times, 2*modes))[0])
	})
	if err != nil {
		t.Fatal(err)
	}
	if p, err = diff.VJP(p, map[string]string{"z": "g"}, map[string]string{"u": "gu", "lambda": "glambda"}); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 9))
	in := opstest.Random(p, opstest.Case{}, n, r)
	for i := 0; i < len(in["lambda"]); i += 2 * modes { // from quick to conservative
		for j := range modes {
			tau := math.Exp(9 * r.Float64())
			if j == 0 {
				tau = math.Inf(1)
			}
			sin, cos := math.Sincos(3 * r.Float64())
			decay := math.Exp(-1 / tau)
			in["lambda"][i+j], in["lambda"][i+modes+j] = decay*cos, decay*sin
		}
	}
	for name, x := range in {
		for i := range x { // the numbers that the executor sees
			in[name][i] = float64(float32(x[i]))
		}
	}
	want, err := eval.Run(p, n, in)
	if err != nil {
		t.Fatal(err)
	}
	got := execute(t, p, n, 1, 0, in)
	// Rounding of float32 adds up over the steps that a mode remembers: at random, as their root.
	opstest.Compare(t, p, got, want, 1e-6*max(1, math.Sqrt(float64(times)/40)))
	for _, o := range [][2]int{{2, 1}, {3, 2}} {
		for name, y := range execute(t, p, n, o[0], o[1], in) {
			if !slices.Equal(y, got[name]) {
				t.Errorf("%s differs with %d workers and blocks of %d", name, o[0], o[1])
			}
		}
	}
}
