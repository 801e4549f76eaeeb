package solver

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hbar/kernels"
	"hbar/kernels/infer"
	"hbar/kernels/simd"
)

// mlp is a small random network and a plain float64 evaluation of it.
type mlp struct {
	d, w int
	p    *kernels.Chain
}

func newMLP(d, w int) mlp {
	rng := rand.New(kernels.NewSource(7, kernels.StreamInit, 0))
	widths := []int{d + 1, w, w, d}
	p := &kernels.Chain{D: d, Widths: widths, Output: 3}
	for i := range 3 {
		in, out := widths[i], widths[i+1]
		wt, b := make([]float32, in*out), make([]float32, out)
		for j := range wt {
			wt[j] = float32(rng.NormFloat64() / math.Sqrt(float64(in)))
		}
		for j := range b {
			b[j] = float32(rng.NormFloat64() / 3)
		}
		p.Params = append(p.Params, kernels.Param{Name: fmt.Sprintf("dense%d.weight", i), Rows: out, Cols: in, Data: wt},
			kernels.Param{Name: fmt.Sprintf("dense%d.bias", i), Rows: out, Cols: 1, Data: b})
		act := simd.SiLU
		if i == 2 {
			act = simd.Identity
		}
		p.Forward = append(p.Forward, kernels.Instr{Op: kernels.OpDense, Dst: i + 1, Src: i, Add: -1, W: 2 * i, B: 2*i + 1, Act: act})
	}
	return mlp{d, w, p}
}

func (m mlp) eval(x []float64, tau float64) []float64 {
	h := append(slices.Clone(x), tau)
	for i := range 3 {
		wt, b := m.p.Params[2*i], m.p.Params[2*i+1]
		next := make([]float64, wt.Rows)
		for o := range next {
			v := float64(b.Data[o])
			for k := range h {
				v += float64(wt.Data[o*wt.Cols+k]) * h[k]
			}
			if i < 2 {
				v /= 1 + math.Exp(-v)
			}
			next[o] = v
		}
		h = next
	}
	return h
}

func (m mlp) network(t *testing.T, s Schedule, p Prediction, precision Precision) *Network {
	t.Helper()
	e, err := infer.New(m.p, infer.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	n, err := NewNetwork(e, s, p, precision)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func normals(n int, sample uint64) []float64 {
	rng := rand.New(kernels.NewSource(9, kernels.StreamData, sample))
	x := make([]float64, n)
	for i := range x {
		x[i] = rng.NormFloat64()
	}
	return x
}

// closeTo fails unless got and want differ by at most tol times the largest element of want.
func closeTo(t *testing.T, what string, got, want []float64, tol float64) {
	t.Helper()
	var size float64
	for _, v := range want {
		size = max(size, math.Abs(v))
	}
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= tol*size) {
			t.Errorf("%s: element %d is %v, want %v", what, i, got[i], want[i])
			return
		}
	}
}

// eachNetwork runs f for every prediction on a schedule with α ≠ 1 and α² + σ² ≠ 1, D = 2, times mixed and shared.
func eachNetwork(t *testing.T, f func(t *testing.T, net mlp, s Schedule, p Prediction, x, tt []float64)) {
	net := newMLP(2, 20)
	s := named(t, "subvp")
	const n = 5
	x := normals(n*2, 0)
	for _, p := range allPredictions(t) {
		for _, tt := range [][]float64{{0.4}, {0.9, 0.1, 0.4, 0.05, 1}} {
			t.Run(fmt.Sprintf("%v/%d", p, len(tt)), func(t *testing.T) { f(t, net, s, p, x, tt) })
		}
	}
}

func timeOf(tt []float64, i int) float64 {
	if len(tt) == 1 {
		return tt[0]
	}
	return tt[i]
}

func TestNetworkScore(t *testing.T) {
	ctx := context.Background()
	eachNetwork(t, func(t *testing.T, net mlp, s Schedule, p Prediction, x, tt []float64) {
		want := make([]float64, len(x))
		for i := range len(x) / 2 {
			cin, P, Q, tau := p.Coeffs(s, timeOf(tt, i))
			y := net.eval([]float64{cin * x[2*i], cin * x[2*i+1]}, tau)
			want[2*i], want[2*i+1] = P*x[2*i]+Q*y[0], P*x[2*i+1]+Q*y[1]
		}
		got := make([]float64, len(x))
		for _, c := range []struct {
			precision Precision
			tol       float64 // roundings of a few sums of 20
		}{{Float64, 1e-13}, {Float32, 3e-6}} {
			if err := net.network(t, s, p, c.precision).Score(ctx, got, x, tt); err != nil {
				t.Fatal(err)
			}
			closeTo(t, fmt.Sprintf("precision %d", c.precision), got, want, c.tol)
		}
	})
}

