//go:build gpu && cgo

package chains

import (
	"context"
	"errors"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/cuda/internal/cudatest"
	"hbar/kernels"
	"hbar/kernels/simd"
)

// forward64 is the network in float64.
func forward64(p *kernels.Chain, x []float64, tau float64) []float64 {
	f := make([]float32, p.Time.Width())
	p.Time.Fill(f, tau)
	in := append([]float64(nil), x...)
	for _, v := range f {
		in = append(in, float64(v))
	}
	for _, ins := range p.Forward {
		w, b := p.Params[ins.W], p.Params[ins.B]
		out := make([]float64, w.Rows)
		for o := range out {
			a := float64(b.Data[o])
			for k, v := range in {
				a += float64(w.Data[o*w.Cols+k]) * v
			}
			switch ins.Act {
			case simd.SiLU:
				a /= 1 + math.Exp(-a)
			case simd.GELU:
				a *= 0.5 * (1 + math.Erf(a/math.Sqrt2))
			case simd.Tanh:
				a = math.Tanh(a)
			}
			if ins.Add >= 0 {
				a += in[o]
			}
			out[o] = a
		}
		in = out
	}
	return in
}

// trajectory64 is the loop the sampler replaces.
func trajectory64(p *kernels.Chain, x, m []float64, rows []kernels.Row, no kernels.Noise) {
	d := p.D
	z := make([]float32, d)
	for i := range len(x) / d {
		xi, mi := x[i*d:(i+1)*d], m[i*d:(i+1)*d]
		for _, r := range rows {
			in := make([]float64, d)
			for j := range in {
				in[j] = r.Cin * xi[j]
			}
			n := forward64(p, in, r.Tau)
			kernels.Normals(z, kernels.Noise{Seed: no.Seed, Stream: no.Stream, Sample0: no.Sample0 + uint64(i)}, r.Step, 1, d)
			for j := range in {
				zj := float64(z[j])
				xi[j], mi[j] = r.State*xi[j]+r.Net*n[j]+r.Memory*mi[j]+r.Noise*zj, r.KeepState*xi[j]+r.KeepNet*n[j]+r.KeepNoise*zj+r.KeepMemory*mi[j]
			}
		}
	}
}

// trajectoryCases are networks and what their trajectories are tested with.
var trajectoryCases = []struct {
	name             string
	d, width, hidden int
	act              simd.Act
	residual         bool
	freqs, n, steps  int
	small            bool // a device with little shared memory
}{
	{"paper", 2, 128, 3, simd.SiLU, false, 0, 37, 20, false},
	{"one dimension", 1, 64, 2, simd.SiLU, false, 0, 33, 20, false},
	{"odd width, Fourier", 3, 100, 2, simd.SiLU, false, 4, 17, 20, false},
	{"wide residual", 5, 200, 3, simd.SiLU, true, 0, 18, 20, false},
	{"gelu", 2, 64, 2, simd.GELU, true, 0, 16, 20, false},
	{"gelu, wide", 1, 150, 2, simd.GELU, false, 0, 16, 20, false},
	{"tanh, many dimensions", 32, 64, 1, simd.Tanh, false, 0, 5, 20, false},
	{"tanh, residual", 9, 128, 2, simd.Tanh, true, 0, 20, 20, false},
	{"deep", 2, 128, 6, simd.SiLU, true, 0, 20, 20, false},
	{"deep, streamed", 2, 128, 8, simd.SiLU, true, 0, 20, 10, false},
	{"deepest", 2, 64, maxLayers, simd.SiLU, true, 0, 9, 20, false},
	{"deepest, streamed", 3, 64, maxLayers, simd.GELU, true, 0, 9, 5, true},
	{"largest, streamed", maxD, maxWidth, 3, simd.SiLU, false, 2, 16, 3, true},
	{"many tiles", 2, 64, 2, simd.Tanh, true, 0, 300, 3, false},
	{"many dimensions, streamed", 17, 128, 7, simd.Tanh, false, 0, 16, 3, true},
}

// samplerKinds are the kernels that a network can run on: what a device takes by itself, and what it would take without some of its products.
var samplerKinds = []struct {
	name      string
	precision exec.Precision
	use       tensorCores
}{
	{"fp32", exec.FP32, tensorCores{halves: true, warpgroups: true}},
	{"fp32 by warps", exec.FP32, tensorCores{halves: true}},
	{"plain", exec.FP32, tensorCores{}},
	{"f16", exec.F16, tensorCores{warpgroups: true}},
	{"f16 by warps", exec.F16, tensorCores{}},
}

// skipTwin skips a test of kernels without products of warpgroups where the device, or the network, has none anyway.
func skipTwin(t testing.TB, s *Sampler, use tensorCores) {
	t.Helper()
	parts := 1
	if s.precision == exec.FP32 {
		parts = 2
	}
	if (s.split != nil || parts == 1) && !use.warpgroups && !s.warpgroups(parts) {
		t.Skip("no products of warpgroups: as without \"by warps\"")
	}
}

