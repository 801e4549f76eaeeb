//go:build gpu && cgo

package chains

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"hbar/cuda/internal/cudatest"
	"hbar/kernels"
	"hbar/kernels/infer"
	"hbar/kernels/simd"
)

// pathTable has different variances of proposal and reverse step, and coefficients that float32 rounds.
func pathTable(steps, d int) []kernels.PathRow {
	rows := make([]kernels.PathRow, steps+1)
	for k := range rows {
		f := float64(k) / float64(steps)
		rows[k] = kernels.PathRow{Tau: 0.1 + f, Cin: 1 / (1 + f), State: 0.99, Net: 0.03, Noise: 0.3 + 0.2*f, ReverseState: 1.01, ReverseNet: 0.02, Step: uint32(k + 5)}
		if k > 0 {
			r := 0.31 + 0.2*f // the reverse step's deviation
			rows[k].ReversePrecision = 1 / (r * r)
			rows[k].LogNorm = float64(d) * math.Log(rows[k-1].Noise/r)
		}
	}
	return rows
}

// paths is n starts and the weights that they have already.
func paths(n, d int) (x []float32, logw []float64) {
	x, logw = make([]float32, n*d), make([]float64, n)
	kernels.Normals(x, kernels.Noise{Seed: 7, Stream: kernels.StreamPrior}, 0, n, d)
	for i := range logw {
		logw[i] = float64(i)
	}
	return x, logw
}

// pathKinds are the kernels that paths can run on.
var pathKinds = []struct {
	name string
	use  tensorCores
}{{"warpgroups", tensorCores{halves: true, warpgroups: true}}, {"halves", tensorCores{halves: true}}, {"plain", tensorCores{}}}

func TestPath(t *testing.T) {
	dev := cudatest.Open(t)
	ctx := context.Background()
	for _, c := range []struct {
		name             string
		d, width, hidden int
		act              simd.Act
		residual         bool
		freqs, n, steps  int
	}{
		{"paper", 2, 128, 3, simd.SiLU, false, 0, 53, 20},
		{"one dimension", 1, 64, 2, simd.Tanh, false, 0, 48, 20},
		{"odd width, Fourier, gelu", 3, 100, 2, simd.GELU, false, 4, 49, 5},
		{"wide residual", 5, 200, 2, simd.SiLU, true, 0, 3, 5},
		{"many dimensions", 32, 64, 2, simd.SiLU, true, 0, 100, 4},
		{"streamed", 2, 128, 5, simd.SiLU, false, 0, 3, 3},
	} {
		p := cudatest.Chain(c.d, c.width, c.hidden, c.act, c.residual, c.freqs)
		cpu, err := infer.New(p, infer.Options{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		rows := pathTable(c.steps, c.d)
		no := kernels.Noise{Seed: 0x123456789abcdef, Stream: kernels.StreamPath, Sample0: 1<<32 - 5}
		want, weights := paths(c.n, c.d)
		if err := cpu.PathWeights(ctx, want, weights, rows, no, nil); err != nil {
			t.Fatal(err)
		}
		for _, kind := range pathKinds {
			if kind.use.halves && c.width > maxSplitWidth {
				continue
			}
			t.Run(c.name+"/"+kind.name, func(t *testing.T) {
				path, err := newPath(dev, p, kind.use)
				if err != nil {
					t.Fatal(err)
				}
				defer path.Close()
				if kind.use.warpgroups && path.groups == nil {
					t.Skip("no products of warpgroups here, or not for this network: as by warps")
				}
				got, logw := paths(c.n, c.d)
				done := 0
				if err := path.Weights(ctx, got, logw, rows, no, func(n int) { done = n }); err != nil {
					t.Fatal(err)
				}
				ex, ew := 0.0, farthest(logw, weights)
				for i := range want {
					ex = math.Max(ex, math.Abs(float64(got[i]-want[i])))
				}
				t.Logf("errors: states %.1e, log weights %.1e", ex, ew)
				// States: 20 steps of float32 rounding on either side. Weights: terms of order one a step, whose derivatives by
				// the state are of order 1/C.
				if !(ex <= 4e-6 && ew <= 2e-6) || done != c.n {
					t.Errorf("errors: states %.1e, log weights %.1e; %d of %d done", ex, ew, done, c.n)
				}
				// the same paths from the middle on
				lo, part := c.n/2, no
				x, w := paths(c.n, c.d)
				part.Sample0 += uint64(lo)
				if err := path.Weights(ctx, x[lo*c.d:], w[lo:], rows, part, nil); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(x[lo*c.d:], got[lo*c.d:]) || !slices.Equal(w[lo:], logw[lo:]) {
					t.Error("paths depend on the batch")
				}
			})
		}
	}
}

// More states than a launch takes: the state before and its proposal are carried over.
func TestPathLaunches(t *testing.T) {
	p := cudatest.Chain(2, 64, 1, simd.SiLU, false, 0)
	path, err := NewPath(cudatest.Open(t), p)
	if err != nil {
		t.Fatal(err)
	}
	defer path.Close()
	cpu, err := infer.New(p, infer.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	rows := pathTable(2*launchRows+6, 2)
	no := kernels.Noise{Seed: 1, Stream: kernels.StreamPath}
	want, weights := paths(5, 2)
	got, logw := paths(5, 2)
	var done []int
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := errors.Join(cpu.PathWeights(ctx, want, weights, rows, no, nil), path.Weights(ctx, got, logw, rows, no, func(n int) { done = append(done, n) })); err != nil {
		t.Fatal(err)
	}
	// weights of order 500; relative to them roundings of float32, a term a step
	if e := farthest(logw, weights); !(e < 2e-6) {
		t.Errorf("log weights %v, want %v: %.1e", logw, weights, e)
	}
	if want := []int{2, 4, 5}; !slices.Equal(done, want) {
		t.Errorf("progress %v, want %v", done, want)
	}
	x, w := paths(5, 2)
	if err := path.Weights(ctx, x, w, rows, no, func(int) { cancel() }); !errors.Is(err, context.Canceled) || w[1] != 1 {
		t.Errorf("cancelled after a launch: %v, weights %v", err, w)
	}
	for say, change := range map[string]func(rows []kernels.PathRow) ([]kernels.PathRow, []float64){
		"row 1 of the path table holds NaN": func(r []kernels.PathRow) ([]kernels.PathRow, []float64) { r[1].ReverseState = math.NaN(); return r, w },
		"without noise":                     func(r []kernels.PathRow) ([]kernels.PathRow, []float64) { r[0].Noise = 0; return r, w },
		"at least 2":                        func(r []kernels.PathRow) ([]kernels.PathRow, []float64) { return r[:1], w },
		"weights of 4 paths":                func(r []kernels.PathRow) ([]kernels.PathRow, []float64) { return r, w[:4] },
	} {
		rows, w := change(pathTable(3, 2))
		if err := path.Weights(context.Background(), x, w, rows, no, nil); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%v; want it to say %q", err, say)
		}
	}
}
