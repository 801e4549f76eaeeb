package ops_test

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

const batch = 2

// opCase is a case with the methods of this test.
type opCase struct{ opstest.Case }

func (c opCase) build(t *testing.T, fallback bool) *program.Program {
	t.Helper()
	return must(t)(c.Program(fallback))
}

func check(t *testing.T, p *program.Program) {
	t.Helper()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
}

type arrays = map[string][]float64

// inputs draws random numbers for all inputs and parameters of p.
func (c opCase) inputs(p *program.Program, r *rand.Rand) arrays {
	in := arrays{}
	for _, v := range p.Values {
		if v.Role == program.Derived {
			continue
		}
		x := make([]float64, rows(v)*program.Size(v.Shape))
		for k := range x {
			x[k] = r.NormFloat64()
		}
		var i int
		if n, _ := fmt.Sscanf(v.Name, "in%d", &i); n == 1 {
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

func rows(v program.Info) int {
	if v.Rate == program.Sample {
		return batch
	}
	return 1
}

func run(t *testing.T, p *program.Program, in arrays) arrays {
	t.Helper()
	check(t, p)
	out, err := eval.Run(p, batch, in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// near compares arrays relative to the largest number of want, or 1.
func near(t *testing.T, what string, got, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d numbers; want %d", what, len(got), len(want))
		return
	}
	top := 1.0
	for _, x := range want {
		top = math.Max(top, math.Abs(x))
	}
	for i := range got {
		if !(math.Abs(got[i]-want[i]) <= tol*top) {
			t.Errorf("%s: [%d] is %.12g; want %.12g", what, i, got[i], want[i])
			return
		}
	}
}

func walk(t *testing.T, f func(t *testing.T, c opCase, r *rand.Rand)) {
	for i, c := range opstest.Cases {
		t.Run(fmt.Sprintf("%d_%s", i, c.Op.Name()), func(t *testing.T) {
			f(t, opCase{c}, rand.New(rand.NewPCG(1, uint64(i))))
		})
	}
}

// TestFallbacks compares fused ops with the plain ones. Both sum some tens of terms in float64.
func TestFallbacks(t *testing.T) {
	walk(t, func(t *testing.T, c opCase, r *rand.Rand) {
		if _, ok := c.Op.(program.Fused); !ok {
			return
		}
		p := c.build(t, false)
		in := c.inputs(p, r)
		got, want := run(t, c.build(t, true), in), run(t, p, in)
		for name := range want {
			near(t, name, got[name], want[name], 1e-14) // float64 rounding of small sums in another order
		}
	})
}

// directions are names for tangents of all inputs that have a derivative.
func (c opCase) directions(prefix string) map[string]string {
	m := map[string]string{}
	for i := range c.In {
		if !c.Integer[i] {
			m[fmt.Sprintf("in%d", i)] = fmt.Sprintf("%s%d", prefix, i)
		}
	}
	return m
}

func named(p *program.Program, prefix string) map[string]string {
	m := map[string]string{}
	for i := range p.Outputs {
		m[fmt.Sprintf("out%d", i)] = fmt.Sprintf("%s%d", prefix, i)
	}
	return m
}

func must(t *testing.T) func(p *program.Program, err error) *program.Program {
	return func(p *program.Program, err error) *program.Program {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		check(t, p)
		return p
	}
}

// shifted is in + s·direction for the inputs that have one.
func shifted(in arrays, dirs map[string]string, s float64) arrays {
	out := arrays{}
	for name, x := range in {
		y := append([]float64(nil), x...)
		if d, ok := dirs[name]; ok {
			for i := range y {
				y[i] += s * in[d][i]
			}
		}
		out[name] = y
	}
	return out
}

// slope is the derivative of p's outputs along a direction by differences of fourth order, whose error at this step is some
// 1e-11 of the fifth derivative, and rounding.
func slope(t *testing.T, p *program.Program, in arrays, dirs map[string]string) arrays {
	const h = 1e-3
	at := func(s float64) arrays { return run(t, p, shifted(in, dirs, s)) }
	a, b, c, d := at(-2*h), at(-h), at(h), at(2*h)
	out := arrays{}
	for name := range a {
		y := make([]float64, len(a[name]))
		for i := range y {
			y[i] = (a[name][i] - 8*b[name][i] + 8*c[name][i] - d[name][i]) / (12 * h)
		}
		out[name] = y
	}
	return out
}

// differences is what slope's error may be, relative: h⁴/30 times a fifth derivative of up to 10⁵.
const differences = 1e-7

func dot(a, b []float64) float64 {
	s := 0.0
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

// TestDerivatives compares JVP with differences of the op, JVP with VJP by ⟨g, J d⟩ = ⟨Jᵀ g, d⟩, JVP of JVP and of VJP with
// differences of the first, and likewise a third time.
func TestDerivatives(t *testing.T) {
	walk(t, func(t *testing.T, c opCase, r *rand.Rand) {
		dirs := c.directions("d")
		if len(dirs) == 0 {
			return // only integers go in
		}
		p := c.build(t, false)
		tangents := must(t)(diff.JVP(p, dirs, named(p, "t")))
		cots := map[string]string{}
		for name, d := range dirs {
			cots[name] = "c" + d
		}
		back := must(t)(diff.VJP(p, named(p, "g"), cots))

		in := c.inputs(tangents, r)
		for name, x := range c.inputs(back, r) {
			if _, ok := in[name]; !ok {
				in[name] = x
			}
		}
		jvp, vjp := run(t, tangents, in), run(t, back, in)
		want := slope(t, p, in, dirs)
		left, right := 0.0, 0.0
		for i := range p.Outputs {
			near(t, fmt.Sprintf("tangent of output %d", i), jvp[fmt.Sprintf("t%d", i)], want[fmt.Sprintf("out%d", i)], differences)
			left += dot(jvp[fmt.Sprintf("t%d", i)], in[fmt.Sprintf("g%d", i)])
		}
		for name, d := range dirs {
			right += dot(vjp[cots[name]], in[d])
		}
		near(t, "⟨Jᵀg, d⟩", []float64{right}, []float64{left}, 1e-13) // float64 rounding of sums over all elements
		higher(t, back, in, dirs)
	})
}

// higher compares derivatives of the cotangents with differences: JVP of VJP; then VJP of JVP by its inner product with the
// first; then JVP of the last.
func higher(t *testing.T, back *program.Program, in arrays, dirs map[string]string) {
	outs, seeds := map[string]string{}, map[string]string{}
	for _, o := range back.Outputs {
		outs[o.Name] = "second_" + o.Name
		seeds["second_"+o.Name] = "seed_" + o.Name
	}
	second := must(t)(diff.JVP(back, dirs, outs))
	want := slope(t, back, in, dirs)
	got := run(t, second, in)
	for name, s := range outs {
		near(t, s, got[s], want[name], differences)
	}
	third := map[string]string{}
	for name := range dirs {
		third[name] = "third_" + name
	}
	q := must(t)(diff.VJP(second, seeds, third))
	r := rand.New(rand.NewPCG(7, 7))
	for name, seed := range seeds {
		in[seed] = make([]float64, len(got[name]))
		for i := range in[seed] {
			in[seed][i] = r.NormFloat64()
		}
	}
	left, right := 0.0, 0.0
	rates := slope(t, second, in, dirs)
	for name, seed := range seeds {
		left += dot(rates[name], in[seed])
	}
	cot := run(t, q, in)
	for name, d := range dirs {
		right += dot(cot[third[name]], in[d])
	}
	near(t, "third derivative", []float64{right}, []float64{left}, 10*differences)
}

// TestShapeErrors gives each op one input too many: its rule must refuse, without a panic.
func TestShapeErrors(t *testing.T) {
	walk(t, func(t *testing.T, c opCase, _ *rand.Rand) {
		in := append(append([][]int(nil), c.In...), []int{2, 3, 4, 5, 6, 7}, []int{1})
		if _, err := c.Op.Shapes(in); err == nil {
			t.Errorf("%v is accepted", in)
		}
	})
}

func TestBuildErrors(t *testing.T) {
	_, err := program.Build(func(b *program.Builder) {
		x := b.Input("x", program.Sample, 8, 8, 3)
		ops.Convolve(b, ops.Same, x, b.Param("w", 4, 3, 3, 2), nil)
	})
	const want = "conv2d of [[8 8 3] [4 3 3 2]]: an image of 3 channels meets weights for 2"
	if err == nil || err.Error() != want {
		t.Errorf("error %q; want %q", err, want)
	}
}
