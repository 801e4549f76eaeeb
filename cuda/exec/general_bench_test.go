//go:build gpu && cgo

package exec

import (
	"context"
	"fmt"
	"testing"

	"hbar/cuda/internal/cudatest"
	"hbar/kernels"
	"hbar/kernels/simd"
)

// Wide networks layer by layer: trajectories in both precisions, scores and exact divergences in float32 and float64. Rates are
// of the products' floating-point operations alone. Width 256 is a network that the fused kernels take too: a trajectory in float32, as cuda.Engine runs it on
// Hopper.
func BenchmarkGeneral(b *testing.B) {
	dev := cudatest.Open(b)
	ctx := context.Background()
	widths, many, steps := []int{256, 512, 2048}, 100_000, 20
	if testing.Short() {
		widths, many, steps = []int{40}, 64, 2
	}
	for _, width := range widths {
		const d = 2
		n, hidden := many, 4
		if width == 256 {
			n, hidden = 1_000_000, 3
		}
		p := cudatest.Chain(d, width, hidden, simd.SiLU, false, 0)
		flops := 0.0
		for _, ins := range p.Forward {
			flops += 2 * float64(p.Widths[ins.Src]*p.Widths[ins.Dst])
		}
		x, x64, div, tau := to32(normals64(n*d, 1)), normals64(n*d, 1), make([]float64, n), []float64{0.5}
		rows := make([]kernels.Row, steps)
		for k := range rows {
			rows[k] = kernels.Row{Tau: 0.5, Cin: 1, State: 0.999, Net: 0.001, Noise: 0.04, Step: uint32(k)}
		}
		for _, c := range []struct {
			name      string
			precision Precision
			work      float64 // evaluations
			run       func(g *General) error
		}{
			{"trajectory/fp32", FP32, float64(n * steps), func(g *General) error { return g.Trajectory(ctx, x, nil, rows, kernels.Noise{}, nil) }},
			{"trajectory/f16", F16, float64(n * steps), func(g *General) error { return g.Trajectory(ctx, x, nil, rows, kernels.Noise{}, nil) }},
			{"divergence/fp32", FP32, float64(n * (1 + d)), func(g *General) error { return g.Divergence(ctx, nil, div, x, nil, d, tau) }},
			{"divergence/fp64", FP32, float64(n * (1 + d)), func(g *General) error { return g.Divergence64(ctx, nil, div, x64, nil, d, tau) }},
		} {
			if width == 256 && c.name != "trajectory/fp32" {
				continue
			}
			b.Run(fmt.Sprintf("%s/width=%d/n=%d", c.name, width, n), func(b *testing.B) {
				g, err := NewGeneral(dev, p, c.precision)
				if err != nil {
					b.Fatal(err)
				}
				defer g.Close()
				if err := c.run(g); err != nil { // memory, page-locked pieces
					b.Fatal(err)
				}
				b.ResetTimer()
				for range b.N {
					if err := c.run(g); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(flops*c.work*float64(b.N)/b.Elapsed().Seconds()/1e12, "TFLOP/s")
				if c.work == float64(n*steps) {
					b.ReportMetric(c.work*float64(b.N)/b.Elapsed().Seconds(), "sample-steps/s")
				}
			})
		}
	}
}
