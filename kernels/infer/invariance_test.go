package infer

import (
	"fmt"
	"sync"
	"testing"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// everything runs all methods on the samples [from, to) of a fixed batch and returns the results, one slice of
// float64 for each, all with the same number of values for a sample.
func everything(t *testing.T, e *Engine, n, from, to int, one bool) [][]float64 {
	t.Helper()
	d := e.Dim()
	all, tau := points(7*n, d)
	tau = tau[from:to]
	if one {
		tau = tau[:1]
	}
	m := to - from
	part := func(i int) []float64 { return all[(i*n+from)*d : (i*n+to)*d] }
	x := part(0)
	x32 := narrow(x)
	var out [][]float64
	do := func(err error, results ...[]float64) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, results...)
	}
	y, y64, div := make([]float32, m*d), make([]float64, m*d), make([]float64, m)
	do(e.Forward(ctx, y, x32, tau), widen(y))
	do(e.Forward64(ctx, y64, x, tau), y64)
	do(e.Divergence(ctx, nil, div, x32, nil, d, tau), div)
	// Probes: k = 2 directions of each sample, interleaved.
	v := make([]float32, 2*m*d)
	for i := range m {
		for j := range d {
			v[2*i*d+j], v[(2*i+1)*d+j] = float32(part(1)[i*d+j]), float32(part(2)[i*d+j])
		}
	}
	jv := make([]float32, 2*m*d)
	do(e.Tangent(ctx, nil, jv, x32, v, 2, tau), widen(jv))
	if d <= kernels.MaxJetDim {
		nj := simd.NJet(d, 3)
		jet, jet32 := make([]float64, m*d*nj), make([]float32, m*d*nj)
		do(e.Jets64(ctx, jet, x, tau, 3), jet)
		do(e.Jets32(ctx, jet32, x32, tau, 3), widen(jet32))
	}
	g := make([]float64, m*d)
	do(e.Adjoint64(ctx, &kernels.Adjoint[float64]{X: x, V: part(1), W: part(2), CovS: part(3), CovSV: part(4), CovSW: part(5), CovSVW: part(6), Grad: g}, tau), g)
	no := kernels.Noise{Seed: 5, Stream: kernels.StreamNoise, Sample0: uint64(from)}
	s, mem := narrow(x), narrow(part(1))
	do(e.Trajectory(ctx, s, mem, eulerRows(5, true), no, nil), widen(s), widen(mem))
	logw, p := make([]float64, m), narrow(x)
	do(e.PathWeights(ctx, p, logw, pathRows(4, d), no, nil), widen(p), logw)
	return out
}

// Results are the same bits for any number of workers, any tile and any split of the batch.
func TestInvariance(t *testing.T) {
	each(t, func(t *testing.T, im *simd.Impl) {
		for _, s := range shapes {
			n := 23
			if im.Name == "generic" { // slow, and the same loop for every row
				n = 7
			}
			p := s.program()
			if im.Name == "generic" && newEngine(t, p, Options{}).MACs() > 10000 {
				continue // minutes under the race detector
			}
			for _, one := range []bool{false, true} {
				want := everything(t, newEngine(t, p, Options{Impl: im, Workers: 1}), n, 0, n, one)
				for _, c := range []struct{ workers, tile int }{{2, 0}, {3, 1}, {2, 7}, {1, 13}, {5, 16}, {2, 100}} {
					got := everything(t, newEngine(t, p, Options{Impl: im, Workers: c.workers, Tile: c.tile}), n, 0, n, one)
					for i := range want {
						same(t, fmt.Sprintf("%s %+v result %d", s.name, c, i), got[i], want[i])
					}
				}
				if one {
					continue
				}
				e := newEngine(t, p, Options{Impl: im, Workers: 2})
				a, b := everything(t, e, n, 0, 5, one), everything(t, e, n, 5, n, one)
				for i := range want {
					same(t, fmt.Sprintf("%s split, result %d", s.name, i), append(a[i], b[i]...), want[i])
				}
			}
		}
	})
}

// One engine serves concurrent callers.
func TestConcurrentCalls(t *testing.T) {
	e := newEngine(t, shapes[3].program(), Options{Workers: 2})
	want := everything(t, e, 23, 0, 23, false)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			got := everything(t, e, 23, 0, 23, false)
			for i := range want {
				for j, v := range want[i] {
					if got[i][j] != v {
						t.Errorf("result %d value %d differs", i, j)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
