//go:build gpu && cgo

package programs_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hbar/cuda/exec"
	"hbar/cuda/internal/cudatest"
	"hbar/cuda/programs"
	"hbar/kernels"
	"hbar/kernels/cpu"
	"hbar/kernels/general"
	"hbar/nets"
	"hbar/program"
	"hbar/solver"
)

var _ solver.Numbered = (*programs.Engine)(nil)

// networks are small ones of each kind, with three classes and weights that are not zero.
func networks(t testing.TB) map[string]*nets.Network {
	t.Helper()
	unet, err := nets.NewUNet([]int{8, 4, 2}, 3, nets.UNetSizes{Channels: []int{8, 16}, Layers: 1, AttentionResolutions: []int{4}, HeadDim: 4, Groups: 4})
	if err != nil {
		t.Fatal(err)
	}
	dit, err := nets.NewDiT([]int{4, 4, 2}, 3, nets.DiTSizes{Patch: 2, Width: 24, Depth: 2, Heads: 2})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*nets.Network{}
	for name, c := range map[string]nets.Config{"unet": unet, "dit": dit} {
		n, err := nets.New(c)
		if err != nil {
			t.Fatal(err)
		}
		n.Initialise(1)
		r := rand.New(rand.NewPCG(5, 5))
		for i, w := range n.Weights {
			for j := range w {
				if p := n.Params[i]; !p.Fixed {
					w[j] = float32(r.NormFloat64() / math.Sqrt(float64(p.Size()/p.Shape[0])))
				}
			}
		}
		all[name] = n
	}
	return all
}

