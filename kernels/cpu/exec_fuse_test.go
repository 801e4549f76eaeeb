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

// TestGatedLayer: a dense layer takes the gate and the residual after it, if nothing else reads its result.
func TestGatedLayer(t *testing.T) {
	for _, c := range []struct {
		out        int
		read, bias bool
	}{{16, false, true}, {13, false, true}, {16, false, false}, {16, true, true}} {
		p, err := program.Build(func(b *program.Builder) {
			x := b.Input("x", program.Sample, 7, 5)
			r := b.Input("r", program.Sample, 7, c.out)
			g := b.Input("gate", program.Sample, c.out)
			var bias program.Value
			if c.bias {
				bias = b.Param("b", c.out)
			}
			z := ops.Linear(b, x, b.Param("w", c.out, 5), bias)
			b.Output("y", b.Apply(ops.GatedAdd{}, r, g, z)[0])
			if c.read {
				b.Output("z", z)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		fused := fuse(p)
		found := false
		for _, in := range fused.Instrs {
			if l, ok := in.Op.(layer); ok && l.Gated {
				found = true
			}
		}
		if found == c.read {
			t.Errorf("%+v: fused %v", c, found)
		}
		in := random(p, opstest.Case{}, 3, rand.New(rand.NewPCG(7, 8)))
		want, err := eval.Run(p, 3, in)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, p, execute(t, p, 3, 2, 2, in), want, 1e-5)
		if want, err = eval.Run(fused, 3, in); err != nil {
			t.Fatal(err)
		}
		compare(t, p, execute(t, p, 3, 2, 2, in), want, 1e-5)
	}
}
