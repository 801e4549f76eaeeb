//go:build gpu && cgo

package programs

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"hbar/cuda/exec"
	"hbar/kernels/general"
	"hbar/program"
	"hbar/program/eval"
	"hbar/program/ops"
	"hbar/program/ops/opstest"
)

// TestLayersWeights: gradients of weights on warpgroups, of inputs in float32 and of ones that are bf16 in memory: tiles, slices and parts of the sum that are not whole, taps outside of images.
func TestLayersWeights(t *testing.T) {
	d, k := device(t)
	sample := func(b *program.Builder, name string, shape ...int) program.Value {
		return b.Input(name, program.Sample, shape...)
	}
	norm := func(b *program.Builder, groups int, shape ...int) program.Value {
		c := shape[len(shape)-1]
		return b.Apply(ops.GroupNorm{Groups: groups, Eps: 1e-5, Act: ops.SiLU}, sample(b, "x", shape...), b.Param("scale", c), b.Param("shift", c))[0]
	}
	dense := func(b *program.Builder, g, x program.Value) program.Value { return b.Apply(ops.DenseWeight{}, g, x)[0] }
	conv := func(b *program.Builder, o ops.Conv, taps int, g, x program.Value) program.Value {
		return b.Apply(ops.ConvWeight{Conv: o, KH: taps, KW: taps}, g, x)[0]
	}
	down := ops.Conv{Stride: 2, Left: 1, Bottom: 1, Right: 1}
	for _, c := range []struct {
		name string
		half int // values that are bf16 in memory
		make func(b *program.Builder) program.Value
	}{
		{"dense", 0, func(b *program.Builder) program.Value {
			return dense(b, sample(b, "g", 37, 132), sample(b, "x", 37, 104))
		}},
		{"dense, few rows", 0, func(b *program.Builder) program.Value {
			return dense(b, sample(b, "g", 16, 96), sample(b, "x", 16, 96))
		}},
		{"dense, parts", 0, func(b *program.Builder) program.Value {
			return dense(b, sample(b, "g", 331, 100), sample(b, "x", 331, 136))
		}},
		{"dense, shared", 0, func(b *program.Builder) program.Value { return dense(b, sample(b, "g", 20, 100), b.Param("x", 20, 96)) }},
		{"dense, halves", 1, func(b *program.Builder) program.Value {
			x := b.Apply(ops.LayerNorm{Eps: 1e-5}, sample(b, "x", 331, 136), b.Param("shift", 136), b.Param("scale", 136))[0]
			return dense(b, sample(b, "g", 331, 132), x)
		}},
		{"conv", 0, func(b *program.Builder) program.Value {
			return conv(b, ops.Same, 3, sample(b, "g", 7, 5, 132), sample(b, "x", 7, 5, 40))
		}},
		{"conv, parts", 0, func(b *program.Builder) program.Value {
			return conv(b, down, 3, sample(b, "g", 16, 16, 100), sample(b, "x", 33, 32, 16))
		}},
		{"conv, halves", 1, func(b *program.Builder) program.Value {
			return conv(b, ops.Same, 3, sample(b, "g", 9, 29, 100), norm(b, 4, 9, 29, 48))
		}},
		{"conv, halves, stride", 1, func(b *program.Builder) program.Value {
			return conv(b, down, 3, sample(b, "g", 4, 4, 96), norm(b, 2, 9, 8, 32))
		}},
		{"conv, halves, one tap", 1, func(b *program.Builder) program.Value {
			return conv(b, ops.Conv{Stride: 1}, 1, sample(b, "g", 6, 5, 100), norm(b, 4, 6, 5, 96))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := program.NewBuilder()
			b.Output("dw", c.make(b))
			p := b.Program()
			const n = 5
			x, err := NewExecutor(d, k, p, Options{Precision: exec.BF16})
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			if !warpgroups(d, exec.BF16) {
				t.Skip("no products on warpgroups")
			}
			half := 0
			for _, s := range x.steps {
				if !s.skipped && x.half(s.Out[0]) {
					half++
				}
				if _, ok := s.Op.(ops.LayerNorm); !ok && s.Op.Name() != "group_norm" && !x.weightsOnWarpgroups(s.Instr) {
					t.Errorf("%s runs elsewhere", s.Op.Name())
				}
			}
			if half != c.half {
				t.Errorf("%d values are bf16 in memory; want %d", half, c.half)
			}
			in := opstest.Random(p, opstest.Case{}, n, rand.New(rand.NewPCG(9, 1)))
			want, err := eval.Run(p, n, in)
			if err != nil {
				t.Fatal(err)
			}
			got := execute(t, d, k, p, n, Options{Precision: exec.BF16}, in)
			opstest.Compare(t, p, got, want, 1e-2) // factors rounded to 8 bits, 4e-3 each
			wantBits(t, "dw", got["dw"], execute(t, d, k, p, n, Options{Precision: exec.BF16, float32: true}, in)["dw"])
		})
	}
}

// TestWeightsBlocks: blocks of multiples of 16 samples give the same gradients in all bits.
func TestWeightsBlocks(t *testing.T) {
	d, k := device(t)
	const n = 36
	b := program.NewBuilder()
	b.Output("dense", b.Apply(ops.DenseWeight{}, b.Input("g", program.Sample, 66, 96), b.Input("x", program.Sample, 66, 96))[0])
	b.Output("conv", b.Apply(ops.ConvWeight{Conv: ops.Conv{Stride: 1}, KH: 1, KW: 1}, b.Input("gc", program.Sample, 5, 4, 96), b.Input("xc", program.Sample, 5, 4, 104))[0])
	p := b.Program()
	given := opstest.Random(p, opstest.Case{}, n, rand.New(rand.NewPCG(9, 2)))
	want, err := eval.Run(p, n, given)
	if err != nil {
		t.Fatal(err)
	}
	run := func(block int) map[string][]float32 {
		t.Helper()
		x, err := NewExecutor(d, k, p, Options{Precision: exec.BF16, Block: block})
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		b := &general.Batch{N: n, In: map[string][]float32{}, Out: map[string][]float32{"dense": make([]float32, 96*96), "conv": make([]float32, 96*104)}}
		for name, v := range given {
			for _, f := range v {
				b.In[name] = append(b.In[name], float32(f))
			}
		}
		if err := x.RunContext(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		return b.Out
	}
	whole := run(n)
	opstest.Compare(t, p, whole, want, 1e-2) // factors rounded to 8 bits, 4e-3 each
	for name, v := range run(16) {
		if !slices.Equal(v, whole[name]) {
			t.Errorf("%s: blocks of 16 and of %d samples have other results", name, n)
		}
	}
}
