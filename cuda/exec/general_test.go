//go:build gpu && cgo

package exec

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
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
	if len(got) != len(want) || !(worst <= tol) {
		t.Errorf("%s: number %d is %v, want %v: off by %.2g of the largest, allowed %g", what, at, got[at], want[at], worst, tol)
	}
}

// Roundings of sums of some hundred terms, through a few layers; derivatives have more of them.
const (
	near32, near64   = 2e-6, 2e-14
	near32d, near64d = 1e-5, 1e-13
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
			full := kernels.Adjoint[float64]{X: x, V: normals64(size, 5), W: normals64(size, 6), A: normals64(size, 7), B: normals64(size, 8), C: normals64(size, 9), E: normals64(size, 10)}
			tangent, value, forward := full, kernels.Adjoint[float64]{X: x, A: full.A}, full
			tangent.W, tangent.C, tangent.E = nil, nil, nil
			forward.B = nil
			for name, q := range map[string]kernels.Adjoint[float64]{"four rows": full, "two rows": tangent, "one row": value, "no gradient": forward} {
				var want, got [5][]float64
				var got32 [5][]float32
				for i := range want {
					want[i], got[i], got32[i] = make([]float64, size), make([]float64, size), make([]float32, size)
				}
				bind := func(q kernels.Adjoint[float64], r *[5][]float64) *kernels.Adjoint[float64] {
					if name != "no gradient" {
						q.G = r[0]
					}
					q.S = r[1]
					if q.V != nil {
						q.SV = r[2]
					}
					if q.W != nil {
						q.SW, q.H = r[3], r[4]
					}
					return &q
				}
				b := bind(q, &got)
				q32 := &kernels.Adjoint[float32]{X: to32(q.X), V: to32(q.V), W: to32(q.W), A: to32(q.A), B: to32(q.B), C: to32(q.C), E: to32(q.E)}
				for i, p := range []*[]float32{&q32.G, &q32.S, &q32.SV, &q32.SW, &q32.H} {
					if [][]float64{b.G, b.S, b.SV, b.SW, b.H}[i] != nil {
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
		if err := e.Forward64(context.Background(), y, in, []float64{r.T}); err != nil {
			t.Fatal(err)
		}
		kernels.Normals(z, no, r.Step, len(x)/e.Dim(), e.Dim())
		for i := range x {
			z := float64(z[i])
			x[i], m[i] = r.A*x[i]+r.B*y[i]+r.M*m[i]+r.C*z, r.G*x[i]+r.H*y[i]+r.J*z+r.K*m[i]
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
			near(t, "state", x, x64, 1e-6)
			near(t, "memory", m, m64, 1e-6)
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
				path[k] = kernels.PathRow{T: s, Cin: 1 - 0.2*s, A: 0.9, B: 0.1, C: 0.3 + 0.01*s, E: 1.1, F: -0.1, InvC2: 11, LogC: 0.05, Step: uint32(k + 2)}
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
			near(t, "end of the path", x, end, 1e-6)
			near(t, "log weights", logw, want, 1e-5)
		})
	}
}

// All float32 tiles give the same sums, bit for bit, and each tile does whatever the strides, at sizes around the edges;
// nothing outside is touched.
func TestDense(t *testing.T) {
	dev := cudatest.Open(t)
	g, err := NewGeneral(dev, cudatest.Chain(1, 8, 1, simd.Tanh, false, 0), FP32)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := g.Forward64(context.Background(), []float64{0}, []float64{1}, []float64{1}); err != nil { // makes net64
		t.Fatal(err)
	}
	for _, s := range [][3]int{{1, 1, 1}, {3, 17, 0}, {65, 66, 17}, {130, 129, 9}, {257, 16, 33}} {
		testDense(t, g.net32, s[0], s[1], s[2], tileF32Large, tileF32Small, tileF32Narrow)
		testDense(t, g.net64, s[0], s[1], s[2], tileF64Tensor)
		testDense(t, g.net64, s[0], s[1], s[2], tileF64Narrow)
	}
}

func testDense[F simd.Float](t *testing.T, n *layers[F], rows, columns, depth int, tiles ...tile) {
	a, b := normals64(rows*depth+1, 1), normals64(depth*columns+1, 2)
	want := make([]float64, rows*columns)
	for i := range rows {
		for j := range columns {
			for k := range depth {
				want[i*columns+j] += a[i*depth+k] * b[k*columns+j]
			}
		}
	}
	transposed := func(v []float64, r, c int) []float64 {
		w := make([]float64, len(v))
		for i := range r {
			for j := range c {
				w[j*r+i] = v[i*c+j]
			}
		}
		return w
	}
	const guard = 1234
	var first []F
	for _, tl := range tiles {
		for layout := range 4 {
			q := denseArgs{M: int32(rows), N: int32(columns), K: int32(depth), Group: 1, CRow: int64(columns + 1)}
			pa, pb := a, b
			q.A.Row, q.A.Col, q.B.Row, q.B.Col = int64(depth), 1, int64(columns), 1
			if layout&1 != 0 {
				pa = transposed(a[:rows*depth], rows, depth)
				q.A.Row, q.A.Col = 1, int64(rows)
			}
			if layout&2 != 0 {
				pb = transposed(b[:depth*columns], depth, columns)
				q.B.Row, q.B.Col = 1, int64(depth)
			}
			c := make([]F, rows*(columns+1))
			for i := range c {
				c[i] = guard
			}
			var buffers []*driver.Buffer
			for i, v := range [][]float64{pa, pb} {
				f := make([]F, len(v))
				for j := range v {
					f[j] = F(v[j])
				}
				if len(f) == 0 {
					f = make([]F, 1)
				}
				buf, err := driver.NewBuffer(n.g.d, f)
				if err != nil {
					t.Fatal(err)
				}
				buffers = append(buffers, buf)
				if i == 0 {
					q.A.At = buf.Address()
				} else {
					q.B.At = buf.Address()
				}
			}
			out, err := driver.NewBuffer(n.g.d, c)
			if err != nil {
				t.Fatal(err)
			}
			q.C = out.Address()
			if err := errors.Join(n.denseBy(tl, &q), driver.Download(c, out), out.Free(), buffers[0].Free(), buffers[1].Free()); err != nil {
				t.Fatal(err)
			}
			got := make([]F, 0, rows*columns)
			for i := range rows {
				got = append(got, c[i*(columns+1):][:columns]...)
				if c[i*(columns+1)+columns] != guard {
					t.Fatalf("%s, %d×%d×%d: wrote behind row %d", tl.name, rows, columns, depth, i)
				}
			}
			eps := map[int]float64{4: 1e-6, 8: 2e-15}[n.size()]
			near(t, fmt.Sprintf("%s, %d×%d×%d, layout %d", tl.name, rows, columns, depth, layout), got, want, eps)
			if first == nil {
				first = got
			} else if !slices.Equal(first, got) {
				t.Errorf("%s, %d×%d×%d, layout %d: other bits than %s", tl.name, rows, columns, depth, layout, tiles[0].name)
			}
		}
	}
}

// However a batch is cut, the numbers are the same; no room at all is an error that says so. Buffers are kept between calls.
func TestGeneralMemory(t *testing.T) {
	dev := cudatest.Open(t)
	if os.Getenv("HBAR_LIBCUDA") == "" {
		t.Skip("sets the memory of the emulated device")
	}
	ctx := context.Background()
	g, _ := withGeneral(t, dev, cudatest.Chain(2, 4, 1, simd.Tanh, false, 0))
	const n = 3*minRows + 5
	x := to32(normals64(2*n, 1))
	no := kernels.Noise{Seed: 5, Sample0: 1<<32 - 300}
	path := []kernels.PathRow{{Cin: 1, A: 1, B: 0.1, C: 0.2}, {T: 0.5, Cin: 1, E: 1, InvC2: 25}}
	run := func() ([]float32, error) { // everything that goes in batches and depends on where a sample stands in them
		div, logw := make([]float64, n), make([]float64, n)
		s, y := make([]float32, 2*n, 8*n), slices.Clone(x)
		err := g.Divergence(ctx, s, div, x, nil, 2, []float64{0.5})
		if err == nil {
			err = errors.Join(g.Trajectory(ctx, y, nil, cudatest.Rows()[:3], no, nil), g.PathWeights(ctx, y, logw, path, no, nil))
		}
		return append(append(append(s, to32(div)...), to32(logw)...), y...), err
	}
	want, err := run()
	if err != nil {
		t.Fatal(err)
	}
	u, err := dev.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.space.release(); err != nil {
		t.Fatal(err)
	}
	v, err := dev.Usage()
	if err != nil {
		t.Fatal(err)
	}
	scratch := int(u.InUse - v.InUse)
	t.Setenv("HBAR_EMU_MEMORY", strconv.Itoa(int(v.InUse)+scratch/2))
	got, err := run()
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("half the room: %v, or other numbers", err)
	}
	if g.batch["Divergence"] >= 2*n {
		t.Error("half the room was enough for all")
	}
	if err := g.space.release(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HBAR_EMU_MEMORY", strconv.Itoa(int(v.InUse)+scratch/32))
	var full *driver.Error
	if _, err := run(); !errors.As(err, &full) || !full.OutOfMemory() || !strings.Contains(err.Error(), "Divergence: no room for a batch of 128 samples, 2 rows each") {
		t.Errorf("no room: %v", err)
	}
}

func TestGeneralErrors(t *testing.T) {
	dev := cudatest.Open(t)
	ctx, one := context.Background(), []float64{1}
	g, _ := withGeneral(t, dev, cudatest.Chain(2, 4, 1, simd.Tanh, false, 0))
	f, d := make([]float32, 4), make([]float64, 4)
	row := []kernels.Row{{Cin: 1}}
	no := kernels.Noise{}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	for want, err := range map[string]error{
		"Forward: x has 3 elements, want a multiple of D = 2":                   g.Forward(ctx, f, f[:3], one),
		"Forward: dst has 2 elements, want 4":                                   g.Forward(ctx, f[:2], f, one),
		"Forward64: 3 times for 2 samples, want 1 or 2":                         g.Forward64(ctx, d, d, d[:3]),
		"Forward64: time 0 is NaN, want a finite number":                        g.Forward64(ctx, d, d, []float64{math.NaN()}),
		"Tangent: 1 directions, want at least 1, or D = 2 for the unit vectors": g.Tangent(ctx, nil, f, f, nil, 1, one),
		"Tangent64: v has 3 elements, want 8":                                   g.Tangent64(ctx, nil, nil, d, d[:3], 2, one),
		"Divergence: div has 1 elements, want 2":                                g.Divergence(ctx, nil, d[:1], f, nil, 2, one),
		"Divergence without div":                                                g.Divergence(ctx, nil, nil, f, nil, 2, one),
		"Divergence64 without div":                                              g.Divergence64(ctx, nil, nil, d, nil, 2, one),
		"Adjoint with W but not V":                                              g.Adjoint64(ctx, &kernels.Adjoint[float64]{X: d, W: d}, one),
		"Adjoint A has 3 elements, want 4":                                      g.Adjoint32(ctx, &kernels.Adjoint[float32]{X: f, A: f[:3]}, one),
		"Jets64: Taylor expansion of order 6, want 0 to 5":                      g.Jets64(ctx, d, d, one, 6),
		"Jets64: dst has 4 elements, want 12":                                   g.Jets64(ctx, d, d, one, 1),
		"Trajectory: m has 3 elements, want 4":                                  g.Trajectory(ctx, f, f[:3], row, no, nil),
		"row 0 of the step table holds +Inf":                                    g.Trajectory(ctx, f, nil, []kernels.Row{{A: math.Inf(1)}}, no, nil),
		"PathWeights: logw has 1 elements, want 2":                              g.PathWeights(ctx, f, d[:1], nil, no, nil),
		"PathWeights: a path of 1 states, want at least 2":                      g.PathWeights(ctx, f, d[:2], make([]kernels.PathRow, 1), no, nil),
		"row 0 of the path table has C = 0":                                     g.PathWeights(ctx, f, d[:2], make([]kernels.PathRow, 2), no, nil),
		"context canceled":                                                      g.Forward(canceled, f, f, one),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("have the error %v, want %q", err, want)
		}
	}
	if err := g.Forward(ctx, nil, nil, one); err != nil {
		t.Errorf("no samples: %v", err)
	}
}

