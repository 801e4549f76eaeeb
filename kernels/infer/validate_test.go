package infer

import (
	"math"
	"strings"
	"testing"

	"hbar/kernels"
)

func TestNewRefuses(t *testing.T) {
	nan := float32(math.NaN())
	for want, spoil := range map[string]func(p *kernels.Chain){
		"D = 0":                          func(p *kernels.Chain) { p.D = 0 },
		"without buffers":                func(p *kernels.Chain) { p.Forward = nil },
		"buffer 0 has width 3, want 4":   func(p *kernels.Chain) { p.Time.Freqs = []float32{1} },
		"buffer 2 has width 0":           func(p *kernels.Chain) { p.Widths[2] = 0 },
		"time frequency 1 is NaN":        func(p *kernels.Chain) { p.Time.Freqs = []float32{1, nan}; p.Widths[0] = 6 },
		"dense1.weight[1,2] is NaN":      func(p *kernels.Chain) { p.Params[2].Data[p.Params[2].Cols+2] = nan },
		"dense2.bias[0,0] is +Inf":       func(p *kernels.Chain) { p.Params[5].Data[0] = float32(math.Inf(1)) },
		"(dense0.bias) is 128×1 with 1 ": func(p *kernels.Chain) { p.Params[1].Data = p.Params[1].Data[:1] },
		"instruction 0: operation 9":     func(p *kernels.Chain) { p.Forward[0].Op = 9 },
		"activation Act(77)":             func(p *kernels.Chain) { p.Forward[1].Act = 77 },
		"destination buffer 0":           func(p *kernels.Chain) { p.Forward[0].Dst = 0 },
		"written twice":                  func(p *kernels.Chain) { p.Forward[1].Dst = 1 },
		"source buffer 3 is not written": func(p *kernels.Chain) { p.Forward[1].Src = 3 },
		"added buffer 3 is not written":  func(p *kernels.Chain) { p.Forward[1].Add = 3 },
		"added buffer 0 has width 3":     func(p *kernels.Chain) { p.Forward[1].Add = 0 },
		"weight 99 or bias":              func(p *kernels.Chain) { p.Forward[1].W = 99 },
		"want 128×128 (out×in)":          func(p *kernels.Chain) { p.Forward[1].W = 0 },
		"bias dense0.weight is 128×3":    func(p *kernels.Chain) { p.Forward[1].B = 0 },
		"output is buffer 9":             func(p *kernels.Chain) { p.Output = 9 },
		"output is buffer 0":             func(p *kernels.Chain) { p.Output = 0 },
		"output has width 128, want D":   func(p *kernels.Chain) { p.Output = 1 },
	} {
		p := shapes[0].program()
		spoil(p)
		_, err := New(p, Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	if _, err := New(nil, Options{}); err == nil {
		t.Error("nil program accepted")
	}
}

// An engine keeps its own weights.
func TestEngineCopies(t *testing.T) {
	p := shapes[0].program()
	e := newEngine(t, p, Options{})
	x, tau := points(3, 2)
	a, a64, b, b64 := make([]float32, 6), make([]float64, 6), make([]float32, 6), make([]float64, 6)
	run := func(y []float32, y64 []float64) {
		if err := e.Forward(ctx, y, narrow(x), tau); err != nil {
			t.Fatal(err)
		}
		if err := e.Forward64(ctx, y64, x, tau); err != nil {
			t.Fatal(err)
		}
	}
	e2 := newEngine(t, p, Options{})
	if err := e2.Forward64(ctx, a64, x, tau); err != nil {
		t.Fatal(err)
	}
	for _, q := range p.Params {
		clear(q.Data)
	}
	run(a, b64)
	run(b, b64)
	same(t, "float64", a64, b64)
	same(t, "float32", a, b)
	if a[0] == 0 {
		t.Error("the weights were cleared")
	}
}

func TestCallsRefuse(t *testing.T) {
	e := newEngine(t, shapes[0].program(), Options{})
	big := newEngine(t, shapes[6].program(), Options{})
	f := func(n int) []float32 { return make([]float32, n) }
	g := func(n int) []float64 { return make([]float64, n) }
	one := []float64{0.5}
	inf := math.Inf(1)
	no := kernels.Noise{}
	row := kernels.Row{Tau: 0.5, Cin: 1, State: 1}
	bad := row
	bad.Net = inf
	for want, err := range map[string]error{
		"x has 5 elements":            e.Forward(ctx, f(5), f(5), one),
		"dst has 4 elements, want 6":  e.Forward(ctx, f(4), f(6), one),
		"2 times for 3 samples":       e.Forward(ctx, f(6), f(6), g(2)),
		"time 0 is NaN":               e.Forward(ctx, f(6), f(6), []float64{math.NaN()}),
		"jv has 6 elements, want 12":  e.Tangent(ctx, nil, f(6), f(6), nil, 2, one),
		"1 directions":                e.Tangent(ctx, nil, f(6), f(6), nil, 1, one),
		"v has 6 elements, want 18":   e.Tangent(ctx, nil, f(18), f(6), f(6), 3, one),
		"without div":                 e.Divergence(ctx, nil, nil, f(6), nil, 2, one),
		"div has 2 elements, want 3":  e.Divergence(ctx, nil, g(2), f(6), nil, 2, one),
		"order 6":                     e.Jets64(ctx, g(2), g(2), one, 6),
		"D = 17 dimensions":           big.Jets32(ctx, f(17*18), f(17), one, 1),
		"dst has 2 elements, want 20": e.Jets64(ctx, g(2), g(2), one, 3),
		"W but not V":                 e.Adjoint64(ctx, &kernels.Adjoint[float64]{X: g(2), W: g(2)}, one),
		"CovSV or SV":                 e.Adjoint64(ctx, &kernels.Adjoint[float64]{X: g(2), CovSV: g(2)}, one),
		"CovSW, CovSVW, SW or SVW":    e.Adjoint64(ctx, &kernels.Adjoint[float64]{X: g(2), V: g(2), CovSVW: g(2)}, one),
		"Adjoint CovS has 3":          e.Adjoint64(ctx, &kernels.Adjoint[float64]{X: g(2), CovS: g(3)}, one),
		"m has 2 elements, want 4":    e.Trajectory(ctx, f(4), f(2), []kernels.Row{row}, no, nil),
		"row 1 of the step table":     e.Trajectory(ctx, f(4), nil, []kernels.Row{row, bad}, no, nil),
		"path of 1 states":            e.PathWeights(ctx, f(4), g(2), make([]kernels.PathRow, 1), no, nil),
		"logw has 1 elements":         e.PathWeights(ctx, f(4), g(1), make([]kernels.PathRow, 2), no, nil),
		"without noise":               e.PathWeights(ctx, f(4), g(2), make([]kernels.PathRow, 2), no, nil),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	// No samples are no error.
	for _, err := range []error{
		e.Forward(ctx, nil, nil, one), e.Divergence(ctx, nil, g(0), nil, nil, 2, one), e.Jets64(ctx, nil, nil, one, 3),
		e.Adjoint64(ctx, &kernels.Adjoint[float64]{}, one), e.Trajectory(ctx, nil, nil, []kernels.Row{row}, no, nil),
	} {
		if err != nil {
			t.Error(err)
		}
	}
}

// Samples that leave the finite numbers do not disturb their neighbours.
func TestNonFiniteStates(t *testing.T) {
	e := newEngine(t, shapes[0].program(), Options{Workers: 1})
	x0, _ := points(10, 2)
	rows := eulerRows(5, false)
	good, bad := narrow(x0), narrow(x0)
	bad[6] = float32(math.Inf(1))
	bad[11] = float32(math.NaN())
	for _, x := range [][]float32{good, bad} {
		if err := e.Trajectory(ctx, x, nil, rows, kernels.Noise{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		if i == 3 || i == 5 {
			if a, b := bad[2*i], bad[2*i+1]; a-a == 0 && b-b == 0 {
				t.Errorf("sample %d is finite", i)
			}
			continue
		}
		same(t, "neighbour", bad[2*i:2*i+2], good[2*i:2*i+2])
	}
}
