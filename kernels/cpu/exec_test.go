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

// TestSharedOutputs: outputs that all samples share are written to the slices of each run, those that change only with parameters too, and to no others.
func TestSharedOutputs(t *testing.T) {
	p, err := program.Build(func(b *program.Builder) {
		c := ops.Linear(b, b.Param("p", 4), b.Param("w", 3, 4), nil)
		b.Output("c", c)
		b.Output("y", b.Apply(ops.Add{}, b.Input("x", program.Sample, 3), c)[0])
		b.Output("s", b.Apply(ops.Scale{A: 2}, b.Input("t", program.Step, 3))[0])
	})
	if err != nil {
		t.Fatal(err)
	}
	team := NewTeam(2)
	defer team.Close()
	x, err := NewExecutor(p, team, Options{})
	if err != nil {
		t.Fatal(err)
	}
	params := map[string][]float32{"p": {1, 2, 3, 4}, "w": {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0}}
	if err := x.SetParams(params); err != nil {
		t.Fatal(err)
	}
	run := func(first float32, outputs ...string) map[string][]float32 {
		b := &Batch{N: 1, In: map[string][]float32{"x": {first, 0, 0}, "t": {first, 0, 0}}, Out: map[string][]float32{}}
		for _, o := range outputs {
			b.Out[o] = make([]float32, 3)
		}
		if err := x.Run(b); err != nil {
			t.Fatal(err)
		}
		return b.Out
	}
	equal := func(what string, got []float32, want ...float32) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v; want %v", what, got, want)
		}
	}
	var runs []map[string][]float32
	for i := range 3 {
		runs = append(runs, run(float32(i), "c", "y", "s"))
	}
	run(7, "y")
	for i, out := range runs {
		equal("what depends on parameters", out["c"], 1, 2, 3)
		equal("a sample", out["y"], 1+float32(i), 2, 3)
		equal("what depends on the step", out["s"], 2*float32(i), 0, 0)
	}
	clear(runs[2]["c"]) // the caller's
	equal("a sample", run(0, "y")["y"], 1, 2, 3)
	params["w"][0] = 5
	x.Changed()
	equal("with another weight", run(0, "c", "y")["c"], 5, 2, 3)
	equal("from the run before", runs[1]["c"], 1, 2, 3)
}

// TestVectorLosses: losses of samples that are single numbers are those of their samples in each block.
func TestVectorLosses(t *testing.T) {
	p, err := program.Build(func(b *program.Builder) {
		loss := b.Apply(ops.SquaredError{}, b.Input("x", program.Sample, 1), b.Input("y", program.Sample, 1), b.Input("w", program.Sample, 1))
		b.Output("loss", loss[0])
		b.Output("twice", b.Apply(ops.Scale{A: 2}, b.Input("x2", program.Sample, 1))[0])
	})
	if err != nil {
		t.Fatal(err)
	}
	team := NewTeam(1)
	defer team.Close()
	x, err := NewExecutor(p, team, Options{Block: 2})
	if err != nil {
		t.Fatal(err)
	}
	b := &Batch{N: 5, Wide: map[string][]float64{"x": {1, 2, 3, 4, 5}, "y": make([]float64, 5), "w": {1, 1, 1, 1, 1}, "x2": make([]float64, 5)},
		WideOut: map[string][]float64{"loss": make([]float64, 5)}}
	if err := x.Run(b); err != nil {
		t.Fatal(err)
	}
	if want := []float64{1, 4, 9, 16, 25}; !slices.Equal(b.WideOut["loss"], want) {
		t.Errorf("losses %v, want %v", b.WideOut["loss"], want)
	}
}
