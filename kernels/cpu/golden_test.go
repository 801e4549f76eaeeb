package cpu

import (
	"slices"
	"testing"

	"hbar/kernels/simd"
	"hbar/program"
	"hbar/program/ops/opstest"
)

// goldenCase is a case of PyTorch's.
type goldenCase struct{ *opstest.Golden }

func (c *goldenCase) f32(t *testing.T, name string) []float32 {
	x, ok := c.Tensors[name]
	if !ok {
		t.Fatalf("%s: no tensor %s", c.Case, name)
	}
	y, err := x.Float32()
	if err != nil {
		t.Fatal(err)
	}
	return append([]float32(nil), y...)
}

func (c *goldenCase) shape(name string) []int { return c.Tensors[name].Shape }

func (c *goldenCase) num(attr string) float64 { return c.Golden.Num(attr) }

// channelsLast is a tensor [N, C, positions…] as [N, positions…, C].
func (c *goldenCase) channelsLast(t *testing.T, name string) []float32 {
	s := c.shape(name)
	return swap(c.f32(t, name), s[0], s[1], positions(s))
}

func positions(s []int) int {
	p := 1
	for _, v := range s[2:] {
		p *= v
	}
	return p
}

// swap turns [n, a, b] into [n, b, a].
func swap(x []float32, n, a, b int) []float32 {
	y := make([]float32, len(x))
	for s := range n {
		for i := range a {
			for j := range b {
				y[(s*b+j)*a+i] = x[(s*a+i)*b+j]
			}
		}
	}
	return y
}

func loadGolden(t *testing.T) []*opstest.Golden {
	cases, err := opstest.Goldens()
	if err != nil || len(cases) == 0 {
		t.Fatal(len(cases), err)
	}
	return cases
}

// eachImpl runs f with every implementation of the inner loops.
func eachImpl(t *testing.T, f func(t *testing.T, im *simd.Impl)) {
	for _, im := range simd.All() {
		t.Run(im.Name, func(t *testing.T) { f(t, im) })
	}
}

// results are a layer's arrays by the names of the tensors they answer to, channels last.
type results map[string][]float32

// norms are the cases whose tangents, dy, have no routine: they are programs of plainer ones, which TestGoldenPrograms compares.
var norms = []string{"group_norm", "layer_norm", "adaln"}

// compare fails where a result is further from the golden value than its tolerance. All results must be there.
func (c *goldenCase) compare(t *testing.T, got results, last bool) {
	t.Helper()
	for name, tol := range c.Tolerance {
		if name == "dy" && slices.Contains(norms, c.Op) {
			continue
		}
		y, want := got[name], c.Tensors[name].F64
		if s := c.shape(name); last && len(s) > 2 && len(y) == len(want) {
			y = swap(y, s[0], positions(s), s[1])
		}
		if e := c.Error(name, widened(y), want); !(e <= tol) {
			t.Errorf("%s: %s: error %.2g, allowed %.2g", c.Case, name, e, tol)
		}
	}
}

// programsOnly are the cases of TestGoldenPrograms that TestGolden leaves out: products, whose routines take packed weights, and
// modulation, which is a program of several steps.
var programsOnly = []string{"conv2d", "conv1d", "linear", "patchify", "modulate"}

// TestGolden compares every layer, except programsOnly, with PyTorch in float64.
func TestGolden(t *testing.T) {
	cases := loadGolden(t)
	eachImpl(t, func(t *testing.T, im *simd.Impl) {
		team := NewTeam(2)
		defer team.Close()
		team.Impl = im
		for _, g := range cases {
			run, ok := goldenLayers[g.Op]
			if slices.Contains(programsOnly, g.Op) {
				continue
			}
			if !ok {
				t.Errorf("no layer for %s", g.Op)
				continue
			}
			c := &goldenCase{g}
			got, last := run(t, team, c)
			c.compare(t, got, last)
		}
	})
}

// TestGoldenPrograms runs all cases, with their gradients and tangents, as programs. It asks for 1e-5 where PyTorch's own
// float32 is worse.
func TestGoldenPrograms(t *testing.T) {
	for _, g := range loadGolden(t) {
		t.Run(g.Case, func(t *testing.T) {
			c, err := g.Programs()
			if err != nil {
				t.Fatal(err)
			}
			compared := 0
			for _, p := range []*program.Program{c.VJP, c.JVP} {
				for name, y := range execute(t, p, c.N, 2, 1, c.In) {
					compared++
					tol := min(g.Tolerance[name], 1e-5) // what the file allows for float32; 1e-5 is enough for its sums of some dozen terms
					if e := g.Error(name, widened(y), c.Want[name]); !(e <= tol) {
						t.Errorf("%s is %.2g away, more than %.2g", name, e, tol)
					}
				}
			}
			if want := len(c.Want) + 1; compared != want { // y stands in both programs
				t.Errorf("compared %d results of %d", compared, want)
			}
		})
	}
}

func widened(s []float32) []float64 {
	w := make([]float64, len(s))
	for i, v := range s {
		w[i] = float64(v)
	}
	return w
}
