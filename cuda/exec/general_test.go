//go:build gpu && cgo

package exec

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"hbar/cuda/driver"
	"hbar/cuda/internal/cudatest"
	"hbar/kernels"
	"hbar/kernels/infer"
	"hbar/kernels/simd"
)

type generalCase struct {
	name string
	p    *kernels.Chain
	n    int
}

func generalCases() []generalCase {
	return []generalCase{
		{"paper", cudatest.Chain(2, 128, 3, simd.SiLU, false, 0), 7},
		{"wide", cudatest.Chain(2, 300, 2, simd.GELU, false, 0), 3},
		{"panels", cudatest.Chain(2, 256, 2, simd.Tanh, true, 0), 3},
		{"unequal", cudatest.Layered(3, 0, cudatest.Dense(20, simd.Tanh, -1), cudatest.Dense(70, simd.Identity, -1), cudatest.Dense(20, simd.GELU, 1), cudatest.Dense(3, simd.Identity, -1)), 5},
		{"deep residual", cudatest.Chain(1, 24, 5, simd.SiLU, true, 0), 6},
		{"Fourier", cudatest.Chain(3, 40, 2, simd.SiLU, true, 4), 4},
		{"many dimensions", cudatest.Chain(40, 50, 2, simd.Tanh, false, 0), 3},
		{"adds its input, active output", cudatest.Layered(2, 3, cudatest.Dense(8, simd.SiLU, 0), cudatest.Dense(8, simd.Tanh, 0), cudatest.Dense(2, simd.GELU, -1), cudatest.Dense(2, simd.Tanh, 3)), 5},
	}
}

