package fokkerplanck

import (
	"encoding/json"
	"math"
	"os"
	"testing"
	"time"

	"hbar/checkpoint"
	"hbar/kernels"
	"hbar/kernels/infer"
	"hbar/kernels/simd"
	"hbar/solver"
)

// swissRoll is the trained network of checkpoint/testdata: 3-128-128-128-2, SiLU.
func swissRoll(t testing.TB) solver.Model {
	t.Helper()
	m, err := checkpoint.Load("../../checkpoint/testdata/sr_simple.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	p := &kernels.Chain{D: 2, Params: m.Params, Widths: []int{3}, Output: 4}
	for i := range 4 {
		act := simd.SiLU
		if i == 3 {
			act = simd.Identity
		}
		p.Widths = append(p.Widths, m.Params[2*i].Rows)
		p.Forward = append(p.Forward, kernels.Instr{Op: kernels.OpDense, Dst: i + 1, Src: i, Add: -1, W: 2 * i, B: 2*i + 1, Act: act})
	}
	e, err := infer.New(p, infer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := solver.NewNetwork(e, schedule(t, "simple"), solver.Prediction{}, solver.Float32)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSwissRoll compares with testdata/truth_sr_simple.json, an independent program's solution of the same network. It takes
// minutes: HBAR_LONG=1 runs it at all values of h, otherwise only a coarse solution at h = 1 is compared.
func TestSwissRoll(t *testing.T) {
	if testing.Short() {
		t.Skip("evaluates the network ten million times")
	}
	var truth struct {
		Points [][2]float64
		H      []float64
		LogQ   [][]float64 `json:"log_q"`
		Err    [][]float64
	}
	b, err := os.ReadFile("testdata/truth_sr_simple.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &truth); err != nil {
		t.Fatal(err)
	}
	var x []float64
	for _, p := range truth.Points {
		x = append(x, p[:]...)
	}
	hs, o, tol := truth.H, &Options{}, 1e-3
	if os.Getenv("HBAR_LONG") == "" {
		hs, o, tol = []float64{1}, &Options{MaxN: 192, Spacing: 0.1, Tolerance: 1e-3, Unchecked: true}, 5e-3
	}
	start := time.Now()
	sols := solve(t, swissRoll(t), schedule(t, "simple"), hs, o)
	t.Logf("%d values of h in %v", len(hs), time.Since(start).Round(time.Second/10))
	for _, s := range sols {
		at := 0
		for truth.H[at] != s.H {
			at++
		}
		v, err := s.LogQ(x)
		if err != nil {
			t.Fatal(err)
		}
		worst, given, ratio := 0.0, 0.0, 0.0
		for i, v := range v {
			diff := math.Abs(v.LogQ - truth.LogQ[at][i])
			worst, given = max(worst, diff), max(given, v.Err)
			ratio = max(ratio, diff/(v.Err+truth.Err[at][i]))
			if v.Status != OK || s.H >= 0.05 && !(diff <= tol) || !o.Unchecked && !(diff <= v.Err+truth.Err[at][i]) {
				t.Errorf("h = %g: log q%.3g = %.5f ± %.1g (%v), want %.5f ± %.1g", s.H, x[2*i:2*i+2], v.LogQ, v.Err, v.Status, truth.LogQ[at][i], truth.Err[at][i])
			}
		}
		t.Logf("h = %g: off by at most %.1g, largest error given %.1g, worst ratio %.2g, ∫|q−q_coarse| = %.1g, %+v", s.H, worst, given, ratio, s.Difference, s.Density.Run)
	}
}
