package ops_test

import (
	"testing"

	"hbar/program"
	"hbar/program/eval"
	"hbar/program/ops/opstest"
)

// TestGolden compares values, gradients and tangents with PyTorch's. Both are in float64, and sums have at most some thousand
// terms.
func TestGolden(t *testing.T) {
	const tolerance = 1e-10
	cases, err := opstest.Goldens()
	if err != nil || len(cases) == 0 {
		t.Fatal(len(cases), err)
	}
	for _, g := range cases {
		t.Run(g.Case, func(t *testing.T) {
			c, err := g.Programs()
			if err != nil {
				t.Fatal(err)
			}
			compared := 0
			for _, p := range []*program.Program{c.VJP, c.JVP} {
				check(t, p)
				got, err := eval.Run(p, c.N, c.In)
				if err != nil {
					t.Fatal(err)
				}
				for name, y := range got {
					compared++
					if e := g.Error(name, y, c.Want[name]); !(e <= tolerance) {
						t.Errorf("%s is %.2g away, more than %.2g", name, e, tolerance)
					}
				}
			}
			if want := len(c.Want) + 1; compared != want { // y stands in both programs
				t.Errorf("compared %d results of %d", compared, want)
			}
		})
	}
}
