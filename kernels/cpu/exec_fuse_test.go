package cpu

import (
	"math/rand/v2"
	"slices"
	"testing"

	"hbar/program"
	"hbar/program/diff"
	"hbar/program/eval"
	"hbar/program/fuse"
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
		for _, in := range fuse.Program(q).Instrs {
			if _, ok := in.Op.(fuse.JoinedAttention); ok {
				found = true
			}
		}
		if found != c.joined {
			t.Errorf("%+v: joined %v", c, found)
		}
		in := opstest.Random(q, opstest.Case{}, 3, rand.New(rand.NewPCG(5, 6)))
		want, err := eval.Run(q, 3, in)
		if err != nil {
			t.Fatal(err)
		}
		got := execute(t, q, 3, 2, 2, in)
		opstest.Compare(t, q, got, want, 1e-5) // float32: sums of some dozen terms
		if want, err = eval.Run(fuse.Program(q), 3, in); err != nil {
			t.Fatal(err)
		}
		opstest.Compare(t, q, got, want, 1e-5)
		alone := execute(t, p, 3, 2, 2, in)
		if !slices.Equal(got["y"], alone["y"]) {
			t.Errorf("%+v: y has other bits beside its backward pass than alone", c)
		}
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
		fused := fuse.Program(p)
		found := false
		for _, in := range fused.Instrs {
			if l, ok := in.Op.(fuse.Layer); ok && l.Gated {
				found = true
			}
		}
		if found == c.read {
			t.Errorf("%+v: fused %v", c, found)
		}
		in := opstest.Random(p, opstest.Case{}, 3, rand.New(rand.NewPCG(7, 8)))
		want, err := eval.Run(p, 3, in)
		if err != nil {
			t.Fatal(err)
		}
		opstest.Compare(t, p, execute(t, p, 3, 2, 2, in), want, 1e-5) // float32: sums of some dozen terms
		if want, err = eval.Run(fused, 3, in); err != nil {
			t.Fatal(err)
		}
		opstest.Compare(t, p, execute(t, p, 3, 2, 2, in), want, 1e-5)
	}
}

// TestKeptSlope: a dense layer stores the derivative of its activation where only the backward pass reads it, and the
// cotangent of the next layer's input takes it as a factor. Widths that fill no panel of columns go through scratch.
func TestKeptSlope(t *testing.T) {
	for _, c := range []struct {
		width int
		read  bool
	}{{32, false}, {13, false}, {32, true}} {
		p, err := program.Build(func(b *program.Builder) {
			z := ops.Linear(b, b.Input("x", program.Sample, 7, 5), b.Param("w1", c.width, 5), b.Param("b1", c.width))
			h := b.Apply(ops.Unary{Fn: ops.GELUTanh}, z)[0]
			b.Output("y", ops.Linear(b, h, b.Param("w2", 6, c.width), nil))
			if c.read {
				b.Output("z", z)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		q, err := diff.VJP(p, map[string]string{"y": "g"}, map[string]string{"x": "gx", "w1": "gw1", "w2": "gw2"})
		if err != nil {
			t.Fatal(err)
		}
		fused := fuse.Program(q, fuse.KeepSlopes)
		kept, times := false, false
		for _, in := range fused.Instrs {
			switch op := in.Op.(type) {
			case fuse.Layer:
				kept = kept || op.Slope
			case fuse.DenseInputTimes:
				times = true
			}
		}
		if kept == c.read || times == c.read {
			t.Errorf("%+v: the derivative is kept: %v, and a factor: %v", c, kept, times)
		}
		in := opstest.Random(q, opstest.Case{}, 3, rand.New(rand.NewPCG(9, 10)))
		want, err := eval.Run(q, 3, in)
		if err != nil {
			t.Fatal(err)
		}
		opstest.Compare(t, q, execute(t, q, 3, 2, 2, in), want, 1e-5)
		if want, err = eval.Run(fused, 3, in); err != nil {
			t.Fatal(err)
		}
		opstest.Compare(t, q, execute(t, q, 3, 2, 2, in), want, 1e-5)
	}
}
