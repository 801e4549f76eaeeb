package simd

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// measure times f in batches of a few tens of microseconds, each followed by a run of the peak loop, and reports medians
// over the batches: the time of f, the rate at which it does work (in billions of the unit) and, if flops > 0, its share
// of the peak measured beside it.
func measure(b *testing.B, f func(), peak func(int) int, work float64, unit string, flops float64) {
	b.Helper()
	f()
	t0 := time.Now()
	f()
	batch := max(1, int(40*time.Microsecond/(time.Since(t0)+1)))
	var shares, times []float64
	for done := 0; done < b.N; {
		n := min(batch, b.N-done)
		t0 := time.Now()
		for range n {
			f()
		}
		d := float64(time.Since(t0))
		times = append(times, d/float64(n))
		done += n
		if flops > 0 {
			t0 = time.Now()
			p := float64(peak(1 << 11))
			shares = append(shares, flops*float64(n)/d*float64(time.Since(t0))/p)
		}
	}
	slices.Sort(times)
	ns := times[len(times)/2]
	b.ReportMetric(ns, "ns/op")
	b.ReportMetric(work/ns, unit+"/s")
	if flops > 0 {
		slices.Sort(shares)
		b.ReportMetric(100*shares[len(shares)/2], "%peak")
	}
}

func aligned[F Float](n int) []F {
	g := newGuarded[F](n, 0)
	return g.s
}

func random[F Float](n int) []F {
	s := aligned[F](n)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range s {
		s[i] = F(r.Float64()*2 - 1)
	}
	return s
}

// layer is a dense layer m×k → m×16·np with the row strides of the executors.
func layer[F Float](m, k, w, pad int) *Product[F] {
	P := panel[F]()
	return &Product[F]{C: random[F](m * (w + pad)), CM: w + pad, CP: P, A: random[F](m * (k + pad)), AM: k + pad, AK: 1,
		B: random[F](k * w), BP: k * P, BK: P, Bias: random[F](w), D: random[F](m * (w + pad)), M: m, K: k, NP: w / P}
}

func benchEach(b *testing.B, f func(b *testing.B, im *Impl)) {
	for _, im := range All() {
		b.Run(im.Name, func(b *testing.B) { f(b, im) })
	}
}

func BenchmarkProduct32(b *testing.B) {
	type job struct {
		name string
		q    *Product[float32]
	}
	with := func(q *Product[float32], ep Epilogue, act Act) *Product[float32] {
		q.Ep, q.Act = ep, act
		return q
	}
	jobs := []job{
		{"first/m=48/k=3/w=128", layer[float32](48, 3, 128, 0)},
		{"first+silu/m=48/k=3/w=128", with(layer[float32](48, 3, 128, 0), Activate, SiLU)},
		{"plain/m=24/w=128", layer[float32](24, 128, 128, 0)},
		{"plain/m=48/w=128", layer[float32](48, 128, 128, 0)},
		{"plain/m=50/w=128", layer[float32](50, 128, 128, 0)},
		{"silu/m=24/w=128", with(layer[float32](24, 128, 128, 0), Activate, SiLU)},
		{"silu/m=48/w=128", with(layer[float32](48, 128, 128, 0), Activate, SiLU)},
		{"silu/m=50/w=128", with(layer[float32](50, 128, 128, 0), Activate, SiLU)},
		{"gelu/m=48/w=128", with(layer[float32](48, 128, 128, 0), Activate, GELU)},
		{"tanh/m=48/w=128", with(layer[float32](48, 128, 128, 0), Activate, Tanh)},
		{"siluGrad/m=128/w=128", with(layer[float32](128, 128, 128, 16), ActivateGrad, SiLU)},
		{"mulD/m=128/w=128", with(layer[float32](128, 128, 128, 16), MulD, Identity)},
		{"silu/m=48/w=64", with(layer[float32](48, 64, 64, 0), Activate, SiLU)},
		{"silu/m=48/w=96", with(layer[float32](48, 96, 96, 0), Activate, SiLU)},
		{"silu/m=48/w=208", with(layer[float32](48, 208, 208, 0), Activate, SiLU)},
		{"silu/m=48/w=256", with(layer[float32](48, 256, 256, 0), Activate, SiLU)},
		{"silu/m=48/w=512", with(layer[float32](48, 512, 512, 0), Activate, SiLU)},
	}
	// weight gradients: Xᵀ dZ, accumulated over a tile of 128 rows
	const w, ld, rows = 128, 144, 128
	jobs = append(jobs, job{"dW/m=128/k=128", &Product[float32]{C: random[float32](w * w), CM: 16, CP: 16 * w, A: random[float32](rows * ld), AM: 1, AK: ld,
		B: random[float32](rows * ld), BP: 16, BK: ld, M: w, K: rows, NP: w / 16, Accumulate: true}})
	for _, j := range jobs {
		b.Run(j.name, func(b *testing.B) {
			benchEach(b, func(b *testing.B, im *Impl) {
				q := *j.q
				flops := 2 * float64(q.M) * float64(q.K) * float64(q.NP) * Panel32
				clear(q.C)
				measure(b, func() { im.Product32(&q) }, im.Peak32, flops, "GFLOP", flops)
			})
		})
	}
}