// Every kernel against the loop in float64: widths, depths, dimensions, activations, weights in shared memory or streamed.
// Errors are relative to the size of the numbers where they are above one.
func TestTrajectory(t *testing.T) {
	dev := cudatest.Open(t)
	for _, c := range trajectoryCases {
		p := cudatest.Chain(c.d, c.width, c.hidden, c.act, c.residual, c.freqs)
		no := kernels.Noise{Seed: 0x123456789abcdef, Stream: kernels.StreamNoise, Sample0: 1<<32 - 5}
		x0, m0 := make([]float32, c.n*c.d), make([]float32, c.n*c.d)
		kernels.Normals(x0, kernels.Noise{Seed: 7, Stream: kernels.StreamPrior}, 0, c.n, c.d)
		x64, m64 := make([]float64, len(x0)), make([]float64, len(x0))
		for i, v := range x0 {
			x64[i] = float64(v)
		}
		rows := cudatest.Rows()[:c.steps]
		trajectory64(p, x64, m64, rows, no)
		for _, kind := range samplerKinds {
			t.Run(c.name+"/"+kind.name, func(t *testing.T) {
				dev := *dev
				if c.small {
					dev.SharedPerBlock = min(dev.SharedPerBlock, 99<<10) // sm_86, sm_89
				}
				packed, err := newNet(p)
				if err != nil {
					t.Fatal(err)
				}
				s, err := newSampler(&dev, packed, kind.precision, kind.use)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				if s.split == nil && kind.use.halves {
					t.Skip("streamed, as plain")
				}
				skipTwin(t, s, kind.use)
				x, m := append([]float32(nil), x0...), append([]float32(nil), m0...)
				if err := s.Trajectory(context.Background(), x, m, rows, no, nil); err != nil {
					t.Fatal(err)
				}
				// float32: roundings of sums of width terms in each step, of which the rows shrink those before. f16: weights and
				// activations are rounded to 2⁻¹², 2.4e-4, in each layer, and a step adds a tenth of that or less.
				const float32s, halves = 1e-6, 5e-4
				tol := float32s
				if kind.precision == exec.F16 {
					tol = halves
				}
				worst := 0.0
				for i := range x {
					for _, v := range [][2]float64{{float64(x[i]), x64[i]}, {float64(m[i]), m64[i]}} {
						if e := math.Abs(v[0]-v[1]) / max(1, math.Abs(v[1])); !(e <= worst) {
							worst = e
						}
					}
				}
				t.Logf("%s: largest error %.2g", s.kernel.Name, worst)
				if !(worst <= tol) {
					t.Errorf("largest error %g above %g", worst, tol)
				}
				// the same samples one by one and from the middle
				k := c.n / 2
				y, my := append([]float32(nil), x0[k*c.d:]...), append([]float32(nil), m0[k*c.d:]...)
				no2 := no
				no2.Sample0 += uint64(k)
				if err := s.Trajectory(context.Background(), y, my, rows, no2, nil); err != nil {
					t.Fatal(err)
				}
				for i := range y {
					if y[i] != x[k*c.d+i] {
						t.Fatalf("sample %d depends on the batch: %g, %g", k+i/c.d, y[i], x[k*c.d+i])
					}
				}
			})
		}
	}
}

// zero is a network of zeros: a row with A = 0, C = 1 is the noise itself.
func zero(d int) *kernels.Chain {
	p := cudatest.Chain(d, 64, 1, simd.SiLU, false, 0)
	for _, q := range p.Params {
		clear(q.Data)
	}
	return p
}

// The device's normals are the CPU's: same words, same pairs, same order. Those words are right to the last bit if the
// normals agree to float32 rounding, because a Philox output with one wrong bit anywhere before is wrong in all of them.
func TestNormals(t *testing.T) {
	dev := cudatest.Open(t)
	for _, d := range []int{1, 2, 3, 4, 7, 32} {
		for _, precision := range []exec.Precision{exec.FP32, exec.F16} {
			s, err := NewSampler(dev, zero(d), precision)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			no := kernels.Noise{Seed: 0xfedcba9876543210, Stream: kernels.StreamNoise, Sample0: 1<<32 - 20}
			const n = 40 // across the carry into the high word
			for _, step := range []uint32{0, 1, 2, 3, 999, 1<<31 + 5} {
				x, want := make([]float32, n*d), make([]float32, n*d)
				if err := s.Trajectory(context.Background(), x, nil, []kernels.Row{{Tau: 1, Cin: 1, Noise: 1, Step: step}}, no, nil); err != nil {
					t.Fatal(err)
				}
				kernels.Normals(want, no, step, n, d)
				for i := range x {
					// a few ulp in each of the logarithm, the root and the sine
					if tol := 1e-6 * (1 + math.Abs(float64(want[i]))); !(math.Abs(float64(x[i]-want[i])) <= tol) {
						t.Fatalf("D = %d, %s, step %d, sample %d, coordinate %d: %v, on the CPU %v", d, precision, step, i/d, i%d, x[i], want[i])
					}
				}
			}
		}
	}
}

