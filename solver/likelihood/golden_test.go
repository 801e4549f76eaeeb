package likelihood

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"hbar/kernels"
	"hbar/kernels/infer"
	"hbar/kernels/simd"
	"hbar/solver"
	"hbar/solver/likelihood/ode"
)

// network reads the dense layers of a safetensors file: an 8-byte length, a JSON header of that length, the numbers.
func network(t testing.TB, name string) *solver.Network {
	t.Helper()
	raw, err := os.ReadFile("testdata/sr_" + name + ".safetensors")
	if err != nil {
		t.Fatal(err)
	}
	body := raw[8+binary.LittleEndian.Uint64(raw):]
	var head map[string]json.RawMessage
	if err := json.Unmarshal(raw[8:len(raw)-len(body)], &head); err != nil {
		t.Fatal(err)
	}
	p := &kernels.Chain{D: 2, Widths: []int{3}}
	for l := range 4 {
		for _, part := range []string{"weight", "bias"} {
			var e struct {
				Shape   []int
				Offsets [2]int `json:"data_offsets"`
			}
			if err := json.Unmarshal(head[fmt.Sprintf("dense%d.%s", l, part)], &e); err != nil {
				t.Fatal(err)
			}
			param := kernels.Param{Rows: e.Shape[0], Cols: 1, Data: make([]float32, (e.Offsets[1]-e.Offsets[0])/4)}
			if len(e.Shape) == 2 {
				param.Cols = e.Shape[1]
			}
			for i := range param.Data {
				param.Data[i] = math.Float32frombits(binary.LittleEndian.Uint32(body[e.Offsets[0]+4*i:]))
			}
			p.Params = append(p.Params, param)
		}
		act := simd.SiLU
		if l == 3 {
			act = simd.Identity
		}
		p.Forward = append(p.Forward, kernels.Instr{Dst: l + 1, Src: l, Add: -1, W: 2 * l, B: 2*l + 1, Act: act})
		p.Widths = append(p.Widths, p.Params[2*l].Rows)
	}
	p.Output = 4
	engine, err := infer.New(p, infer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := solver.NewNetwork(engine, schedule(t, name), solver.Prediction{}, solver.Float64)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// golden are reference values of a network; see testdata/README.md.
type golden struct {
	X         []float64
	Points    [][]float64 `json:"x0"`
	LogQ      []float64   `json:"log_q0"`
	Grad      [][]float64 `json:"score_q0"`
	Laplacian []float64   `json:"laplacian_q0"`
	L1        []float64   `json:"wkb1"`
}

func loadGolden(t testing.TB, name string) golden {
	t.Helper()
	raw, err := os.ReadFile("testdata/golden_sr_" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	for _, p := range g.Points {
		g.X = append(g.X, p...)
	}
	return g
}

// worst is a greatest deviation; NaN counts as infinite.
type worst float64

func (w *worst) see(d float64) {
	if d = math.Abs(d); !(d <= float64(*w)) {
		*w = worst(d)
		if math.IsNaN(d) {
			*w = worst(math.Inf(1))
		}
	}
}

// compare returns the greatest errors: of log q⁰ (absolute), u (relative to its length), Δ and ℓ₁ (relative, absolute
// below one).
func (g golden) compare(t *testing.T, got []Expansion) (logQ, grad, lap, l1 worst) {
	t.Helper()
	for i, e := range got {
		if e.Status != OK {
			t.Fatalf("point %d: %s", i, e.Status)
		}
		logQ.see(e.LogQ - g.LogQ[i])
		grad.see(math.Hypot(e.Grad[0]-g.Grad[i][0], e.Grad[1]-g.Grad[i][1]) / math.Hypot(g.Grad[i][0], g.Grad[i][1]))
		lap.see((e.Laplacian - g.Laplacian[i]) / max(1, math.Abs(g.Laplacian[i])))
		l1.see((e.L1 - g.L1[i]) / max(1, math.Abs(g.L1[i])))
	}
	return logQ, grad, lap, l1
}

// At the default tolerance, 10⁻⁵: log q⁰ to that, the others to a small multiple (they are derivatives of it).
func TestExpandNetworks(t *testing.T) {
	for _, name := range []string{"simple", "cosine"} {
		g, m := loadGolden(t, name), network(t, name)
		got, err := Expand(ctx, m, m.Schedule(), g.X, ExpandOptions{})
		if err != nil {
			t.Fatal(err)
		}
		logQ, grad, lap, l1 := g.compare(t, got)
		evals, jets, longest := 0, 0, 0
		for _, e := range got {
			evals, jets, longest = evals+e.Evals, jets+e.Jets, max(longest, e.Jets)
		}
		t.Logf("%s: errors: log q %.1e, u %.1e, Δ %.1e, ℓ₁ %.1e; evaluations a point: %d values, %d expansions (most %d)",
			name, logQ, grad, lap, l1, evals/len(got), jets/len(got), longest)
		// The solver's tolerance, and what it comes to in derivatives along the path. Measured: a third of each, at most.
		if logQ > 2e-5 || grad > 3e-4 || lap > 2e-3 || l1 > 5e-4 {
			t.Errorf("%s: errors: log q %.1e, u %.1e, Δ %.1e, ℓ₁ %.1e", name, logQ, grad, lap, l1)
		}
	}
}

// Second order on a network: ℓ₁ as before, and a radius that says how soon the slope stops being good.
func TestSecondOrderNetworks(t *testing.T) {
	g, m := loadGolden(t, "simple"), network(t, "simple")
	const n = 8
	got, err := Expand(ctx, m, m.Schedule(), g.X[:2*n], ExpandOptions{Order: 2})
	if err != nil {
		t.Fatal(err)
	}
	jets := 0
	for i, e := range got {
		if e.Status != OK {
			t.Fatalf("point %d: %s", i, e.Status)
		}
		jets += e.Jets
		near(t, "ℓ₁", e.L1, g.L1[i], 5e-4) // the default tolerance, multiplied along the path
		t.Logf("ℓ₁ %.3f ℓ₂ %.1f trust %.2g", e.L1, e.L2, e.Trust)
	}
	t.Logf("%d expansions a point", jets/n)
	tight, err := Expand(ctx, m, m.Schedule(), g.X[:2*n], ExpandOptions{Order: 2, Options: Options{Tol: 1e-7}})
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range got {
		near(t, "ℓ₂", e.L2, tight[i].L2, 1e-3) // the same
	}
}

func TestFlowNetworks(t *testing.T) {
	for _, name := range []string{"simple", "cosine"} {
		g, m := loadGolden(t, name), network(t, name)
		if testing.Short() {
			g.X, g.LogQ = g.X[:16], g.LogQ[:8]
		}
		for _, o := range []Options{{}, {Clock: ClockTime}, {Method: ode.DormandPrince}, {Method: ode.RK4, Steps: 400}} {
			got, err := Flow(ctx, m, m.Schedule(), g.X, FlowOptions{Options: o})
			if err != nil {
				t.Fatal(err)
			}
			var logQ worst
			evals := 0
			for i, p := range got {
				logQ.see(p.LogQ - g.LogQ[i])
				evals += p.Evals
			}
			t.Logf("%s, %+v: error %.1e, %d evaluations a point", name, o, logQ, evals/len(got))
			if logQ > 1e-4 { // the tolerances of these options add up to that
				t.Errorf("%s, %+v: error %.1e", name, o, logQ)
			}
		}
	}
}

func BenchmarkExpandSwissRoll(b *testing.B) {
	g, m := loadGolden(b, "simple"), network(b, "simple")
	var x []float64
	for i := range 1000 {
		x = append(x, g.X[2*(i%32)]+0.01*float64(i/32), g.X[2*(i%32)+1])
	}
	for b.Loop() {
		if _, err := Expand(ctx, m, m.Schedule(), x, ExpandOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Seconds())/float64(b.N), "s/1000points")
}
