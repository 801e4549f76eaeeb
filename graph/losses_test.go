package graph

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"hbar/nets"
	"hbar/program"
	"hbar/program/diff"
	"hbar/program/eval"
)

// A network of linear memory, whose recurrence is the operation Scan, is differentiated by gorgonia.Grad: the gradients of its own
// losses are those of the program's VJP.
func TestDifferentiateLosses(t *testing.T) {
	const length, batch = 6, 3
	for _, kind := range nets.MemoryKinds {
		c := nets.Memory{Kind: kind, Inputs: 4, Outputs: 4, Symbols: true, Encoder: 3, Modes: 3, Width: 4, MLP: true, Window: length}
		n, err := c.TrainingLosses(length)
		if err != nil {
			t.Fatal(err)
		}
		n.InitialiseMemory(c, 1)
		in, leaves, names := map[string][]float64{}, map[string]string{}, []string{}
		for i, p := range n.Params {
			names, leaves[p.Name] = append(names, p.Name), GradName(p.Name)
			for _, v := range n.Weights[i] {
				in[p.Name] = append(in[p.Name], float64(v))
			}
		}
		r := rand.New(rand.NewPCG(2, 3))
		in["weight"] = []float64{1, 0.5, 2}
		for _, name := range []string{"x", "target"} {
			in[name] = make([]float64, batch*length*4)
			for i := range batch * length {
				in[name][4*i+r.IntN(4)] = 1
			}
		}
		d, err := DifferentiateLosses(n.Program, names, batch)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Program.Check(); err != nil {
			t.Fatal(err)
		}
		got, err := eval.Run(d.Program, batch, in)
		if err != nil {
			t.Fatal(err)
		}
		p, err := diff.VJP(n.Program, map[string]string{"losses": "g"}, leaves)
		if err != nil {
			t.Fatal(err)
		}
		in["g"] = []float64{1, 1, 1}
		want, err := eval.Run(p, batch, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range leaves {
			size := 0.0
			for i, w := range want[g] {
				size += math.Abs(w)
				if math.Abs(got[g][i]-w) > 1e-12*math.Max(1, math.Abs(w)) { // roundings of the same derivatives in float64
					t.Errorf("%s: %s[%d] is %g, the program's %g", kind, g, i, got[g][i], w)
				}
			}
			if size == 0 {
				t.Errorf("%s: %s is zero", kind, g)
			}
		}
	}
	none, err := program.Build(func(b *program.Builder) { b.Output("losses", b.Input("x", program.Sample, 2)) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DifferentiateLosses(none, nil, 2); err == nil || !strings.Contains(err.Error(), "want [1], one for each sample") {
		t.Errorf("losses of two numbers: %v", err)
	}
}
