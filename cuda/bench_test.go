//go:build gpu && cgo

package cuda

import (
	"context"
	"fmt"
	"math"
	"testing"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// The benchmarks of this package are jobs as users run them, transfers included; with -short, as on the emulator, small
// ones. `make gpu-check` packs them for a machine with a GPU.

// clocks are what a sample and step of the paper's network costs an SM at least, by the counts of docs/cuda.md.
var clocks = map[Precision]float64{FP32: 331, F16: 24.3}

func BenchmarkSampler(b *testing.B) {
	dev := open(b)
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
		p := program(c.d, c.width, c.hidden, c.act, false, 0)
		rows := make([]kernels.Row, c.steps)
		for k := range rows { // Euler–Maruyama of a contracting process
			rows[k] = kernels.Row{T: 1 - float64(k)/float64(c.steps), Cin: 1, A: 0.999, B: 0.001, C: math.Sqrt(0.002), Step: uint32(k)}
		}
		for _, precision := range []Precision{FP32, F16} {
			b.Run(fmt.Sprintf("%s/D=%d/width=%d/%s/n=%d/steps=%d", precision, c.d, c.width, c.act, c.n, c.steps), func(b *testing.B) {
				s, err := NewSampler(dev, p, precision)
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
					b.ReportMetric(100*rate*clocks[precision]/(float64(dev.Multiprocessors)*float64(dev.ClockKHz)*1e3), "%of-bound")
				}
			})
		}
	}
}