// The fused float32 trajectory and the float64 loop, both from the same seed, agree sample by sample: float32 states
// and networks lose about 10⁻⁶ a step, and the process forgets; for every prediction type, sampler and h.
func TestFusedAgreesWithReference(t *testing.T) {
	net := newMLP(2, 20)
	for _, s := range []Schedule{named(t, "simple"), named(t, "cosine")} {
		for _, p := range allPredictions(t) {
			model := net.network(t, s, p, Float64)
			for i := range samplers {
				for _, h := range []float64{0, 1} {
					o := Options{TableOptions: TableOptions{Sampler: Sampler(i), Grid: GridLambda, Steps: 40, H: h}, N: 30, Seed: 4}
					o.Record = []float64{s.Tmax(), 0.5, s.Tmin()}
					x, xs, _ := collect(t, model, s, o)
					o.Reference = true
					want, wants, _ := collect(t, model, s, o)
					what := fmt.Sprintf("%s %v %v h=%v", s.Name(), p, Sampler(i), h)
					closeTo(t, what, x, want, 1e-4) // 40 steps of 10⁻⁶ each
					for k := range xs {
						closeTo(t, what+", recorded", xs[k], wants[k], 1e-4)
					}
				}
			}
		}
	}
}

// Chunks and recording leave the fused samples alone, and progress ends at N.
func TestFusedSplits(t *testing.T) {
	s := named(t, "simple")
	model := newMLP(3, 20).network(t, s, Prediction{Target: PredictV}, Float32)
	for i := range samplers {
		o := Options{TableOptions: TableOptions{Sampler: Sampler(i), Grid: GridKarras, Steps: 25, H: 0.5}, N: 90, Seed: 4}
		want, _, _ := collect(t, model, s, o)
		for _, size := range []int{1, 7, 89} {
			c := o
			c.Chunk, c.Record = size, []float64{0.3, 0.6}
			last := 0
			c.Progress = func(done int) {
				if done < last || done > o.N {
					t.Errorf("progress %d after %d of %d", done, last, o.N)
				}
				last = done
			}
			if got, _, _ := collect(t, model, s, c); !slices.Equal(got, want) {
				t.Errorf("%v: chunks of %d change the samples", Sampler(i), size)
			}
			if last != o.N {
				t.Errorf("progress ends at %d of %d", last, o.N)
			}
		}
	}
}

func TestNetworkErrors(t *testing.T) {
	s := named(t, "simple")
	m := newMLP(2, 8).network(t, s, Prediction{}, Float32)
	ctx := context.Background()
	four, three, two := make([]float64, 4), make([]float64, 3), make([]float64, 2)
	for what, err := range map[string]error{
		"x has 3 elements; need a multiple of D = 2":  m.Score(ctx, three, three, []float64{1}),
		"3 times for 2 samples":                       m.Score(ctx, four, four, three),
		"a slice has 3 elements; need 4":              m.Score(ctx, three, four, []float64{1}),
		"a slice has 3 elements; need 2":              m.ScoreDiv(ctx, nil, three, four, []float64{1}),
		"0 directions":                                m.ScoreJVP(ctx, nil, nil, four, nil, 0, []float64{1}),
		"v has 4 elements and jv 2; need n·k·D = 4":   m.ScoreJVP(ctx, nil, two, four, four, 1, []float64{1}),
		"a slice has 2 elements; need 4":              m.ScoreVJP(ctx, nil, four, four, two, []float64{1}),
		"Taylor expansion of order -1; need 0 or mor": m.ScoreJets(ctx, four, four, []float64{1}, -1),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("error %v, want %s", err, what)
		}
	}
	if _, err := NewNetwork(m.Engine(), s, Prediction{Target: 9}, Float32); err == nil {
		t.Error("prediction 9 accepted")
	}
	if _, err := NewNetwork(m.Engine(), s, Prediction{}, 2); err == nil {
		t.Error("precision 2 accepted")
	}
}
