package infer

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// meters runs a job and the machine's peak loop in turns and reports the medians: units of work per second, GFLOP/s
// (two to a multiply-add of the network) and the share of the multiply-add peak of all cores.
func meters(b *testing.B, peak func(n int) int, flops, units float64, unit string, job func() error) {
	b.Helper()
	cores := runtime.GOMAXPROCS(0)
	all := func(n int) float64 {
		var wg sync.WaitGroup
		start := time.Now()
		ops := 0
		for i := range cores {
			wg.Go(func() {
				o := peak(n)
				if i == 0 {
					ops = o
				}
			})
		}
		wg.Wait()
		return float64(ops*cores) / time.Since(start).Seconds()
	}
	if err := job(); err != nil { // warm
		b.Fatal(err)
	}
	n := 1 << 12 // rounds of the peak loop: some milliseconds
	for start := time.Now(); ; start = time.Now() {
		if all(n); time.Since(start) > 5*time.Millisecond {
			break
		}
		n *= 2
	}
	var rate, share []float64
	for b.Loop() {
		start := time.Now()
		if err := job(); err != nil {
			b.Fatal(err)
		}
		s := time.Since(start).Seconds()
		rate = append(rate, 1/s)
		share = append(share, flops/s/all(n))
	}
	median := func(s []float64) float64 { slices.Sort(s); return s[len(s)/2] }
	r := median(rate)
	b.ReportMetric(units*r, unit+"/s")
	b.ReportMetric(flops*r/1e9, "GFLOP/s")
	b.ReportMetric(100*median(share), "%peak")
	b.ReportMetric(0, "ns/op")
}

func paper(d, width int) *kernels.Chain {
	return shape{d: d, hidden: []int{width, width, width}, act: simd.SiLU}.program()
}

// sizes are the benchmarked networks and batches; steps are chosen for some 20 ms a run.
var sizes = []struct{ d, width, n, steps int }{
	{2, 128, 16384, 8}, {2, 128, 64, 500},
	{1, 128, 2048, 20}, {16, 128, 2048, 20}, {64, 128, 2048, 20},
	{2, 64, 2048, 40}, {2, 96, 2048, 25}, {2, 200, 2048, 10}, {2, 256, 2048, 6}, {2, 512, 2048, 2},
}

func BenchmarkTrajectory(b *testing.B) {
	for _, c := range sizes {
		b.Run(fmt.Sprintf("d=%d/w=%d/n=%d", c.d, c.width, c.n), func(b *testing.B) {
			e := newEngine(b, paper(c.d, c.width), Options{})
			rows := make([]kernels.Row, c.steps)
			for k := range rows {
				rows[k] = kernels.Row{Tau: 0.5, Cin: 1, State: 0.9, Net: 0.01, Noise: 0.1, Step: uint32(k)}
			}
			x := make([]float32, c.n*c.d)
			units := float64(c.n * c.steps)
			meters(b, simd.Best().Peak32, 2*float64(e.MACs())*units, units, "sample-steps", func() error {
				return e.Trajectory(ctx, x, nil, rows, kernels.Noise{}, nil)
			})
		})
	}
}

func BenchmarkPathWeights(b *testing.B) {
	for _, c := range sizes {
		b.Run(fmt.Sprintf("d=%d/w=%d/n=%d", c.d, c.width, c.n), func(b *testing.B) {
			e := newEngine(b, paper(c.d, c.width), Options{})
			rows := make([]kernels.PathRow, c.steps+1)
			for k := range rows {
				rows[k] = kernels.PathRow{Tau: 0.5, Cin: 1, State: 0.9, Net: 0.01, Noise: 0.1, ReverseState: 1, ReverseNet: 0.01, ReversePrecision: 100, Step: uint32(k)}
			}
			x, logw := make([]float32, c.n*c.d), make([]float64, c.n)
			units := float64(c.n * len(rows))
			meters(b, simd.Best().Peak32, 2*float64(e.MACs())*units, units, "sample-steps", func() error {
				return e.PathWeights(ctx, x, logw, rows, kernels.Noise{}, nil)
			})
		})
	}
}

func BenchmarkDivergence(b *testing.B) {
	for _, c := range []struct{ d, width, n, k int }{
		{2, 128, 4096, 0}, {1, 128, 4096, 0}, {3, 128, 4096, 0}, {16, 128, 512, 0}, {64, 128, 128, 0},
		{2, 128, 4096, 1}, {16, 128, 4096, 1}, {64, 128, 1024, 4}, {2, 64, 4096, 0}, {2, 200, 2048, 0}, {2, 512, 512, 0},
	} {
		for _, times := range []string{"shared", "each"} {
			b.Run(fmt.Sprintf("d=%d/w=%d/n=%d/k=%d/%s", c.d, c.width, c.n, c.k, times), func(b *testing.B) {
				e := newEngine(b, paper(c.d, c.width), Options{})
				x, v, k := make([]float32, c.n*c.d), make([]float32, c.n*c.d*c.k), c.k
				y, div, tau := make([]float32, c.n*c.d), make([]float64, c.n), make([]float64, c.n)
				if c.k == 0 {
					v, k = nil, c.d
				}
				if times == "shared" {
					tau = tau[:1]
				}
				meters(b, simd.Best().Peak32, 2*float64(e.MACs()*(1+k)*c.n), float64(c.n), "evaluations", func() error {
					return e.Divergence(ctx, y, div, x, v, k, tau)
				})
			})
		}
	}
}

func BenchmarkJets64(b *testing.B) {
	for _, c := range []struct{ d, width, order, n int }{
		{2, 128, 3, 1024}, {1, 128, 3, 2048}, {3, 128, 3, 512}, {2, 128, 2, 1024}, {2, 128, 5, 512}, {2, 128, 0, 4096}, {2, 64, 3, 2048}, {2, 512, 3, 64},
	} {
		b.Run(fmt.Sprintf("d=%d/w=%d/order=%d/n=%d", c.d, c.width, c.order, c.n), func(b *testing.B) {
			e := newEngine(b, paper(c.d, c.width), Options{})
			nj := simd.NJet(c.d, c.order)
			x, dst := make([]float64, c.n*c.d), make([]float64, c.n*c.d*nj)
			for i := range x {
				x[i] = float64(i%97)/50 - 1
			}
			meters(b, simd.Best().Peak64, 2*float64(e.MACs()*nj*c.n), float64(c.n), "expansions", func() error {
				return e.Jets64(ctx, dst, x, []float64{0.5}, c.order)
			})
		})
	}
}

func BenchmarkAdjoint(b *testing.B) {
	const n = 1024
	e := newEngine(b, paper(2, 128), Options{})
	v := make([]float64, 2*n)
	for i := range v {
		v[i] = float64(i%97)/50 - 1
	}
	g := make([]float64, 2*n)
	for name, q := range map[string]kernels.Adjoint[float64]{
		"VJP": {X: v, CovS: v, Grad: g}, "first": {X: v, V: v, CovS: v, CovSV: v, Grad: g}, "second": {X: v, V: v, W: v, CovS: v, CovSV: v, CovSW: v, CovSVW: v, Grad: g},
	} {
		b.Run(name, func(b *testing.B) {
			flops := 2 * float64(2*q.Rows()*e.MACs()*n) // forward and back
			meters(b, simd.Best().Peak64, flops, n, "adjoints", func() error { return e.Adjoint64(ctx, &q, []float64{0.5}) })
		})
	}
}
