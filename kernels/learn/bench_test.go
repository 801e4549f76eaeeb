package learn

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/simd"
)

// matching draws as denoising score matching does: a data row, a time and normals by counters, x = αx₀ + σz.
type matching struct {
	d    int
	impl *simd.Impl
	data []float32
	z    [][]float32 // by worker
}

func newMatching(d int, o fit.Options) *matching {
	return &matching{d: d, impl: o.Impl, data: make([]float32, 3000*d), z: make([][]float32, o.Workers)}
}

func (s *matching) Fill(t *fit.Tile) {
	n, ld := t.Hi-t.Lo, (s.d+3)/4*4
	if len(s.z[t.Worker]) < n*ld {
		s.z[t.Worker] = make([]float32, n*ld)
	}
	z := s.z[t.Worker]
	first := uint64(t.Step)<<20 + uint64(t.Lo)
	for j := 0; j < s.d; j += 4 {
		s.impl.Normals4(z[j:], ld, 1, kernels.StreamBatch, uint32(j/4), first, n)
	}
	for i := range n {
		u := kernels.Block(1, kernels.StreamBatch, first+uint64(i), 1<<31)
		x0 := s.data[int(uint64(u[0])*3000>>32)*s.d:][:s.d]
		tau := (float64(u[1]) + 0.5) * 0x1p-32
		alpha, sigma := float32(1-tau), float32(tau)
		x, target := t.X[i*s.d:][:s.d], t.Target[i*s.d:][:s.d]
		for j, v := range x0 {
			zj := z[i*ld+j]
			x[j], target[j] = alpha*v+sigma*zj, -zj
		}
		t.Tau[i], t.Weight[i] = tau, 1
	}
}

// flops is the network's multiply-adds in a step, two operations each: forward, ∂/∂input but of the first layer, ∂/∂W.
func flops(p *kernels.ChainTraining, batch int) float64 {
	n := 0
	for i, in := range p.Forward {
		macs := p.Params[in.W].Rows * p.Params[in.W].Cols
		n += 2 * macs
		if i > 0 {
			n += macs
		}
	}
	return 2 * float64(n) * float64(batch)
}

// BenchmarkStep times steps and the machine's multiply-add peak in turns, drawing included, and reports medians: steps
// per second, GFLOP/s of the network's multiply-adds and their share of the peak of as many cores as workers.
func BenchmarkStep(b *testing.B) {
	type job struct{ d, width, batch int }
	jobs := []job{{2, 128, 512}, {2, 64, 512}, {2, 96, 512}, {2, 200, 512}, {2, 256, 512}, {2, 512, 512}, {64, 256, 512}, {2, 128, 64}, {2, 128, 4096}}
	for _, impl := range slices.Backward(simd.All()) {
		for _, j := range jobs {
			for workers := 1; workers <= runtime.GOMAXPROCS(0); workers *= 2 {
				if impl.Name == "generic" && (j != jobs[0] || workers > 1) {
					continue
				}
				b.Run(fmt.Sprintf("%s/d=%d/w=%d/batch=%d/workers=%d", impl.Name, j.d, j.width, j.batch, workers), func(b *testing.B) {
					benchmarkStep(b, network(j.d, j.width, 3, simd.SiLU, false, nil, 1), fit.Options{Batch: j.batch, Workers: workers, Impl: impl})
				})
			}
		}
	}
}

func benchmarkStep(b *testing.B, p *kernels.ChainTraining, o fit.Options) {
	t, err := New(p, o)
	if err != nil {
		b.Fatal(err)
	}
	defer t.Close()
	src := newMatching(p.D, o)
	work := flops(p, o.Batch)
	run := func(n int) {
		for range n {
			if _, err := t.Step(src, 1e-4); err != nil {
				b.Fatal(err)
			}
		}
	}
	peak := func(n int) float64 {
		var wg sync.WaitGroup
		var ops int
		start := time.Now()
		for i := range o.Workers {
			wg.Go(func() {
				if k := o.Impl.Peak32(n); i == 0 {
					ops = k
				}
			})
		}
		wg.Wait()
		return float64(ops*o.Workers) / time.Since(start).Seconds()
	}
	run(2)
	start := time.Now()
	run(1)
	group := max(1, int(10*time.Millisecond/(time.Since(start)+1)))
	peakN := 1 << 10
	for start = time.Now(); ; start = time.Now() {
		peak(peakN)
		if time.Since(start) > 5*time.Millisecond {
			break
		}
		peakN *= 2
	}
	var rate, share []float64
	for b.Loop() {
		start := time.Now()
		run(group)
		r := float64(group) / time.Since(start).Seconds()
		rate = append(rate, r)
		share = append(share, work*r/peak(peakN))
	}
	slices.Sort(rate)
	slices.Sort(share)
	b.ReportMetric(rate[len(rate)/2], "steps/s")
	b.ReportMetric(work*rate[len(rate)/2]/1e9, "GFLOP/s")
	b.ReportMetric(100*share[len(share)/2], "%peak")
	b.ReportMetric(0, "ns/op")
}
