package fuse

import (
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