// More rows than a launch takes: the memory is carried over, whether the caller wants it or not. Progress lags two launches
// behind and ends at n.
func TestLaunches(t *testing.T) {
	dev := cudatest.Open(t)
	p := cudatest.Chain(2, 64, 1, simd.SiLU, false, 0)
	s, err := NewSampler(dev, p, exec.FP32)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const n = 5
	rows := make([]kernels.Row, 2*launchRows+7)
	for k := range rows {
		rows[k] = kernels.Row{Tau: 0.5, Cin: 1, State: 0.6, Net: 0.1, Memory: 0.3, Noise: 0.1, KeepState: 0.2, KeepNet: 0.1, KeepMemory: 0.7, Step: uint32(k)}
	}
	no := kernels.Noise{Seed: 3, Stream: kernels.StreamNoise}
	x64, m64 := make([]float64, 2*n), make([]float64, 2*n)
	trajectory64(p, x64, m64, rows, no)
	for _, m := range [][]float32{make([]float32, 2*n), nil} {
		x := make([]float32, 2*n)
		var done []int
		if err := s.Trajectory(context.Background(), x, m, rows, no, func(k int) { done = append(done, k) }); err != nil {
			t.Fatal(err)
		}
		for i := range x {
			// Roundings of float32 numbers of size one; the rows keep 0.6 and 0.7 of state and memory, so those of few steps add up.
			const rounding = 2e-6
			if !(math.Abs(float64(x[i])-x64[i]) < rounding) || m != nil && !(math.Abs(float64(m[i])-m64[i]) < rounding) {
				t.Errorf("number %d is %v, want %v; memory %v, want %v", i, x[i], x64[i], m, m64)
			}
		}
		if want := []int{2, 5}; !slices.Equal(done, want) {
			t.Errorf("progress %v, want %v", done, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	x := []float32{1, 2}
	err = s.Trajectory(ctx, x, nil, rows, no, func(int) { cancel() })
	if !errors.Is(err, context.Canceled) || x[0] != 1 || x[1] != 2 {
		t.Errorf("cancelled after a launch: %v, x = %v", err, x)
	}
	if err := s.Trajectory(context.Background(), x, nil, []kernels.Row{{Noise: math.NaN()}}, no, nil); err == nil || !strings.Contains(err.Error(), "row 0 of the step table holds NaN") {
		t.Errorf("a row of NaN: %v", err)
	}
	if err := s.Trajectory(context.Background(), x[:1], nil, rows, no, nil); err == nil || !strings.Contains(err.Error(), "multiple of D = 2") {
		t.Errorf("half a sample: %v", err)
	}
}

// A full device takes the samples in batches, and the numbers stay the same.
func TestSplit(t *testing.T) {
	dev := cudatest.Open(t)
	if os.Getenv("HBAR_LIBCUDA") == "" {
		t.Skip("sets the memory of the emulated device")
	}
	s, err := NewSampler(dev, cudatest.Chain(2, 64, 1, simd.SiLU, false, 0), exec.FP32)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows := []kernels.Row{{Tau: 1, Cin: 1, State: 0.5, Net: 1, Noise: 1, KeepMemory: 0.5, KeepState: 1}}
	const n = 9 * minBatch
	run := func() ([]float32, error) {
		x := make([]float32, 2*n)
		return x, s.Trajectory(context.Background(), x, nil, rows, kernels.Noise{Seed: 1}, nil)
	}
	want, err := run()
	if err != nil {
		t.Fatal(err)
	}
	room := func(bytes int) { t.Setenv("HBAR_EMU_MEMORY", strconv.Itoa(s.blob.Size()+s.frags.Size()+bytes)) }
	for _, bytes := range []int{n * 16 / 3, 20 * minBatch} { // 16 bytes a sample, of x and memory
		room(bytes)
		if got, err := run(); err != nil || !slices.Equal(got, want) {
			t.Errorf("%d bytes free: %v, or other samples", bytes, err)
		}
	}
	room(8 * minBatch)
	var e *driver.Error
	if _, err := run(); !errors.As(err, &e) || !e.OutOfMemory() || !strings.Contains(err.Error(), "8192 B asked for, ") {
		t.Errorf("no room for a batch: %v", err)
	}
}

func TestCapture(t *testing.T) {
	d := cudatest.Open(t)
	packed, err := newNet(cudatest.Chain(2, 64, 2, simd.SiLU, false, 0))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSampler(d, packed, exec.F16, tensorCores{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := make([]uint32, s.frags.Size()/4)
	if err := driver.Download(want, s.frags); err != nil {
		t.Fatal(err)
	}
	k, err := s.module.Kernel("pack_f16_w64", 256, 0)
	if err != nil {
		t.Fatal(err)
	}
	g, err := d.Capture(func() error {
		return k.Launch(4, driver.Pack(new(driver.Args), s.net.netHeader).Buf(s.blob).Buf(s.frags).F32(0.5))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	got := make([]uint32, len(want))
	if err := driver.Upload(s.frags, got); err != nil {
		t.Fatal(err)
	}
	if err := g.Replay(); err != nil {
		t.Fatal(err)
	}
	if err := driver.Download(got, s.frags); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("word %d: %x after replay, %x before", i, got[i], want[i])
		}
	}
}
