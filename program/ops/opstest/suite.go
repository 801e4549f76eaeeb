package opstest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"hbar/program"
	"hbar/program/diff"
)

// Programs are the op alone, its VJP and the JVP of that.
func (c Case) Programs() ([]*program.Program, error) {
	p, err := c.Program(false)
	if err != nil {
		return nil, err
	}
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
	if len(leaves) == 0 {
		return []*program.Program{p}, nil
	}
	q, err := diff.VJP(p, seeds, leaves)
	if err != nil {
		return nil, err
	}
	r, err := diff.JVP(q, tangents, seconds)
	return []*program.Program{p, q, r}, err
}

// Random draws the inputs of p for n samples, in float32's numbers; in0, in1, … as c wants them.
func Random(p *program.Program, c Case, n int, r *rand.Rand) map[string][]float64 {
	in := map[string][]float64{}
	for _, v := range p.Values {
		if v.Role == program.Derived {
			continue
		}
		rows := 1
		if v.Rate == program.Sample {
			rows = n
		}
		x := make([]float64, rows*program.Size(v.Shape))
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

// Compare checks all outputs of p, relative to the largest number of each.
func Compare(t testing.TB, p *program.Program, got map[string][]float32, want map[string][]float64, tol float64) {
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
