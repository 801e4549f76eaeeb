package ownscore_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"testing"

	"hbar/checkpoint"
	"hbar/engine"
	"hbar/solver"
	"hbar/solver/likelihood"
	"hbar/solver/ownscore"
)

// The flow of the own score of a trained network beside an independent Fokker–Planck solution: what docs/highdim.md says of it. The fit has
// to lower the loss on what was held out, and how near the flow comes is logged.
func TestNetworkBesideFokkerPlanck(t *testing.T) {
	if testing.Short() {
		t.Skip("some million vector–Jacobian products")
	}
	m, err := checkpoint.Load("../../checkpoint/testdata/sr_simple.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	s, p, err := m.Process("simple")
	if err != nil {
		t.Fatal(err)
	}
	n, err := m.Network()
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(n, engine.Options{Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	net, err := solver.NewNetwork(e.Solver, s, p, solver.Float32)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("../likelihood/testdata/truth_sr_simple.json")
	if err != nil {
		t.Fatal(err)
	}
	var truth struct {
		H      []float64
		LogQ   [][]float64 `json:"log_q"`
		Points [][]float64
	}
	if err := json.Unmarshal(raw, &truth); err != nil {
		t.Fatal(err)
	}
	var x []float64
	for _, q := range truth.Points {
		x = append(x, q...)
	}
	ctx := context.Background()
	plain, err := likelihood.Flow(ctx, net, s, x, likelihood.FlowOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for j, h := range truth.H {
		if h != 1 && h != 0.2 {
			continue
		}
		c, report, err := ownscore.Fit(ctx, net, s, h, ownscore.Options{Path: likelihood.PathOptions{Grid: solver.GridLambda, Steps: 200, Seed: 3}, Paths: 600})
		if err != nil {
			t.Fatal(err)
		}
		own, err := likelihood.Flow(ctx, ownscore.Flow(net, c), s, x, likelihood.FlowOptions{})
		if err != nil {
			t.Fatal(err)
		}
		rms := func(points []likelihood.FlowPoint) (v float64, n int) {
			for i, q := range points {
				if q.Status == likelihood.OK {
					v, n = v+(q.LogQ-truth.LogQ[j][i])*(q.LogQ-truth.LogQ[j][i]), n+1
				}
			}
			return math.Sqrt(v / float64(n)), n
		}
		with, k := rms(own)
		without, _ := rms(plain)
		t.Logf("h = %g: %s, loss %.5f of %.5f; rms of log q over %d points %.3f, with c = 0 %.3f", h, report.Chosen, report.Loss, report.Zero, k, with, without)
		if !(report.Loss < report.Zero) {
			t.Errorf("h = %g: loss %.5f of %.5f", h, report.Loss, report.Zero)
		}
	}
}
