package cpu

import (
	"math/rand/v2"
	"testing"

	"hbar/program"
	"hbar/program/diff"
	"hbar/program/eval"
	"hbar/program/ops"
	"hbar/program/ops/opstest"
)

// TestJoinedAttention: the cotangents of queries, keys and values that are channels of one value are written in place, in any
// order of the three, and not where channels are left over or used twice.
func TestJoinedAttention(t *testing.T) {
	for _, c := range []struct {
		lo       [3]int
		channels int
		joined   bool
	}{{[3]int{0, 6, 12}, 18, true}, {[3]int{12, 0, 6}, 18, true}, {[3]int{0, 6, 12}, 20, false}, {[3]int{0, 6, 6}, 18, false}} {
		p, err := program.Build(func(b *program.Builder) {
			w := b.Param("w", c.channels, 5)
			qkv := ops.Linear(b, b.Input("x", program.Sample, 7, 5), w, nil)
			part := func(i int) program.Value { return b.Apply(ops.Slice{Lo: c.lo[i], Hi: c.lo[i] + 6}, qkv)[0] }
			b.Output("y", b.Apply(ops.Attention{Heads: 2}, part(0), part(1), part(2))[0])
		})
		if err != nil {
			t.Fatal(err)
		}
		q, err := diff.VJP(p, map[string]string{"y": "g"}, map[string]string{"x": "gx", "w": "gw"})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, in := range fuse(q).Instrs {
			if _, ok := in.Op.(joinedAttention); ok {
				found = true
			}
		}
		if found != c.joined {
			t.Errorf("%+v: joined %v", c, found)
		}
		in := random(q, opstest.Case{}, 3, rand.New(rand.NewPCG(5, 6)))
		want, err := eval.Run(q, 3, in)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, q, execute(t, q, 3, 2, 2, in), want, 1e-5)
		if want, err = eval.Run(fuse(q), 3, in); err != nil {
			t.Fatal(err)
		}
		compare(t, q, execute(t, q, 3, 2, 2, in), want, 1e-5)
	}
}
