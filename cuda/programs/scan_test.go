//go:build gpu && cgo

package programs

import (
	"math"
	"math/rand/v2"
	"testing"

	"hbar/program"
	"hbar/program/diff"
	"hbar/program/eval"
	"hbar/program/ops"
	"hbar/program/ops/opstest"
)

// TestSizesScan runs recurrences over several chunks of times, in both directions, with modes that decay and one that does not,
// and their cotangents.
func TestSizesScan(t *testing.T) {
	d, k := device(t)
	const times, modes, n = 150, 5, 3
	for _, adjoint := range []bool{false, true} {
		p, err := program.Build(func(b *program.Builder) {
			b.Output("z", b.Apply(ops.Scan{Adjoint: adjoint}, b.Param("lambda", 2*modes), b.Input("u", program.Sample, times, 2*modes))[0])
		})
		if err != nil {
			t.Fatal(err)
		}
		if p, err = diff.VJP(p, map[string]string{"z": "g"}, map[string]string{"u": "gu", "lambda": "glambda"}); err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(5, 9))
		in := opstest.Random(p, opstest.Case{}, n, r)
		for j := range modes {
			sin, cos := math.Sincos(3 * r.Float64())
			decay := math.Exp(-0.1 * float64(j))
			in["lambda"][j], in["lambda"][modes+j] = float64(float32(decay*cos)), float64(float32(decay*sin))
		}
		want, err := eval.Run(p, n, in)
		if err != nil {
			t.Fatal(err)
		}
		// Rounding of float32 in 150 steps of a mode that remembers all.
		opstest.Compare(t, p, execute(t, d, k, p, n, Options{}, in), want, 5e-6)
		opstest.Compare(t, p, execute(t, d, k, p, n, Options{Block: 2}, in), want, 5e-6)
	}
}