func engine(t testing.TB, n *nets.Network, o programs.EngineOptions) *programs.Engine {
	t.Helper()
	e, err := programs.NewEngine(cudatest.Open(t), n.Program, n.Matrices(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func normals(n int, seed uint64) ([]float32, []float64) {
	r := rand.New(rand.NewPCG(seed, 1))
	x, w := make([]float32, n), make([]float64, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
		w[i] = float64(x[i])
	}
	return x, w
}

func near[F float32 | float64](t *testing.T, name string, got []float32, want []F, tol float64) {
	t.Helper()
	top, worst := 1e-3, 0.0
	for i, w := range want {
		top = math.Max(top, math.Abs(float64(w)))
		if d := math.Abs(float64(got[i]) - float64(w)); !(d <= worst) {
			worst = d
		}
	}
	if !(worst <= tol*top) {
		t.Errorf("%s: differs by %g of %g", name, worst, top)
	}
	t.Logf("%s: differs by %.2g of the largest number", name, worst/top)
}

// Values and derivatives to third order are those of the operations' references. Third derivatives by plain operations lose some 10⁻⁵.
func TestEngineDerivatives(t *testing.T) {
	const n = 3
	for name, net := range networks(t) {
		t.Run(name, func(t *testing.T) {
			d := program.Size(net.Config.SampleShape())
			e := engine(t, net, programs.EngineOptions{Condition: general.Condition{Label: func(uint64) float64 { return 1 }, None: 3}})
			ctx, tau := context.Background(), []float64{3.5, 700, 20}
			q, p := kernels.Adjoint[float32]{}, kernels.Adjoint[float64]{}
			for i, a := range []struct {
				narrow *[]float32
				wide   *[]float64
			}{{&q.X, &p.X}, {&q.V, &p.V}, {&q.W, &p.W}, {&q.CovS, &p.CovS}, {&q.CovSV, &p.CovSV}, {&q.CovSW, &p.CovSW}, {&q.CovSVW, &p.CovSVW}} {
				*a.narrow, *a.wide = normals(n*d, uint64(i+1))
			}
			for _, r := range []*[]float32{&q.Grad, &q.S, &q.SV, &q.SW, &q.SVW} {
				*r = make([]float32, n*d)
			}
			for _, r := range []*[]float64{&p.Grad, &p.S, &p.SV, &p.SW, &p.SVW} {
				*r = make([]float64, n*d)
			}
			if err := errors.Join(e.Adjoint32(ctx, &q, tau), e.Adjoint64(ctx, &p, tau)); err != nil {
				t.Fatal(err)
			}
			near(t, "values", q.S, p.S, 1e-5) // float32 roundings through the layers; a derivative has a product for each factor
			near(t, "tangents", q.SV, p.SV, 1e-5)
			near(t, "second derivatives", q.SVW, p.SVW, 3e-5)
			near(t, "gradients", q.Grad, p.Grad, 3e-5)
			div, div64 := make([]float64, n), make([]float64, n)
			if err := errors.Join(e.Divergence(ctx, nil, div, q.X, q.V, 1, tau), e.Divergence64(ctx, nil, div64, p.X, p.V, 1, tau)); err != nil {
				t.Fatal(err)
			}
			for i := range div {
				if !(math.Abs(div[i]-div64[i]) < 1e-4*(1+math.Abs(div64[i]))) { // a sum over coordinates of terms that cancel
					t.Errorf("divergence %d is %v; want %v", i, div[i], div64[i])
				}
			}
		})
	}
}

// Trajectories with noise, memory, labels and guidance are the CPU's, in blocks of any size.
func TestEngineTrajectory(t *testing.T) {
	const n = 3
	rows := []kernels.Row{
		{Tau: 10, Cin: 0.9, State: 0.8, Net: 0.3, Noise: 0.2, KeepState: 0.1, KeepNet: 0.4, KeepNoise: 0.1, KeepMemory: 0.5, Step: 4},
		{Tau: 5, Cin: 1.1, State: 0.7, Net: 0.2, Memory: 0.3, Noise: 0.1, Step: 5},
		{Tau: 1, Cin: 1, State: 0.9, Net: 0.1, Memory: 0.1, KeepState: 0.2, KeepNet: 0.3, KeepMemory: 0.6, Step: 6},
	}
	no := kernels.Noise{Seed: 9, Stream: kernels.StreamNoise, Sample0: 3}
	for name, net := range networks(t) {
		for _, c := range []struct {
			guidance float64
			memory   int64
		}{{0.7, 1}, {0, 0}, {0.7, 0}} {
			if name == "unet" && c.memory == 0 {
				continue // slow on the emulator
			}
			t.Run(name, func(t *testing.T) {
				d := program.Size(net.Config.SampleShape())
				condition := general.Condition{Label: func(s uint64) float64 { return float64(s % 3) }, None: 3, Guidance: c.guidance}
				e := engine(t, net, programs.EngineOptions{Condition: condition, Memory: c.memory})
				on, err := cpu.NewEngine(net.Program, net.Matrices(), cpu.EngineOptions{Label: condition.Label, None: 3, Guidance: c.guidance})
				if err != nil {
					t.Fatal(err)
				}
				defer on.Close()
				if b, err := e.Block(); err != nil || (b < n) != (c.memory > 0) {
					t.Errorf("blocks of %d samples, %v", b, err)
				}
				x, _ := normals(n*d, 7)
				m, _ := normals(n*d, 8)
				start := append([]float32(nil), x...)
				wantX, wantM := append([]float32(nil), x...), append([]float32(nil), m...)
				ctx, done := context.Background(), 0
				if err := errors.Join(e.Trajectory(ctx, x, m, rows, no, func(k int) { done = k }), on.Trajectory(ctx, wantX, wantM, rows, no, nil)); err != nil {
					t.Fatal(err)
				}
				near(t, "samples", x, wantX, 2e-5) // float32 on both sides, in sums of another order, step after step
				near(t, "memory", m, wantM, 2e-5)
				if done != n {
					t.Errorf("reported %d samples of %d", done, n)
				}
				ended, cancel := context.WithCancel(ctx)
				cancel()
				again := append([]float32(nil), start...)
				if err := e.Trajectory(ended, again, nil, rows, no, nil); !errors.Is(err, context.Canceled) || again[0] != start[0] {
					t.Errorf("cancelled: %v", err)
				}
			})
		}
	}
}

// A larger batch between two equal trajectories takes other memory, so the second captures its rows anew.
func TestEngineTrajectoryAfterLargerBatch(t *testing.T) {
	const n, more = 2, 7
	net := networks(t)["dit"]
	e := engine(t, net, programs.EngineOptions{Condition: general.Condition{Label: func(s uint64) float64 { return float64(s % 3) }, None: 3}})
	rows := []kernels.Row{{Tau: 10, Cin: 0.9, State: 0.8, Net: 0.3, Noise: 0.2, Step: 1}, {Tau: 5, Cin: 1, State: 0.9, Net: 0.1, Step: 2}}
	no, ctx := kernels.Noise{Seed: 9, Stream: kernels.StreamNoise}, context.Background()
	want, _ := normals(n*e.Dim(), 7)
	got, large := slices.Clone(want), make([]float32, more*e.Dim())
	if err := errors.Join(
		e.Trajectory(ctx, want, nil, rows, no, nil),
		e.Forward(ctx, large, large, []float64{3}),
		e.Trajectory(ctx, got, nil, rows, no, nil),
	); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Error("the second trajectory is not the first")
	}
}

// Reduced precisions err by their rounding: 2⁻¹¹ and 2⁻⁸ in each factor, some times that after all layers.
func TestEnginePrecision(t *testing.T) {
	const n = 2
	for name, net := range networks(t) {
		d := program.Size(net.Config.SampleShape())
		x, w := normals(n*d, 7)
		want := make([]float64, n*d)
		for _, c := range []struct {
			p     exec.Precision
			least float64 // it is not another
			most  float64
		}{{exec.FP32, 0, 1e-5}, {exec.TF32, 2e-5, 5e-3}, {exec.BF16, 3e-4, 5e-2}, {exec.F16, 2e-5, 5e-3}} {
			e := engine(t, net, programs.EngineOptions{Precision: c.p, Condition: general.Condition{None: 3}})
			got := make([]float32, n*d)
			if err := errors.Join(e.Forward(context.Background(), got, x, []float64{3}), e.Forward64(context.Background(), want, w, []float64{3})); err != nil {
				t.Fatal(err)
			}
			top, worst := 0.0, 0.0
			for i, v := range want {
				top, worst = math.Max(top, math.Abs(v)), math.Max(worst, math.Abs(float64(got[i])-v))
			}
			if !(worst >= c.least*top && worst <= c.most*top) {
				t.Errorf("%s in %v: differs by %.2g of %.2g; want %g to %g of it", name, c.p, worst, top, c.least, c.most)
			}
			t.Logf("%s in %v: differs by %.2g of the largest number", name, c.p, worst/top)
		}
	}
}

// What finds no memory is an error, and works once there is some.
func TestEngineWithoutMemory(t *testing.T) {
	cudatest.Emulated(t)
	net := networks(t)["dit"]
	e := engine(t, net, programs.EngineOptions{Condition: general.Condition{None: 3}})
	x := make([]float32, e.Dim())
	rows, ctx := []kernels.Row{{Tau: 1, Cin: 1, State: 1, Net: 0.1}}, context.Background()
	if err := e.Forward(ctx, x, x, []float64{1}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HBAR_EMU_MEMORY", "1")
	for range 2 {
		for what, err := range map[string]error{
			"a trajectory":             e.Trajectory(ctx, x, nil, rows, kernels.Noise{}, nil),
			"a program of derivatives": e.Tangent(ctx, nil, x, x, x, 1, []float64{1}),
		} {
			if err == nil || !strings.Contains(err.Error(), "CUDA_ERROR_OUT_OF_MEMORY") {
				t.Errorf("%s without memory: %v", what, err)
			}
		}
	}
	t.Setenv("HBAR_EMU_MEMORY", "")
	if err := errors.Join(e.Trajectory(ctx, x, nil, rows, kernels.Noise{}, nil), e.Tangent(ctx, nil, slices.Clone(x), x, x, 1, []float64{1})); err != nil {
		t.Errorf("with memory: %v", err)
	}
}

// A closed engine says so.
func TestEngineClosed(t *testing.T) {
	net := networks(t)["dit"]
	e := engine(t, net, programs.EngineOptions{Condition: general.Condition{None: 3}})
	x := make([]float32, e.Dim())
	if err := errors.Join(e.Forward(context.Background(), x, x, []float64{1}), e.Close(), e.Close()); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		e.Forward(context.Background(), x, x, []float64{1}),
		e.Tangent(context.Background(), nil, x, x, x, 1, []float64{1}),
		e.Trajectory(context.Background(), x, nil, []kernels.Row{{State: 1}}, kernels.Noise{}, nil),
	} {
		if err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("after Close: %v", err)
		}
	}
}
