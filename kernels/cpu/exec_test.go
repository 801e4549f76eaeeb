package cpu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"hbar/kernels/general"
	"hbar/program"
	"hbar/program/diff"
	"hbar/program/eval"
	"hbar/program/ops"
	"hbar/program/ops/opstest"
)

// execute runs p on the CPU, with the inputs as the reference has them.
func execute(t *testing.T, p *program.Program, n, workers, block int, given map[string][]float64) map[string][]float32 {
	t.Helper()
	team := NewTeam(workers)
	defer team.Close()
	x, err := NewExecutor(p, team, Options{Block: block})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.prog.Check(); err != nil {
		t.Fatal(err)
	}
	b := &Batch{N: n, In: map[string][]float32{}, Wide: map[string][]float64{}, Out: map[string][]float32{}}
	params := map[string][]float32{}
	for _, v := range p.Values {
		f := make([]float32, len(given[v.Name]))
		for i, d := range given[v.Name] {
			f[i] = float32(d)
		}
		switch {
		case v.Role == program.Param:
			params[v.Name] = f
		case v.Role == program.Input && program.Size(v.Shape) == 1:
			b.Wide[v.Name] = given[v.Name]
		case v.Role == program.Input:
			b.In[v.Name] = f
		}
	}
	for _, o := range p.Outputs {
		v := p.Values[o.ID]
		b.Out[o.Name] = make([]float32, general.Rows(v.Rate, n)*program.Size(v.Shape))
	}
	if err := x.SetParams(params); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second run must not see the first
		if err := x.Run(b); err != nil {
			t.Fatal(err)
		}
	}
	return b.Out
}

// TestOps runs every op, its VJP and the JVP of that against the reference, in several blocks. Their float32 sums have tens of
// terms: 2·10⁻⁵ of the largest number is a hundred roundings, which derivatives of norms by plain ops need.
func TestOps(t *testing.T) {
	for i, c := range opstest.Cases {
		t.Run(fmt.Sprintf("%d_%s", i, c.Op.Name()), func(t *testing.T) {
			programs, err := c.Programs()
			if err != nil {
				t.Fatal(err)
			}
			const n = 5
			for _, p := range programs {
				in := opstest.Random(p, c, n, rand.New(rand.NewPCG(3, uint64(i))))
				want, err := eval.Run(p, n, in)
				if err != nil {
					t.Fatal(err)
				}
				got := execute(t, p, n, 1, 0, in)
				opstest.Compare(t, p, got, want, 2e-5) // float32 against float64: sums of some dozen terms, and up to two derivatives of them
				for _, o := range [][2]int{{2, 2}, {3, 1}} {
					again := execute(t, p, n, o[0], o[1], in)
					for name := range got {
						if !slices.Equal(again[name], got[name]) {
							t.Errorf("%s differs with %d workers and blocks of %d", name, o[0], o[1])
						}
					}
				}
			}
		})
	}
}

// TestFusion runs layers with everything that fuses after them, where it may and where another reader forbids it.
func TestFusion(t *testing.T) {
	for _, pre := range []bool{false, true} {
		p, err := program.Build(func(b *program.Builder) {
			x, v := b.Input("x", program.Sample, 6, 5, 3), b.Input("v", program.Sample, 4)
			w, bias, w2 := b.Param("w", 4, 3, 3, 3), b.Param("b", 4), b.Param("w2", 4, 4)
			h := ops.Convolve(b, ops.Same, x, w, bias)
			z := ops.Sum(b, h, v)
			r := ops.Activate(b, ops.SiLU, ops.Linear(b, z, w2, nil))
			y := ops.Sum(b, r, ops.Sum(b, ops.Linear(b, r, w2, nil), ops.Convolve(b, ops.Same, x, w, bias)))
			b.Output("y", y)
			if pre {
				b.Output("z", z)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		in := opstest.Random(p, opstest.Case{}, 3, rand.New(rand.NewPCG(1, 1)))
		want, err := eval.Run(p, 3, in)
		if err != nil {
			t.Fatal(err)
		}
		opstest.Compare(t, p, execute(t, p, 3, 2, 2, in), want, 1e-5) // float32: sums of some dozen terms
		q, err := diff.VJP(p, map[string]string{"y": "g"}, map[string]string{"x": "gx", "w": "gw", "w2": "gw2", "b": "gb", "v": "gv"})
		if err != nil {
			t.Fatal(err)
		}
		in = opstest.Random(q, opstest.Case{}, 3, rand.New(rand.NewPCG(1, 2)))
		if want, err = eval.Run(q, 3, in); err != nil {
			t.Fatal(err)
		}
		opstest.Compare(t, q, execute(t, q, 3, 2, 2, in), want, 1e-5) // float32: sums of some dozen terms
	}
}
