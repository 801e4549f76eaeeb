package cpu_test

import (
	"context"
	"testing"

	"hbar/kernels/cpu"
	"hbar/nets"
	"hbar/program"
)

// Traces of more probes than one program takes are the products of directional derivatives in float64; the values are those of Forward.
func TestTraces(t *testing.T) {
	net := labelled(t)
	const n, k = 3, 6
	d := program.Size(net.Config.SampleShape())
	e := engine(t, net, cpu.EngineOptions{Label: func(uint64) float64 { return 1 }, None: 3})
	ctx := context.Background()
	x, v := normals[float32](n*d, 1), normals[float32](n*k*d, 2)
	for _, tau := range [][]float64{{250}, {3.5, 700, 20}} {
		s, traces := make([]float32, n*d), make([]float64, n*k)
		if err := e.Traces(ctx, s, traces, x, v, k, tau); err != nil {
			t.Fatal(err)
		}
		value, products := make([]float64, n*d), make([]float64, n*k*d)
		if err := e.Tangent64(ctx, value, products, wide(x), wide(v), k, tau); err != nil {
			t.Fatal(err)
		}
		want, got := make([]float64, n*k), make([]float32, n*k)
		for i := range want {
			for j := range d {
				want[i] += float64(v[i*d+j]) * products[i*d+j]
			}
			got[i] = float32(traces[i])
		}
		closeTo(t, "traces", got, want)
		closeTo(t, "values", s, value)
	}
	if err := e.Traces(ctx, nil, make([]float64, 2), x, v, k, []float64{0}); err == nil {
		t.Error("2 traces for 18 probes")
	}
}

// BenchmarkTraces compares passes through a U-Net for images of 28×28 with Hutchinson's products of one and four probes.
func BenchmarkTraces(b *testing.B) {
	c, err := nets.NewUNet([]int{28, 28, 1}, 0, nets.UNetSizes{Channels: []int{32, 64, 64}, Layers: 1, AttentionResolutions: []int{7}})
	if err != nil {
		b.Fatal(err)
	}
	net, err := nets.New(c)
	if err != nil {
		b.Fatal(err)
	}
	net.Initialise(1)
	e, err := cpu.NewEngine(net.Program, net.Matrices(), cpu.EngineOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	const n, d = 16, 784
	ctx, tau := context.Background(), []float64{250}
	x, v, s := normals[float32](n*d, 1), normals[float32](4*n*d, 2), make([]float32, n*d)
	for _, c := range []struct {
		name string
		f    func() error
	}{
		{"forward", func() error { return e.Forward(ctx, s, x, tau) }},
		{"1 probe", func() error { return e.Traces(ctx, s, make([]float64, n), x, v[:n*d], 1, tau) }},
		{"4 probes", func() error { return e.Traces(ctx, s, make([]float64, 4*n), x, v, 4, tau) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if err := c.f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
