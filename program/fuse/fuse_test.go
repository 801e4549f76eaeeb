package fuse

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"hbar/program"
	"hbar/program/diff"
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

// Probabilities are kept where there is a backward pass, from the last attention on, as far as they are not too large together.
func TestKeepProbabilities(t *testing.T) {
	const channels = 4
	for _, c := range []struct {
		name         string
		tokens, keys int
		heads        int
		separate     bool // queries, keys and values are values of their own
		layers, kept int
	}{
		{"joined", 7, 7, 2, false, 2, 2},
		{"separate", 7, 7, 2, true, 2, 2},
		{"all fit", 1024, 1024, 2, true, 4, 4},
		{"one too many", 1024, 1024, 2, true, 5, 4},
		{"too large", 4096, 2049, 1, true, 1, 0},
	} {
		p, err := program.Build(func(b *program.Builder) {
			x, m := b.Input("x", program.Sample, c.tokens, channels), b.Input("m", program.Sample, c.keys, channels)
			for i := range c.layers {
				k, v := m, m
				if !c.separate {
					qkv := ops.Linear(b, x, b.Param(fmt.Sprint("w", i), 3*channels, channels), nil)
					part := func(i int) program.Value {
						return b.Apply(ops.Slice{Lo: i * channels, Hi: (i + 1) * channels}, qkv)[0]
					}
					x, k, v = part(0), part(1), part(2)
				}
				x = b.Apply(ops.Attention{Heads: c.heads}, x, k, v)[0]
			}
			b.Output("y", x)
		})
		if err != nil {
			t.Fatal(err)
		}
		if found := count[KeptAttention](Program(p, KeepProbabilities)); found != 0 {
			t.Errorf("%s: %d attentions without a backward pass keep probabilities", c.name, found)
		}
		p, err = diff.VJP(p, map[string]string{"y": "g"}, map[string]string{"x": "gx", "m": "gm"})
		if err != nil {
			t.Fatal(err)
		}
		fused := Program(p, KeepProbabilities)
		if err := fused.Check(); err != nil {
			t.Fatal(err)
		}
		if found := count[KeptAttention](fused); found != c.kept {
			t.Errorf("%s: %d attentions keep probabilities; want %d", c.name, found, c.kept)
		}
		if count[KeptAttention](Program(p)) != 0 {
			t.Errorf("%s: probabilities are kept for a back end that has not asked", c.name)
		}
		if c.tokens > 7 {
			continue
		}
		in := opstest.Random(p, opstest.Case{}, 3, rand.New(rand.NewPCG(1, 2)))
		want, err := eval.Run(p, 3, in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := eval.Run(fused, 3, in)
		if err != nil {
			t.Fatal(err)
		}
		for name := range want {
			for i, v := range want[name] {
				if got[name][i] != v { // the same arithmetic
					t.Errorf("%s: %s: element %d is %g, want %g", c.name, name, i, got[name][i], v)
				}
			}
		}
	}
}

// The probabilities that are kept are softmax(q kᵀ/√d), row by row.
func TestKeptProbabilities(t *testing.T) {
	const T, S, heads, width = 3, 5, 2, 4
	op := KeptAttention{ops.Attention{Heads: heads}}
	r := rand.New(rand.NewPCG(3, 4))
	random := func(rows int) program.Tensor {
		x := program.Tensor{Shape: []int{rows, heads * width}, Data: make([]float64, rows*heads*width)}
		for i := range x.Data {
			x.Data[i] = r.NormFloat64()
		}
		return x
	}
	in := []program.Tensor{random(T), random(S), random(S)}
	shapes, err := op.Shapes([][]int{in[0].Shape, in[1].Shape, in[2].Shape})
	if err != nil {
		t.Fatal(err)
	}
	var out []program.Tensor
	for _, s := range shapes {
		out = append(out, program.Tensor{Shape: s, Data: make([]float64, program.Size(s))})
	}
	op.Reference(in, out)
	for h := range heads {
		for q := range T {
			e, sum := make([]float64, S), 0.0
			for k := range S {
				dot := 0.0
				for c := h * width; c < (h+1)*width; c++ {
					dot += in[0].Data[q*heads*width+c] * in[1].Data[k*heads*width+c]
				}
				e[k] = math.Exp(dot / 2) // √width
				sum += e[k]
			}
			for k := range S {
				if got, want := out[1].Data[(h*T+q)*16+k], e[k]/sum; math.Abs(got-want) > 1e-14 { // some roundings
					t.Errorf("head %d, query %d, key %d: %g, want %g", h, q, k, got, want)
				}
			}
		}
	}
}

// count is the number of instructions with an operation of a type.
func count[Op program.Op](p *program.Program) int {
	n := 0
	for _, in := range p.Instrs {
		if _, ok := in.Op.(Op); ok {
			n++
		}
	}
	return n
}
