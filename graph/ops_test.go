package graph

import (
	"fmt"
	"testing"

	"hbar/program"
	"hbar/program/eval"
	"hbar/program/ops"
	"hbar/program/ops/opstest"
)

// TestOps has gorgonia.Grad differentiate a loss of every op with respect to all its inputs, and compares the gradients with the
// VJP of the program, and the graph's values with the program's. Each input is that of a case plus a parameter.
func TestOps(t *testing.T) {
	const batch = 2
	compared := 0
	for i, c := range opstest.Cases {
		var params []string
		leaves := map[string]string{}
		p, err := program.Build(func(b *program.Builder) {
			var in []program.Value
			for k, s := range c.In {
				name := fmt.Sprintf("in%d", k)
				var x program.Value
				if c.Shared[k] {
					x = b.Param(name, s...)
				} else {
					x = b.Input(name, program.Sample, s...)
				}
				if !c.Integer[k] {
					moved := "moved " + name
					params, leaves[moved] = append(params, moved), GradName(moved)
					x = ops.Sum(b, x, b.Param(moved, s...))
				}
				if c.Positive[k] {
					x = ops.Activate(b, ops.Exp, x)
				}
				in = append(in, x)
			}
			for k, v := range b.Apply(c.Op, in...) {
				if k == 0 {
					b.Output("out", v)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if p.Values[p.Output("out")].Rate != program.Sample || len(params) == 0 {
			continue // a sum over the batch, which is a derivative itself, or nothing to differentiate
		}
		compared++
		t.Run(fmt.Sprintf("%d_%s", i, c.Op.Name()), func(t *testing.T) {
			d, err := Differentiate(p, params, batch)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Program.Check(); err != nil {
				t.Fatal(err)
			}
			in := inputsOf(d.Program, batch)
			for k := range c.In {
				if x := in[fmt.Sprintf("in%d", k)]; c.Integer[k] {
					for j := range x {
						x[j] = float64((j + k) % 4)
					}
				}
			}
			got, err := eval.Run(d.Program, batch, in)
			if err != nil {
				t.Fatal(err)
			}
			for g, w := range gradientByTransform(t, d.Program, leaves, in, batch) {
				near(t, g, got[g], w, 1e-14) // float64 rounding of the same sums in another order
			}
			byGorgonia(t, d, in, got)
		})
	}
	if compared < 40 {
		t.Errorf("%d ops only", compared)
	}
}
