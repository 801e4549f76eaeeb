package cpu_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"hbar/kernels"
	"hbar/kernels/cpu"
	"hbar/nets"
	"hbar/program"
	"hbar/solver"
)

// labelled is a small U-Net with three classes.
func labelled(t *testing.T) *nets.Network {
	t.Helper()
	c, err := nets.NewUNet([]int{8, 4, 2}, 3, nets.UNetSizes{Channels: []int{8, 16}, Layers: 1, AttentionResolutions: []int{4}, HeadDim: 4, Groups: 4})
	if err != nil {
		t.Fatal(err)
	}
	n, err := nets.New(c)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 5))
	for _, p := range n.Params {
		w := make([]float32, p.Size())
		for i := range w {
			w[i] = float32(r.NormFloat64() / math.Sqrt(float64(p.Size()/p.Shape[0])))
		}
		n.Weights = append(n.Weights, w)
	}
	return n
}

func engine(t *testing.T, n *nets.Network, o cpu.EngineOptions) *cpu.Engine {
	t.Helper()
	e, err := cpu.NewEngine(n.Program, n.Matrices(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

var _ solver.Engine = (*cpu.Engine)(nil)

func normals[F float32 | float64](n int, seed uint64) []F {
	r := rand.New(rand.NewPCG(seed, 1))
	x := make([]F, n)
	for i := range x {
		x[i] = F(float32(r.NormFloat64()))
	}
	return x
}

func wide(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// close compares float32 results with the references' in float64. Third derivatives by plain operations lose some 10⁻⁵.
func closeTo(t *testing.T, name string, got []float32, want []float64) {
	t.Helper()
	top, worst := 1e-3, 0.0
	for i, w := range want {
		top = math.Max(top, math.Abs(w))
		worst = math.Max(worst, math.Abs(float64(got[i])-w))
	}
	if !(worst <= 5e-6*top) { // roundings of float32 sums of up to some hundred terms, through all layers; measured 8e-7 of the largest
		t.Errorf("%s: differs by %g of %g", name, worst, top)
	}
}

func TestEngineDerivatives(t *testing.T) {
	net := labelled(t)
	const n = 3
	d := program.Size(net.Config.SampleShape())
	e := engine(t, net, cpu.EngineOptions{Label: func(uint64) float64 { return 1 }, None: 3})
	ctx := context.Background()
	tau := []float64{3.5, 700, 20}
	x := normals[float32](n*d, 1)
	arg := func(seed uint64) ([]float32, []float64) { s := normals[float32](n*d, seed); return s, wide(s) }
	v, v64 := arg(2)
	w, w64 := arg(3)
	a, a64 := arg(4)
	b, b64 := arg(5)
	c, c64 := arg(6)
	f, f64 := arg(7)

	make32 := func() []float32 { return make([]float32, n*d) }
	make64 := func() []float64 { return make([]float64, n*d) }
	q := kernels.Adjoint[float32]{X: x, V: v, W: w, CovS: a, CovSV: b, CovSW: c, CovSVW: f, Grad: make32(), S: make32(), SV: make32(), SW: make32(), SVW: make32()}
	p := kernels.Adjoint[float64]{X: wide(x), V: v64, W: w64, CovS: a64, CovSV: b64, CovSW: c64, CovSVW: f64, Grad: make64(), S: make64(), SV: make64(), SW: make64(), SVW: make64()}
	if err := e.Adjoint32(ctx, &q, tau); err != nil {
		t.Fatal(err)
	}
	if err := e.Adjoint64(ctx, &p, tau); err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct {
		name string
		got  []float32
		want []float64
	}{{"g", q.Grad, p.Grad}, {"s", q.S, p.S}, {"sv", q.SV, p.SV}, {"sw", q.SW, p.SW}, {"svw", q.SVW, p.SVW}} {
		closeTo(t, r.name, r.got, r.want)
	}

	// v·(∂n/∂x) v by a cotangent and by a tangent; the values alone and with one time for all.
	div, jv := make([]float64, n), make32()
	if err := e.Divergence(ctx, nil, div, x, v, 1, tau); err != nil {
		t.Fatal(err)
	}
	if err := e.Tangent(ctx, nil, jv, x, v, 1, tau); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		want := 0.0
		for k := i * d; k < (i+1)*d; k++ {
			want += v64[k] * float64(jv[k])
		}
		if !(math.Abs(div[i]-want) <= 3e-6*(1+math.Abs(want))) { // roundings of float32 derivatives, summed over coordinates; measured 2e-7
			t.Errorf("divergence of sample %d: %g by VJP, %g by JVP", i, div[i], want)
		}
	}
	one, each := make32(), make32()
	if err := e.Forward(ctx, one, x, tau[1:2]); err != nil {
		t.Fatal(err)
	}
	if err := e.Forward(ctx, each, x, []float64{700, 700, 700}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(one, each) {
		t.Error("one time for all samples gives other bits than the same time for each")
	}
}

func TestEngineTrajectory(t *testing.T) {
	net := labelled(t)
	const n = 5
	d := program.Size(net.Config.SampleShape())
	rows := []kernels.Row{
		{Tau: 500, Cin: 0.8, State: 0.9, Net: -0.1, Noise: 0.2, KeepState: 1, KeepNet: 0.5, Step: 0},
		{Tau: 100, Cin: 1, State: 0.9, Net: -0.1, Memory: 0.1, Step: 1},
	}
	label := func(sample uint64) float64 { return float64(sample % 3) }
	run := func(o cpu.EngineOptions, parts ...int) []float32 {
		e := engine(t, net, o)
		x := normals[float32](n*d, 1)
		lo := 0
		for _, m := range parts {
			part := x[lo*d : (lo+m)*d]
			if err := e.Trajectory(context.Background(), part, nil, rows, kernels.Noise{Seed: 3, Stream: kernels.StreamNoise, Sample0: uint64(lo)}, nil); err != nil {
				t.Fatal(err)
			}
			lo += m
		}
		return x
	}
	want := run(cpu.EngineOptions{Label: label, None: 3}, n)
	if got := run(cpu.EngineOptions{Label: label, None: 3, Workers: 1, Memory: 1}, 2, 3); !slices.Equal(got, want) {
		t.Error("samples depend on parts, blocks or workers")
	}
	guided := run(cpu.EngineOptions{Label: label, None: 3, Guidance: 2}, n)
	if slices.Equal(guided, want) {
		t.Error("guidance does nothing")
	}
	if got := run(cpu.EngineOptions{Label: label, None: 3, Guidance: 2, Workers: 1, Memory: 1}, 1, 4); !slices.Equal(got, guided) {
		t.Error("guided samples depend on parts, blocks or workers")
	}
	// With the label none guidance cancels: (1 + w) n − w n.
	none := run(cpu.EngineOptions{None: 3}, n)
	same := run(cpu.EngineOptions{None: 3, Guidance: 2}, n)
	closeTo(t, "guidance of none", same, wide(none))
}
