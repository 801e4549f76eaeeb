package chain

import (
	"reflect"
	"strings"
	"testing"

	"hbar/kernels"
	"hbar/kernels/simd"
	"hbar/nets"
	"hbar/program"
	"hbar/program/ops"
)

func chainOf(t *testing.T, s nets.MLP) *kernels.Chain {
	t.Helper()
	n, err := nets.New(s)
	if err != nil {
		t.Fatal(err)
	}
	ps, err := s.Initial(1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Of(n.Program, ps)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOf(t *testing.T) {
	c := chainOf(t, nets.MLP{D: 2, Width: 5, Depth: 2, Act: "gelu"})
	want := []kernels.Instr{
		{Dst: 1, Src: 0, Add: -1, W: 0, B: 1, Act: simd.GELU},
		{Dst: 2, Src: 1, Add: -1, W: 2, B: 3, Act: simd.GELU},
		{Dst: 3, Src: 2, Add: -1, W: 4, B: 5, Act: simd.Identity},
	}
	if !reflect.DeepEqual(c.Forward, want) || !reflect.DeepEqual(c.Widths, []int{3, 5, 5, 2}) || c.Output != 3 || c.D != 2 {
		t.Errorf("forward %+v, widths %v, output %d", c.Forward, c.Widths, c.Output)
	}
	const input, params = kernels.BackInput, kernels.BackParams
	back := []kernels.BackInstr{ // each product carries the activation's derivative; no ∂loss/∂x
		{Op: input, Dst: 1, Src: 0, Add: -1, X: -1, Act: 2, W: 4, B: -1},
		{Op: input, Dst: 2, Src: 1, Add: -1, X: -1, Act: 1, W: 2, B: -1},
		{Op: params, Dst: -1, Src: 0, Add: -1, X: 2, Act: -1, W: 4, B: 5},
		{Op: params, Dst: -1, Src: 1, Add: -1, X: 1, Act: -1, W: 2, B: 3},
		{Op: params, Dst: -1, Src: 2, Add: -1, X: 0, Act: -1, W: 0, B: 1},
	}
	if tr := Training(c); !reflect.DeepEqual(tr.Backward, back) || tr.LossGrad != 0 {
		t.Errorf("backward %+v", tr.Backward)
	}
}

func TestResidual(t *testing.T) {
	c := chainOf(t, nets.MLP{D: 2, Width: 5, Depth: 3, Act: "silu", Residual: true, Fourier: 2, FourierScale: 1})
	for i, add := range []int{-1, 1, 2, -1} {
		if c.Forward[i].Add != add {
			t.Errorf("layer %d adds buffer %d; want %d", i, c.Forward[i].Add, add)
		}
	}
	if len(c.Time.Freqs) != 2 || len(c.Params) != 8 {
		t.Errorf("%d frequencies, %d parameters", len(c.Time.Freqs), len(c.Params))
	}
	// h₃ has one gradient that is used twice; h₂ the same plus its own; h₁ one that is used once, so all is one product.
	const input, act = kernels.BackInput, kernels.BackAct
	back := []kernels.BackInstr{
		{Op: input, Dst: 1, Src: 0, Add: -1, X: -1, Act: -1, W: 6, B: -1},
		{Op: act, Dst: 2, Src: 1, Add: -1, X: -1, Act: 3, W: -1, B: -1},
		{Op: input, Dst: 3, Src: 2, Add: 1, X: -1, Act: -1, W: 4, B: -1},
		{Op: act, Dst: 4, Src: 3, Add: -1, X: -1, Act: 2, W: -1, B: -1},
		{Op: input, Dst: 5, Src: 4, Add: 3, X: -1, Act: 1, W: 2, B: -1},
	}
	if got := Training(c).Backward[:5]; !reflect.DeepEqual(got, back) {
		t.Errorf("backward %+v", got)
	}
}

// TestRejects gives programs that a fused executor would compute wrongly.
func TestRejects(t *testing.T) {
	type build = func(b *program.Builder, h program.Value, w, v []program.Value) program.Value
	dense := func(b *program.Builder, x program.Value, p []program.Value) program.Value {
		return ops.Linear(b, x, p[0], p[1])
	}
	for name, c := range map[string]struct {
		build build
		want  string
	}{
		"activation of the input": {func(b *program.Builder, h program.Value, w, v []program.Value) program.Value {
			return dense(b, ops.Activate(b, ops.SiLU, h), w)
		}, "silu: it does not follow a layer"},
		"activation twice": {func(b *program.Builder, h program.Value, w, v []program.Value) program.Value {
			return ops.Activate(b, ops.SiLU, ops.Activate(b, ops.Tanh, dense(b, h, w)))
		}, "silu: it does not follow a layer"},
		"another activation": {func(b *program.Builder, h program.Value, w, v []program.Value) program.Value {
			return dense(b, ops.Activate(b, ops.GELUTanh, dense(b, h, w)), v)
		}, "gelu_tanh: it does not follow a layer"},
		"sum and activation of one layer": {func(b *program.Builder, h program.Value, w, v []program.Value) program.Value {
			z := dense(b, h, w)
			return ops.Sum(b, z, ops.Activate(b, ops.Tanh, z))
		}, "tanh: it does not follow a layer"},
		"a residual to an earlier layer": {func(b *program.Builder, h program.Value, w, v []program.Value) program.Value {
			y := ops.Activate(b, ops.Tanh, dense(b, h, w))
			return ops.Sum(b, ops.Activate(b, ops.Tanh, dense(b, y, v)), y)
		}, "add: its terms"},
		"a product": {func(b *program.Builder, h program.Value, w, v []program.Value) program.Value {
			return ops.Product(b, dense(b, h, w), dense(b, h, w))
		}, "mul: a chain has dense layers"},
		"no layer at the end": {func(b *program.Builder, h program.Value, w, v []program.Value) program.Value {
			return h
		}, "the output is not that of the last layer"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := program.Build(func(b *program.Builder) {
				x, tau := b.Input("x", program.Sample, 2), b.Input("t", program.Sample, 1)
				w := []program.Value{b.Param("w", 3, 3), b.Param("b", 3)}
				v := []program.Value{b.Param("w1", 3, 3), b.Param("b1", 3)}
				b.Output("out", c.build(b, ops.Join(b, x, tau), w, v))
			})
			if err != nil {
				t.Fatal(err)
			}
			params := []kernels.Param{{Rows: 3, Cols: 3, Data: make([]float32, 9)}, {Rows: 3, Cols: 1, Data: make([]float32, 3)},
				{Rows: 3, Cols: 3, Data: make([]float32, 9)}, {Rows: 3, Cols: 1, Data: make([]float32, 3)}}
			if _, err := Of(p, params); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v; want %q", err, c.want)
			}
		})
	}
}