func BenchmarkProduct64(b *testing.B) {
	for _, m := range []int{20, 40, 60, 120} {
		b.Run(fmt.Sprintf("plain/m=%d/w=128", m), func(b *testing.B) {
			benchEach(b, func(b *testing.B, im *Impl) {
				q := layer[float64](m, 128, 128, 0)
				flops := 2 * float64(q.M) * float64(q.K) * float64(q.NP) * Panel64
				measure(b, func() { im.Product64(q) }, im.Peak64, flops, "GFLOP", flops)
			})
		})
	}
}

func BenchmarkAct32(b *testing.B) {
	const n = 48 * 128
	x, y, d := random[float32](n), random[float32](n), random[float32](n)
	for f := SiLU; f <= GELUTanh; f++ {
		b.Run(f.String(), func(b *testing.B) {
			benchEach(b, func(b *testing.B, im *Impl) {
				measure(b, func() { im.Act32(f, y, nil, x) }, nil, n, "Gelem", 0)
			})
		})
		b.Run(f.String()+"Grad", func(b *testing.B) {
			benchEach(b, func(b *testing.B, im *Impl) {
				measure(b, func() { im.Act32(f, y, d, x) }, nil, n, "Gelem", 0)
			})
		})
	}
}

func BenchmarkHead32(b *testing.B) {
	const m, w = 48, 128
	for _, outs := range []int{1, 2, 3, 4, 16, 64} {
		b.Run(fmt.Sprintf("outs=%d", outs), func(b *testing.B) {
			benchEach(b, func(b *testing.B, im *Impl) {
				out, h, wt, bias := aligned[float32](m*outs), random[float32](m*w), random[float32](outs*w), random[float32](outs)
				flops := 2.0 * m * w * float64(outs)
				measure(b, func() { im.Head32(out, h, w, wt, bias, m, w, outs) }, im.Peak32, flops, "GFLOP", flops)
			})
		})
	}
}

func BenchmarkElementwise(b *testing.B) {
	const n = 33408
	p, m, v, g, e := random[float32](n), random[float32](n), make([]float32, n), random[float32](n), random[float32](n)
	z := aligned[float32](4 * 64)
	b.Run("adam", func(b *testing.B) {
		benchEach(b, func(b *testing.B, im *Impl) {
			s := &AdamStep{LR: 1e-3, Beta1: .9, Beta2: .999, Eps: 1e-8, C1: 1, C2: 1, Scale: 1, EMA: .999}
			measure(b, func() { im.Adam(p, m, v, g, e, s) }, nil, n, "Gelem", 0)
		})
	})
	b.Run("update/n=100", func(b *testing.B) {
		benchEach(b, func(b *testing.B, im *Impl) {
			c := &[8]float32{1, .1, .1, .1, 1, 0, 0, 0}
			measure(b, func() { im.Update(p[:100], m[:100], nil, g[:100], c) }, nil, 100, "Gelem", 0)
		})
	})
	b.Run("normals4/n=50", func(b *testing.B) {
		benchEach(b, func(b *testing.B, im *Impl) {
			measure(b, func() { im.Normals4(z, 4, 1, 2, 3, 4, 50) }, nil, 200, "Gnormal", 0)
		})
	})
}

// BenchmarkTaylor is a dense layer of a Taylor expansion: the product of all coefficients' rows, then the composition.
func BenchmarkTaylor(b *testing.B) {
	b.Run("float64/d=2/order=3/w=128", func(b *testing.B) {
		benchEach(b, func(b *testing.B, im *Impl) { benchTaylor(b, im.Product64, im.Jet64, im.Peak64, 2, 3, 128) })
	})
	b.Run("float32/d=2/order=3/w=128", func(b *testing.B) {
		benchEach(b, func(b *testing.B, im *Impl) { benchTaylor(b, im.Product32, im.Jet32, im.Peak32, 2, 3, 128) })
	})
	b.Run("float64/d=3/order=3/w=128", func(b *testing.B) {
		benchEach(b, func(b *testing.B, im *Impl) { benchTaylor(b, im.Product64, im.Jet64, im.Peak64, 3, 3, 128) })
	})
	b.Run("float64/d=2/order=5/w=128", func(b *testing.B) {
		benchEach(b, func(b *testing.B, im *Impl) { benchTaylor(b, im.Product64, im.Jet64, im.Peak64, 2, 5, 128) })
	})
}

func benchTaylor[F Float](b *testing.B, product func(*Product[F]), jet func(f Act, x []F, ld, w, dim, order int), peak func(int) int, dim, order, w int) {
	const samples = 6
	n := NJet(dim, order)
	q := layer[F](samples*n, w, w, 0)
	q.Bias = nil // the caller adds it to the value rows
	flops := 2 * float64(samples*n*w*w)
	measure(b, func() {
		product(q)
		for i := range samples {
			jet(SiLU, q.C[i*n*w:], w, w, dim, order)
		}
	}, peak, flops, "GFLOP", flops)
}

func BenchmarkJet(b *testing.B) {
	const w = 128
	for _, q := range [][2]int{{1, 3}, {2, 3}, {3, 3}, {2, 5}} {
		dim, order := q[0], q[1]
		n := NJet(dim, order)
		for f := SiLU; f <= GELUTanh; f++ {
			b.Run(fmt.Sprintf("%s/float64/d=%d/order=%d", f, dim, order), func(b *testing.B) {
				benchEach(b, func(b *testing.B, im *Impl) {
					x, y := random[float64](n*w), make([]float64, n*w)
					measure(b, func() { copy(y, x); im.Jet64(f, y, w, w, dim, order) }, nil, w, "Gunit", 0)
				})
			})
		}
	}
}
