//go:build gpu && cgo

package chains

import (
	"context"
	"fmt"
	"math"
	"slices"
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
	warpgroups := s.tile == warpgroupTile
	switch {
	case s.precision == exec.F16 && warpgroups:
		return 24.1
	case s.precision == exec.F16:
		return 24.3
	case s.split != nil && warpgroups:
		return 50
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
			rows[k] = kernels.Row{Tau: 1 - float64(k)/float64(c.steps), Cin: 1, State: 0.999, Net: 0.001, Noise: math.Sqrt(0.002), Step: uint32(k)}
		}
		packed, err := newNet(p)
		if err != nil {
			b.Fatal(err)
		}
		for _, kind := range samplerKinds {
			b.Run(fmt.Sprintf("%s/D=%d/width=%d/%s/n=%d/steps=%d", kind.name, c.d, c.width, c.act, c.n, c.steps), func(b *testing.B) {
				s, err := newSampler(dev, packed, kind.precision, kind.use)
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				skipTwin(b, s, kind.use)
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
		kinds       []string
	}{
		{2, 128, n, []string{"warpgroups", "warpgroups alone", "halves", "plain"}}, {2, 256, n / 4, []string{"plain"}},
		{8, 128, n / 4, []string{"warpgroups", "halves"}}, {32, 128, n / 16, []string{"warpgroups", "halves"}},
	} {
		c.n = max(1, c.n)
		for _, kind := range flowKinds {
			if !slices.Contains(c.kinds, kind.name) {
				continue
			}
			b.Run(fmt.Sprintf("D=%d/width=%d/%s/n=%d", c.d, c.width, kind.name, c.n), func(b *testing.B) {
				f, err := newFlow(dev, cudatest.Chain(c.d, c.width, 3, simd.SiLU, false, 0), kind.use)
				if err != nil {
					b.Fatal(err)
				}
				defer f.Close()
				f.pairs = kind.pairs
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
}

// Steps of paths of the path integral, with their weights.
func BenchmarkPath(b *testing.B) {
	dev := cudatest.Open(b)
	n, steps := 1<<18, 100
	if testing.Short() {
		n, steps = 24, 2
	}
	for _, c := range []struct {
		d    int
		name string
		use  tensorCores
	}{
		{2, "halves", tensorCores{halves: true, warpgroups: true}}, {2, "halves by warps", tensorCores{halves: true}}, {2, "plain", tensorCores{}},
		{32, "halves", tensorCores{halves: true, warpgroups: true}},
	} {
		d := c.d
		b.Run(fmt.Sprintf("D=%d/width=128/%s/n=%d", d, c.name, n), func(b *testing.B) {
			p, err := newPath(dev, cudatest.Chain(d, 128, 3, simd.SiLU, false, 0), c.use)
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
