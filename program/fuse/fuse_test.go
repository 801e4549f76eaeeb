package fuse

import (
	"math"
	"math/rand/v2"
	"testing"

	"hbar/program"
	"hbar/program/eval"
	"hbar/program/ops"
	"hbar/program/ops/opstest"
)

// A layer whose result is broadcast to what is added to it does not take that up.
func TestBroadcastSum(t *testing.T) {
	p, err := program.Build(func(b *program.Builder) {
		z := ops.Linear(b, b.Input("x", program.Sample, 7, 5), b.Param("w", 1, 5), nil)
		b.Output("y", b.Apply(ops.Add{}, z, b.Input("r", program.Sample, 7, 4))[0])
	})
	if err != nil {
		t.Fatal(err)
	}
	in := opstest.Random(p, opstest.Case{}, 3, rand.New(rand.NewPCG(1, 2)))
	want, err := eval.Run(p, 3, in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := eval.Run(Program(p), 3, in)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range want["y"] {
		if got["y"][i] != v { // the same sums
			t.Errorf("element %d is %g, want %g", i, got["y"][i], v)
		}
	}
}

// Of a product of the derivatives of two activations one is fused with it, and the other is computed.
func TestTwoSlopes(t *testing.T) {
	p, err := program.Build(func(b *program.Builder) {
		slope := func(name string) program.Value {
			return b.Apply(ops.Unary{Fn: ops.SiLU, Order: 1}, b.Input(name, program.Sample, 6))[0]
		}
		b.Output("y", b.Apply(ops.Mul{}, slope("u"), slope("v"))[0])
	})
	if err != nil {
		t.Fatal(err)
	}
	in := opstest.Random(p, opstest.Case{}, 3, rand.New(rand.NewPCG(1, 2)))
	want, err := eval.Run(p, 3, in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := eval.Run(Program(p), 3, in)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range want["y"] {
		if math.Abs(got["y"][i]-v) > 1e-15 { // one rounding
			t.Errorf("element %d is %g, want %g", i, got["y"][i], v)
		}
	}
}
