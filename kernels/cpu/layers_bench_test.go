package cpu

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"hbar/kernels/simd"
)

// measureLayer times f, each time followed by a run of the peak loop on as many goroutines, and reports the
// lower quartile of the time, which other programs disturb little, the rate at which f does work, and with flops > 0 its
// share of the peak beside it.
func measureLayer(b *testing.B, team *Team, f func(), work float64, unit string, flops float64) {
	b.Helper()
	f()
	var times, shares []float64
	ops := make([]int, team.Workers())
	for range b.N {
		t0 := time.Now()
		f()
		d := float64(time.Since(t0))
		times = append(times, d)
		t0 = time.Now()
		team.Run(team.Workers(), func(w, _ int) { ops[w] = team.Impl.Peak32(1 << 13) })
		p := float64(time.Since(t0))
		shares = append(shares, flops/d*p/float64(ops[0]*team.Workers()))
	}
	slices.Sort(times)
	slices.Sort(shares)
	b.ReportMetric(times[len(times)/4], "ns/op")
	b.ReportMetric(work/times[len(times)/4], unit+"/s")
	if flops > 0 {
		b.ReportMetric(100*shares[len(shares)*3/4], "%peak")
	}
}

// benchTeams runs f with one worker and with all.
func benchTeams(b *testing.B, f func(b *testing.B, team *Team)) {
	for _, im := range simd.All()[1:] {
		for _, w := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s:%d", im.Name, w), func(b *testing.B) {
				team := NewTeam(w)
				defer team.Close()
				team.Impl = im
				f(b, team)
			})
		}
	}
}

func BenchmarkAttention(b *testing.B) {
	for _, s := range []struct{ n, heads, t, d int }{{1, 1, 256, 64}, {1, 1, 196, 64}, {8, 3, 196, 64}, {1, 1, 256, 256}, {1, 1, 49, 128}} {
		c := s.heads * s.d
		array := func(parts int) []float32 {
			x := make([]float32, s.n*s.t*c*parts)
			for i := range x {
				x[i] = float32(i%17-8) / 8
			}
			return x
		}
		qkv, dy, y, g := array(3), array(1), array(1), array(3)
		view := func(x []float32, i, parts int) Heads { return Heads{x[i*c:], parts * c, parts * c * s.t} }
		a := &Attention{N: s.n, Heads: s.heads, TQ: s.t, TK: s.t, D: s.d}
		flops := 4 * float64(s.n*s.t*s.t*c)
		b.Run(fmt.Sprintf("n=%d/heads=%d/T=%d/d=%d", s.n, s.heads, s.t, s.d), func(b *testing.B) {
			benchTeams(b, func(b *testing.B, team *Team) {
				b.Run("forward", func(b *testing.B) {
					measureLayer(b, team, func() { a.Forward(team, view(y, 0, 1), view(qkv, 0, 3), view(qkv, 1, 3), view(qkv, 2, 3)) }, flops, "GFLOP", flops)
				})
				b.Run("backward", func(b *testing.B) { // counted with the scores it computes again
					measureLayer(b, team, func() {
						a.Backward(team, view(g, 0, 3), view(g, 1, 3), view(g, 2, 3), view(dy, 0, 1), view(qkv, 0, 3), view(qkv, 1, 3), view(qkv, 2, 3), nil)
					}, 2.5*flops, "GFLOP", 2.5*flops)
				})
			})
		})
	}
}

// BenchmarkNorms counts the bytes of arrays read and written once.
func BenchmarkNorms(b *testing.B) {
	const n, p, c = 2, 1024, 128
	x, dy, y, w := make([]float32, n*p*c), make([]float32, n*p*c), make([]float32, n*p*c), make([]float32, c)
	for i := range x {
		x[i], dy[i] = float32(i%17-8)/8, float32(i%13-6)/8
	}
	for i := range w {
		w[i] = 1
	}
	g := &GroupNorm{N: n, P: p, C: c, Groups: 32, Eps: 1e-6, Act: simd.SiLU, Weight: w, Bias: w}
	l := &LayerNorm{N: n, P: p, C: c, Eps: 1e-6, Weight: w, Bias: w}
	stats, dw := make([]float32, g.StatsLen()), make([]float32, c)
	bytes := float64(4 * n * p * c)
	benchTeams(b, func(b *testing.B, team *Team) {
		b.Run("group+silu/forward", func(b *testing.B) {
			measureLayer(b, team, func() { g.Forward(team, y, x, stats) }, 2*bytes, "GB", 0)
		})
		b.Run("group+silu/backward", func(b *testing.B) {
			measureLayer(b, team, func() { g.Backward(team, GroupNormGrad{DX: y, DWeight: dw, DBias: dw}, dy, x, stats) }, 3*bytes, "GB", 0)
		})
		b.Run("layer/forward", func(b *testing.B) {
			measureLayer(b, team, func() { l.Forward(team, y, x) }, 2*bytes, "GB", 0)
		})
		b.Run("layer/backward", func(b *testing.B) {
			measureLayer(b, team, func() { l.Backward(team, LayerNormGrad{DX: y, DWeight: dw, DBias: dw}, dy, x) }, 3*bytes, "GB", 0)
		})
	})
}
