//go:build gpu && cgo

package chains

import (
	"context"
	"fmt"
	"math"
	"testing"

	"hbar/cuda/exec"
	"hbar/cuda/internal/cudatest"
	"hbar/kernels"
	"hbar/kernels/simd"
)

// The benchmarks of this package are jobs as users run them, transfers included; with -short, as on the emulator, small
// ones. `make gpu-check` packs them for a machine with a GPU.

// clocks are what a sample and step of the paper's network costs an SM at least, by the counts of docs/cuda.md.
func clocks(s *Sampler) float64 {
	switch {
	case s.precision == exec.F16:
		return 24.3
	case s.split != nil:
		return 81
	}
	return 322
}

func BenchmarkSampler(b *testing.B) {
	dev := cudatest.Open(b)
	n, steps := 1_000_000, 1000
	if testing.Short() {
		n, steps = 256, 10
	}
	for _, c := range []struct {
		d, width, hidden int
		act              simd.Act
		n, steps         int
	}{
		{2, 128, 3, simd.SiLU, n, steps}, // the paper's
		{2, 128, 3, simd.SiLU, max(64, n/100), steps},
		{2, 64, 3, simd.SiLU, n, steps},
		{2, 256, 3, simd.SiLU, n, steps / 10},
		{32, 128, 3, simd.SiLU, n, steps / 10},
		{2, 128, 3, simd.GELU, n, steps / 10},
	} {
		p := cudatest.Chain(c.d, c.width, c.hidden, c.act, false, 0)
		rows := make([]kernels.Row, c.steps)
		for k := range rows { // Euler–Maruyama of a contracting process
			rows[k] = kernels.Row{T: 1 - float64(k)/float64(c.steps), Cin: 1, A: 0.999, B: 0.001, C: math.Sqrt(0.002), Step: uint32(k)}
		}
		packed, err := newNet(p)
		if err != nil {
			b.Fatal(err)
		}
		for _, kind := range []struct {
			name      string
			precision exec.Precision
			split     bool
		}{{"fp32", exec.FP32, true}, {"plain", exec.FP32, false}, {"f16", exec.F16, false}} {
			b.Run(fmt.Sprintf("%s/D=%d/width=%d/%s/n=%d/steps=%d", kind.name, c.d, c.width, c.act, c.n, c.steps), func(b *testing.B) {
				s, err := newSampler(dev, packed, kind.precision, kind.split)
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				x := make([]float32, c.n*c.d)
				run := func(rows []kernels.Row) {
					if err := s.Trajectory(context.Background(), x, nil, rows, kernels.Noise{Stream: kernels.StreamNoise}, nil); err != nil {
						b.Fatal(err)
					}
				}
				run(rows[:1]) // memory, page-locked pieces
				b.ResetTimer()
				for range b.N {
					run(rows)
				}
				rate := float64(c.n*c.steps) * float64(b.N) / b.Elapsed().Seconds()
				b.ReportMetric(rate, "sample-steps/s")
				if c.d == 2 && c.width == 128 && c.act == simd.SiLU {
					b.ReportMetric(100*rate*clocks(s)/(float64(dev.Multiprocessors)*float64(dev.ClockKHz)*1e3), "%of-bound")
				}
			})
		}
	}
}

// Evaluations of a network and its exact divergence, in a Runge–Kutta method on a mesh.
func BenchmarkFlow(b *testing.B) {
	dev := cudatest.Open(b)
	n, steps := 1<<18, 20
	if testing.Short() {
		n, steps = 24, 1
	}
	for _, c := range []struct {
		d, width, n int
		halves      bool
	}{{2, 128, n, true}, {2, 128, n, false}, {2, 256, n / 4, false}, {8, 128, n / 4, true}, {32, 128, n / 16, true}} {
		c.n = max(1, c.n)
		b.Run(fmt.Sprintf("D=%d/width=%d/halves=%t/n=%d", c.d, c.width, c.halves, c.n), func(b *testing.B) {
			f, err := newFlow(dev, cudatest.Chain(c.d, c.width, 3, simd.SiLU, false, 0), c.halves)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			table := flowTable(2)
			table.Steps = table.Steps[:steps]
			start := newFlowState(c.n, c.d, 0)
			for range b.N {
				b.StopTimer()
				s := start.part(0, c.n)
				b.StartTimer()
				if err := f.Run(context.Background(), s.x, s.div, s.est, s.probes, table, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(c.n*steps*len(table.B))*float64(b.N)/b.Elapsed().Seconds(), "evaluations/s")
		})
	}
}

// Steps of paths of the path integral, with their weights.
func BenchmarkPath(b *testing.B) {
	dev := cudatest.Open(b)
	n, steps := 1<<18, 100
	if testing.Short() {
		n, steps = 24, 2
	}
	for _, c := range []struct {
		d      int
		halves bool
	}{{2, true}, {2, false}, {32, true}} {
		d := c.d
		b.Run(fmt.Sprintf("D=%d/width=128/halves=%t/n=%d", d, c.halves, n), func(b *testing.B) {
			p, err := newPath(dev, cudatest.Chain(d, 128, 3, simd.SiLU, false, 0), c.halves)
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			rows := pathTable(steps, d)
			for range b.N {
				b.StopTimer()
				x, logw := paths(n, d)
				b.StartTimer()
				if err := p.Weights(context.Background(), x, logw, rows, kernels.Noise{Stream: kernels.StreamPath}, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n*steps)*float64(b.N)/b.Elapsed().Seconds(), "path-steps/s")
		})
	}
}

// Evaluations of the expansion: the network's Taylor coefficients and the right-hand side that they make.
func BenchmarkTaylor(b *testing.B) {
	dev := cudatest.Open(b)
	n := 1 << 14
	if testing.Short() {
		n = 2
	}
	for _, c := range []struct {
		order   int
		float32 bool
	}{{1, false}, {2, false}, {1, true}, {2, true}} {
		precision := "float64"
		if c.float32 {
			precision = "float32"
		}
		b.Run(fmt.Sprintf("D=2/width=128/order=%d/%s/n=%d", c.order, precision, n), func(b *testing.B) {
			e, err := NewTaylor(dev, cudatest.Chain(2, 128, 3, simd.SiLU, false, 0))
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			state := kernels.NewTaylorState(2, c.order)
			table := taylorTable(state, 1)
			table.Float32 = c.float32
			start := taylorStates(state, n)
			for range b.N {
				b.StopTimer()
				y, est := append([]float64(nil), start...), make([]float64, n)
				b.StartTimer()
				if err := e.Run(context.Background(), y, est, table, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n*len(table.B))*float64(b.N)/b.Elapsed().Seconds(), "evaluations/s")
		})
	}
}