// withGeneral opens a case's network on the device and on the CPU.
func withGeneral(t *testing.T, d *driver.Device, p *kernels.Chain) (*General, *infer.Engine) {
	t.Helper()
	cpu, err := infer.New(p, infer.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGeneral(d, p, FP32)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g, cpu
}

func normals64(n int, seed uint64) []float64 {
	r := rand.New(rand.NewPCG(3, seed))
	x := make([]float64, n)
	for i := range x {
		x[i] = float64(float32(r.NormFloat64()))
	}
	return x
}

func to32(x []float64) []float32 {
	if x == nil {
		return nil
	}
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

// near compares with float64 numbers, relative to the largest of them.
func near[F simd.Float](t *testing.T, what string, got []F, want []float64, tol float64) {
	t.Helper()
	size, worst, at := 1.0, 0.0, 0
	for _, v := range want {
		size = max(size, math.Abs(v))
	}
	for i, v := range want {
		if e := math.Abs(float64(got[i])-v) / size; !(e <= worst) {
			worst, at = e, i
		}
	}
	t.Logf("%s: off by up to %.2g of the largest, allowed %g", what, worst, tol)
	if len(got) != len(want) || !(worst <= tol) {
		t.Errorf("%s: number %d is %v, want %v: off by %.2g of the largest, allowed %g", what, at, got[at], want[at], worst, tol)
	}
}

// What is allowed for rounding, relative to the largest number. Sums of up to some hundred terms go through a few layers: some ten units
// in the last place, 6e-8 of float32 and 1e-16 of float64; derivatives have a product for each factor. Measured, on the emulated device: 2.5e-7 and
// 8e-16 of values, 5.2e-7 and 9e-16 of derivatives.
const (
	near32, near64   = 2e-6, 1e-14
	near32d, near64d = 4e-6, 2e-14
	// A step adds a rounding of the state; the rows shrink those before it. Measured 4e-7 after 20 steps.
	nearState = 1e-6
	// Log weights are sums of terms of order one, a step each; measured 2.3e-7.
	nearWeight = 2e-6
	// Half precision rounds weights and activations to 2⁻¹² each, 2.4e-4, in every layer; sums average it. Measured 3.3e-4.
	nearF16 = 2e-3
	// Of that a trajectory adds a small part a step (Net = 0.1 and less). Measured 1.6e-4.
	nearF16State = 5e-4
)

func TestGeneralValues(t *testing.T) {
	dev := cudatest.Open(t)
	ctx := context.Background()
	for _, c := range generalCases() {
		t.Run(c.name, func(t *testing.T) {
			g, cpu := withGeneral(t, dev, c.p)
			d := c.p.D
			for _, n := range []int{c.n, 1} {
				x, tau := normals64(n*d, 1), []float64{0.3}
				if n > 1 {
					tau = normals64(n, 2)
				}
				want := make([]float64, n*d)
				if err := cpu.Forward64(ctx, want, x, tau); err != nil {
					t.Fatal(err)
				}
				y64, y32 := make([]float64, n*d), make([]float32, n*d)
				if err := errors.Join(g.Forward64(ctx, y64, x, tau), g.Forward(ctx, y32, to32(x), tau)); err != nil {
					t.Fatal(err)
				}
				near(t, "Forward64", y64, want, near64)
				near(t, "Forward", y32, want, near32)

				for _, k := range []int{2, d} {
					var v []float64
					if k == 2 {
						v = normals64(n*k*d, 4)
					}
					if k == 2 && d == 2 {
						v = nil
					}
					jv, div := make([]float64, n*k*d), make([]float64, n)
					if err := errors.Join(cpu.Tangent64(ctx, nil, jv, x, v, k, tau), cpu.Divergence64(ctx, nil, div, x, v, k, tau)); err != nil {
						t.Fatal(err)
					}
					jv64, jv32, div64, div32 := make([]float64, n*k*d), make([]float32, n*k*d), make([]float64, n), make([]float64, n)
					clear(y64)
					clear(y32)
					err := errors.Join(g.Tangent64(ctx, y64, jv64, x, v, k, tau), g.Tangent(ctx, nil, jv32, to32(x), to32(v), k, tau),
						g.Divergence64(ctx, nil, div64, x, v, k, tau), g.Divergence(ctx, y32, div32, to32(x), to32(v), k, tau))
					if err != nil {
						t.Fatal(err)
					}
					near(t, "Tangent64", jv64, jv, near64d)
					near(t, "Tangent", jv32, jv, near32d)
					near(t, "Divergence64", div64, div, near64d)
					near(t, "Divergence", div32, div, near32d)
					near(t, "Tangent64's values", y64, want, near64)
					near(t, "Divergence's values", y32, want, near32)
				}
			}
		})
	}
}

func TestGeneralAdjoint(t *testing.T) {
	dev := cudatest.Open(t)
	ctx := context.Background()
	for _, c := range generalCases() {
		t.Run(c.name, func(t *testing.T) {
			g, cpu := withGeneral(t, dev, c.p)
			n := c.n
			size := n * c.p.D
			tau := normals64(n, 2)
			x := normals64(size, 1)
			full := kernels.Adjoint[float64]{X: x, V: normals64(size, 5), W: normals64(size, 6), CovS: normals64(size, 7), CovSV: normals64(size, 8), CovSW: normals64(size, 9), CovSVW: normals64(size, 10)}
			tangent, value, forward := full, kernels.Adjoint[float64]{X: x, CovS: full.CovS}, full
			tangent.W, tangent.CovSW, tangent.CovSVW = nil, nil, nil
			forward.CovSV = nil
			for name, q := range map[string]kernels.Adjoint[float64]{"four rows": full, "two rows": tangent, "one row": value, "no gradient": forward} {
				var want, got [5][]float64
				var got32 [5][]float32
				for i := range want {
					want[i], got[i], got32[i] = make([]float64, size), make([]float64, size), make([]float32, size)
				}
				bind := func(q kernels.Adjoint[float64], r *[5][]float64) *kernels.Adjoint[float64] {
					if name != "no gradient" {
						q.Grad = r[0]
					}
					q.S = r[1]
					if q.V != nil {
						q.SV = r[2]
					}
					if q.W != nil {
						q.SW, q.SVW = r[3], r[4]
					}
					return &q
				}
				b := bind(q, &got)
				q32 := &kernels.Adjoint[float32]{X: to32(q.X), V: to32(q.V), W: to32(q.W), CovS: to32(q.CovS), CovSV: to32(q.CovSV), CovSW: to32(q.CovSW), CovSVW: to32(q.CovSVW)}
				for i, p := range []*[]float32{&q32.Grad, &q32.S, &q32.SV, &q32.SW, &q32.SVW} {
					if [][]float64{b.Grad, b.S, b.SV, b.SW, b.SVW}[i] != nil {
						*p = got32[i]
					}
				}
				if err := errors.Join(cpu.Adjoint64(ctx, bind(q, &want), tau), g.Adjoint64(ctx, b, tau), g.Adjoint32(ctx, q32, tau)); err != nil {
					t.Fatal(err)
				}
				for i, what := range []string{"gradient", "s", "s'v", "s'w", "s''vw"} {
					near(t, name+": "+what, got[i], want[i], near64d)
					near(t, name+": "+what+" in float32", got32[i], want[i], 2*near32d)
				}
			}
		})
	}
}

func TestGeneralJets(t *testing.T) {
	dev := cudatest.Open(t)
	ctx := context.Background()
	for _, c := range generalCases() {
		d := c.p.D
		if d > kernels.MaxJetDim {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			g, cpu := withGeneral(t, dev, c.p)
			n := 2
			x, tau := normals64(n*d, 1), normals64(n, 2)
			for _, order := range []int{0, 1, 3, kernels.MaxJetOrder} {
				if order == kernels.MaxJetOrder && c.p.Widths[1] > 100 {
					continue // slow here
				}
				size := n * d * simd.NJet(d, order)
				want, got := make([]float64, size), make([]float64, size)
				if err := errors.Join(cpu.Jets64(ctx, want, x, tau, order), g.Jets64(ctx, got, x, tau, order)); err != nil {
					t.Fatal(err)
				}
				near(t, fmt.Sprint("order ", order), got, want, near64d)
			}
		})
	}
}

// trajectoryOf is the loop that a trajectory replaces, in float64.
func trajectoryOf(t *testing.T, e *infer.Engine, x, m []float64, rows []kernels.Row, no kernels.Noise) {
	in, y, z := make([]float64, len(x)), make([]float64, len(x)), make([]float32, len(x))
	for _, r := range rows {
		for i, v := range x {
			in[i] = r.Cin * v
		}
		if err := e.Forward64(context.Background(), y, in, []float64{r.Tau}); err != nil {
			t.Fatal(err)
		}
		kernels.Normals(z, no, r.Step, len(x)/e.Dim(), e.Dim())
		for i := range x {
			z := float64(z[i])
			x[i], m[i] = r.State*x[i]+r.Net*y[i]+r.Memory*m[i]+r.Noise*z, r.KeepState*x[i]+r.KeepNet*y[i]+r.KeepNoise*z+r.KeepMemory*m[i]
		}
	}
}

// The trajectory against the loop in float64, and the weights of a path against the CPU's.
func TestGeneralSteps(t *testing.T) {
	dev := cudatest.Open(t)
	ctx := context.Background()
	for _, c := range generalCases() {
		t.Run(c.name, func(t *testing.T) {
			g, cpu := withGeneral(t, dev, c.p)
			d, n := c.p.D, c.n
			no := kernels.Noise{Seed: 0x123456789abcdef, Stream: kernels.StreamNoise, Sample0: 1<<32 - 2}
			x64, m64 := normals64(n*d, 1), make([]float64, n*d)
			x0 := to32(x64)
			rows := cudatest.Rows()
			trajectoryOf(t, cpu, x64, m64, rows, no)
			x, m := slices.Clone(x0), make([]float32, n*d)
			var done []int
			if err := g.Trajectory(ctx, x, m, rows, no, func(k int) { done = append(done, k) }); err != nil {
				t.Fatal(err)
			}
			near(t, "state", x, x64, nearState)
			near(t, "memory", m, m64, nearState)
			if want := []int{n * 16 / 20, n}; !slices.Equal(done, want) {
				t.Errorf("progress %v, want %v", done, want)
			}
			y := slices.Clone(x0[d*(n/2):])
			no2 := no
			no2.Sample0 += uint64(n / 2)
			if err := g.Trajectory(ctx, y, nil, rows, no2, nil); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(y, x[d*(n/2):]) {
				t.Error("samples depend on the batch")
			}

			path := make([]kernels.PathRow, 6)
			for k := range path {
				s := float64(k) / 6
				path[k] = kernels.PathRow{Tau: s, Cin: 1 - 0.2*s, State: 0.9, Net: 0.1, Noise: 0.3 + 0.01*s, ReverseState: 1.1, ReverseNet: -0.1, ReversePrecision: 11, LogNorm: 0.05, Step: uint32(k + 2)}
			}
			wx, x := slices.Clone(x0), slices.Clone(x0)
			want, logw := normals64(n, 3), normals64(n, 3)
			if err := errors.Join(cpu.PathWeights(ctx, wx, want, path, no, nil), g.PathWeights(ctx, x, logw, path, no, nil)); err != nil {
				t.Fatal(err)
			}
			end := make([]float64, n*d)
			for i, v := range wx {
				end[i] = float64(v)
			}
			near(t, "end of the path", x, end, nearState)
			near(t, "log weights", logw, want, nearWeight)
		})
	}
}
