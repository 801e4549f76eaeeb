package cpu

import (
	"math/rand/v2"
	"slices"
	"testing"

	"hbar/program"
	"hbar/program/diff"
	"hbar/program/eval"
	"hbar/program/ops"
	"hbar/program/ops/opstest"
)

// TestRMSNorm has more positions than one part of the work holds. Sums of 150 terms of float32 numbers are made in float32.
func TestRMSNorm(t *testing.T) {
	p, err := program.Build(func(b *program.Builder) {
		x := b.Input("x", program.Sample, 150, 65)
		b.Output("y", b.Apply(ops.RMSNorm{Eps: 1e-6}, x, b.Param("w", 65))[0])
	})
	if err != nil {
		t.Fatal(err)
	}
	if p, err = diff.VJP(p, map[string]string{"y": "g"}, map[string]string{"x": "gx", "w": "gw"}); err != nil {
		t.Fatal(err)
	}
	const n = 5
	in := opstest.Random(p, opstest.Case{}, n, rand.New(rand.NewPCG(2, 7)))
	want, err := eval.Run(p, n, in)
	if err != nil {
		t.Fatal(err)
	}
	got := execute(t, p, n, 1, 0, in)
	opstest.Compare(t, p, got, want, 2e-6) // a float32 norm of a few hundred terms and two products
	for _, o := range [][2]int{{2, 2}, {3, 1}} {
		for name, y := range execute(t, p, n, o[0], o[1], in) {
			if !slices.Equal(y, got[name]) {
				t.Errorf("%s differs with %d workers and blocks of %d", name, o[0], o[1])
			}
		}
	}
}
