package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"hbar/program"
	"hbar/program/diff"
	"hbar/program/eval"
	"hbar/program/ops"
	"hbar/program/ops/opstest"
)

// random draws the inputs of p for n samples, in float32's numbers.
func random(p *program.Program, c opstest.Case, n int, r *rand.Rand) map[string][]float64 {
	in := map[string][]float64{}
	for _, v := range p.Values {
		if v.Role == program.Derived {
			continue
		}
		x := make([]float64, rowsOf(v.Rate, n)*program.Size(v.Shape))
		for k := range x {
			x[k] = float64(float32(r.NormFloat64()))
		}
		var i int
		if got, _ := fmt.Sscanf(v.Name, "in%d", &i); got == 1 {
			for k := range x {
				switch {
				case c.Integer[i]:
					x[k] = float64(r.IntN(4))
				case c.Positive[i]:
					x[k] = 0.5 + math.Abs(x[k])
				}
			}
		}
		in[v.Name] = x
	}
	return in
}

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
		b.Out[o.Name] = make([]float32, rowsOf(v.Rate, n)*program.Size(v.Shape))
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

// compare checks all outputs of p, relative to the largest number of each.
func compare(t *testing.T, p *program.Program, got map[string][]float32, want map[string][]float64, tol float64) {
	t.Helper()
	for _, o := range p.Outputs {
		g, w := got[o.Name], want[o.Name]
		if len(g) != len(w) {
			t.Fatalf("%s: %d numbers; want %d", o.Name, len(g), len(w))
		}
		top := 1e-3
		for _, v := range w {
			top = math.Max(top, math.Abs(v))
		}
		for i := range g {
			if d := math.Abs(float64(g[i]) - w[i]); !(d <= tol*top) {
				t.Errorf("%s[%d] is %g; want %g, at most %g of %g away", o.Name, i, g[i], w[i], tol, top)
				break
			}
		}
	}
}

// TestOps runs every op, its VJP and the JVP of that against the reference, in several blocks. Their float32 sums have tens of
// terms: 2·10⁻⁵ of the largest number is a hundred roundings, which derivatives of norms by plain ops need.
func TestOps(t *testing.T) {
	for i, c := range opstest.Cases {
		t.Run(fmt.Sprintf("%d_%s", i, c.Op.Name()), func(t *testing.T) {
			p, err := c.Program(false)
			if err != nil {
				t.Fatal(err)
			}
			programs := []*program.Program{p}
			leaves, seeds, tangents, seconds := map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}
			for k := range c.In {
				if !c.Integer[k] {
					leaves[fmt.Sprintf("in%d", k)] = fmt.Sprintf("cot%d", k)
					tangents[fmt.Sprintf("in%d", k)] = fmt.Sprintf("tan%d", k)
					seconds[fmt.Sprintf("cot%d", k)] = fmt.Sprintf("second%d", k)
				}
			}
			for k := range p.Outputs {
				seeds[fmt.Sprintf("out%d", k)] = fmt.Sprintf("seed%d", k)
			}
			if len(leaves) > 0 {
				q, err := diff.VJP(p, seeds, leaves)
				if err != nil {
					t.Fatal(err)
				}
				r, err := diff.JVP(q, tangents, seconds)
				if err != nil {
					t.Fatal(err)
				}
				programs = append(programs, q, r)
			}
			const n = 5
			for _, p := range programs {
				in := random(p, c, n, rand.New(rand.NewPCG(3, uint64(i))))
				want, err := eval.Run(p, n, in)
				if err != nil {
					t.Fatal(err)
				}
				got := execute(t, p, n, 1, 0, in)
				compare(t, p, got, want, 2e-5)
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
		in := random(p, opstest.Case{}, 3, rand.New(rand.NewPCG(1, 1)))
		want, err := eval.Run(p, 3, in)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, p, execute(t, p, 3, 2, 2, in), want, 1e-5)
		q, err := diff.VJP(p, map[string]string{"y": "g"}, map[string]string{"x": "gx", "w": "gw", "w2": "gw2", "b": "gb", "v": "gv"})
		if err != nil {
			t.Fatal(err)
		}
		in = random(q, opstest.Case{}, 3, rand.New(rand.NewPCG(1, 2)))
		if want, err = eval.Run(q, 3, in); err != nil {
			t.Fatal(err)
		}
		compare(t, q, execute(t, q, 3, 2, 2, in), want, 1e-5)
	}
}