// With cuBLAS for all layers but those on the input, in pieces of a few rows: the same numbers but for rounding, and none
// that depends on the batch.
func TestGeneralLibrary(t *testing.T) {
	dev := cudatest.Open(t)
	emulator := os.Getenv("HBAR_LIBCUDA")
	if emulator != "" {
		t.Setenv("HBAR_LIBCUBLAS", emulator)
	}
	ctx := context.Background()
	for _, c := range generalCases() {
		if c.p.Widths[1] > 100 {
			continue // slow here
		}
		cpu, err := infer.New(c.p, infer.Options{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		g, err := PrepareGeneral(dev, c.p, FP32)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		g.blasRows, g.blasWidth = 2, 1
		d, n := c.p.D, c.n
		x, tau := normals64(n*d, 1), normals64(n, 2)
		a := normals64(n*d, 3)
		want, back, div := make([]float64, n*d), make([]float64, n*d), make([]float64, n)
		if err := errors.Join(cpu.VJP64(ctx, want, back, x, a, tau), cpu.Divergence64(ctx, nil, div, x, nil, d, tau)); err != nil {
			t.Fatal(err)
		}
		y, y32, vj, trace := make([]float64, n*d), make([]float32, n*d), make([]float64, n*d), make([]float64, n)
		if err := errors.Join(g.VJP64(ctx, y, vj, x, a, tau), g.Forward(ctx, y32, to32(x), tau), g.Divergence64(ctx, nil, trace, x, nil, d, tau)); err != nil {
			t.Fatal(err)
		}
		if g.blas == nil && os.Getenv("HBAR_LIBCUDA") != "" {
			t.Fatal("the emulated driver has a cuBLAS, and it was not used")
		}
		if g.blas == nil {
			t.Skip("no cuBLAS here")
		}
		near(t, c.name+": values", y, want, near64)
		near(t, c.name+": gradient", vj, back, near64d)
		near(t, c.name+": divergence", trace, div, near64d)
		near(t, c.name+": values in float32", y32, want, near32)
		last := make([]float32, d)
		if err := g.Forward(ctx, last, to32(x[(n-1)*d:]), tau[n-1:]); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(last, y32[(n-1)*d:]) {
			t.Errorf("%s: the last sample alone gives %v, in the batch %v", c.name, last, y32[(n-1)*d:])
		}
	}
}

// Half-precision operands round to 2^-12 each; 20 steps add up what is not alike in them.
func TestGeneralF16(t *testing.T) {
	dev := cudatest.Open(t)
	if emulator := os.Getenv("HBAR_LIBCUDA"); emulator != "" {
		t.Setenv("HBAR_LIBCUBLAS", emulator)
	}
	ctx := context.Background()
	value := []kernels.Row{{T: 0.4, Cin: 1, B: 1}}
	for _, c := range generalCases() {
		cpu, err := infer.New(c.p, infer.Options{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		g, err := PrepareGeneral(dev, c.p, F16)
		if c.name == "adds its input, active output" {
			if err == nil || !strings.Contains(err.Error(), "instruction 0 adds the network's input") {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		d, n := c.p.D, c.n
		x64, m64 := normals64(n*d, 1), make([]float64, n*d)
		x0, want := to32(x64), make([]float64, n*d)
		if err := cpu.Forward64(ctx, want, x64, []float64{value[0].T}); err != nil {
			t.Fatal(err)
		}
		run := func(g *General, x []float32, rows []kernels.Row) []float32 {
			y := slices.Clone(x)
			if err := g.Trajectory(ctx, y, nil, rows, kernels.Noise{Seed: 5}, nil); err != nil {
				t.Fatal(err)
			}
			return y
		}
		y := run(g, x0, value)
		near(t, c.name+": value", y, want, 2e-3)
		if one := run(g, x0[(n-1)*d:], value); !slices.Equal(one, y[(n-1)*d:]) {
			t.Errorf("%s: the last sample alone gives %v, in the batch %v", c.name, one, y[(n-1)*d:])
		}
		library, err := PrepareGeneral(dev, c.p, F16)
		if err != nil {
			t.Fatal(err)
		}
		defer library.Close()
		library.blasRows, library.blasWidth = 2, 1
		if y := run(library, x0, value); library.blas != nil {
			near(t, c.name+": value by cuBLAS", y, want, 2e-3)
		}
		if c.p.Widths[1] > 200 {
			continue // slow here
		}
		rows := cudatest.Rows()
		trajectoryOf(t, cpu, x64, m64, rows, kernels.Noise{Seed: 5})
		near(t, c.name+": trajectory", run(g, x0, rows), x64, 5e-4)
	}
}
