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

// close fails unless got and want differ by at most tol times the largest element of want.
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
	s := all(t)[3]
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

// All derivatives against differences of the float64 score: central differences of second order in δ = 10⁻⁴ leave
// about 10⁻⁸ of the size of the next derivatives; those of derivatives that were checked before are no worse.
func TestNetworkDerivatives(t *testing.T) {
	ctx := context.Background()
	const delta, tol = 1e-4, 1e-6
	eachNetwork(t, func(t *testing.T, net mlp, s Schedule, p Prediction, x, tt []float64) {
		n := len(x) / 2
		m := net.network(t, s, p, Float64)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		score := func(x []float64) []float64 {
			s := make([]float64, len(x))
			must(m.Score(ctx, s, x, tt))
			return s
		}
		// along is the derivative of f in direction v
		along := func(f func([]float64) []float64, v []float64) []float64 {
			a, b := slices.Clone(x), slices.Clone(x)
			for i := range x {
				a[i] += delta * v[i]
				b[i] -= delta * v[i]
			}
			fa, fb := f(a), f(b)
			for i := range fa {
				fa[i] = (fa[i] - fb[i]) / (2 * delta)
			}
			return fa
		}
		unit := func(j int) []float64 {
			v := make([]float64, len(x))
			for i := range n {
				v[2*i+j] = 1
			}
			return v
		}
		v, w := normals(len(x), 1), normals(len(x), 2)

		sv := make([]float64, len(x))
		must(m.ScoreDiv(ctx, sv, nil, x, tt))
		closeTo(t, "ScoreDiv without div", sv, score(x), 0)
		div := make([]float64, n)
		must(m.ScoreDiv(ctx, sv, div, x, tt))
		closeTo(t, "ScoreDiv's score", sv, score(x), 1e-13)
		d0, d1 := along(score, unit(0)), along(score, unit(1))
		wantDiv := make([]float64, n)
		for i := range n {
			wantDiv[i] = d0[2*i] + d1[2*i+1]
		}
		closeTo(t, "divergence", div, wantDiv, tol)

		// two directions at once
		vw, jv := make([]float64, 2*len(x)), make([]float64, 2*len(x))
		for i := range n {
			copy(vw[4*i:], v[2*i:2*i+2])
			copy(vw[4*i+2:], w[2*i:2*i+2])
		}
		must(m.ScoreJVP(ctx, sv, jv, x, vw, 2, tt))
		closeTo(t, "ScoreJVP's score", sv, score(x), 1e-13)
		wantJV, dv, dw := make([]float64, 2*len(x)), along(score, v), along(score, w)
		for i := range n {
			copy(wantJV[4*i:], dv[2*i:2*i+2])
			copy(wantJV[4*i+2:], dw[2*i:2*i+2])
		}
		closeTo(t, "ScoreJVP", jv, wantJV, tol)

		// adjoints: gradients of the scalar that they differentiate, which comes from jets of second order
		jet := func(x []float64, order int) []float64 {
			dst := make([]float64, len(x)*simd.NJet(2, order))
			must(m.ScoreJets(ctx, dst, x, tt, order))
			return dst
		}
		a, b, c, e := normals(len(x), 3), normals(len(x), 4), normals(len(x), 5), normals(len(x), 6)
		scalar := func(x []float64) []float64 { // n values, from 1, x, y, x², xy, y²
			j, out := jet(x, 2), make([]float64, n)
			for i := range n {
				for k := range 2 {
					q := j[(2*i+k)*6:][:6]
					out[i] += a[2*i+k]*q[0] + b[2*i+k]*(q[1]*v[2*i]+q[2]*v[2*i+1]) + c[2*i+k]*(q[1]*w[2*i]+q[2]*w[2*i+1]) +
						e[2*i+k]*(2*q[3]*v[2*i]*w[2*i]+q[4]*(v[2*i]*w[2*i+1]+v[2*i+1]*w[2*i])+2*q[5]*v[2*i+1]*w[2*i+1])
				}
			}
			return out
		}
		g, sw, svw := make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(x))
		ss := make([]float64, len(x))
		must(m.ScoreVJP2(ctx, g, ss, sv, sw, svw, x, v, w, a, b, c, e, tt))
		closeTo(t, "ScoreVJP2's s", ss, score(x), 1e-13)
		closeTo(t, "ScoreVJP2's sv", sv, dv, tol)
		closeTo(t, "ScoreVJP2's sw", sw, dw, tol)
		g0, g1 := along(scalar, unit(0)), along(scalar, unit(1))
		want := make([]float64, len(x))
		for i := range n {
			want[2*i], want[2*i+1] = g0[i], g1[i]
		}
		closeTo(t, "ScoreVJP2's gradient", g, want, tol)
		closeTo(t, "ScoreVJP2's svw", svw, along(func(x []float64) []float64 {
			out := make([]float64, len(x))
			must(m.ScoreJVP(ctx, nil, out, x, v, 1, tt))
			return out
		}, w), tol)

		// with directions left out
		b2, c2 := make([]float64, len(x)), make([]float64, len(x))
		must(m.ScoreVJP(ctx, nil, b2, x, a, tt))
		must(m.ScoreVJP2(ctx, c2, nil, sv, sw, svw, x, nil, nil, a, b, c, e, tt))
		closeTo(t, "ScoreVJP2 without directions", c2, b2, 0)
		closeTo(t, "and its derivatives", slices.Concat(sv, sw, svw), make([]float64, 3*len(x)), 0)
		must(m.ScoreVJP2(ctx, b2, nil, sv, nil, nil, x, v, nil, a, b, nil, nil, tt))
		must(m.ScoreVJP2(ctx, c2, nil, nil, sw, svw, x, nil, v, a, nil, b, e, tt))
		closeTo(t, "ScoreVJP2 with w alone", slices.Concat(c2, sw), slices.Concat(b2, sv), 0)

		// jets: coefficient α of third order is the derivative of one of second order over the new exponent
		j3 := jet(x, 3)
		for k, alpha := range simd.JetIndex(2, 3) {
			if k == 0 {
				continue
			}
			axis := 0
			if alpha[0] == 0 {
				axis = 1
			}
			lower := slices.Clone(alpha)
			lower[axis]--
			from := simd.JetPos(lower...)
			got := make([]float64, len(x))
			for i := range got {
				got[i] = j3[i*10+k] * float64(alpha[axis])
			}
			closeTo(t, fmt.Sprintf("jet %v", alpha), got, along(func(x []float64) []float64 {
				j, out := jet(x, 2), make([]float64, len(x))
				for i := range out {
					out[i] = j[i*6+from]
				}
				return out
			}, unit(axis)), tol)
		}

		// float32 says the same to its digits
		m32 := net.network(t, s, p, Float32)
		div32, g32, jv32 := make([]float64, n), make([]float64, len(x)), make([]float64, len(jv))
		must(m32.ScoreDiv(ctx, sv, div32, x, tt))
		closeTo(t, "float32 divergence", div32, div, 1e-5)
		must(m32.ScoreJVP(ctx, nil, jv32, x, vw, 2, tt))
		closeTo(t, "float32 ScoreJVP", jv32, jv, 1e-5)
		must(m32.ScoreVJP2(ctx, g32, nil, nil, nil, nil, x, v, w, a, b, c, e, tt))
		closeTo(t, "float32 ScoreVJP2", g32, g, 1e-5)
	})
}

// The fused float32 trajectory and the float64 loop, both from the same seed, agree sample by sample: float32 states
// and networks lose about 10⁻⁶ a step, and the process forgets; for every prediction type, sampler and h.
func TestFusedAgreesWithReference(t *testing.T) {
	net := newMLP(2, 20)
	for _, s := range []Schedule{all(t)[0], all(t)[1]} {
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
					closeTo(t, what, x, want, 1e-4)
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
	s := all(t)[0]
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
	s := all(t)[0]
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
