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
			n := forward64(p, in, r.T)
			kernels.Normals(z, kernels.Noise{Seed: no.Seed, Stream: no.Stream, Sample0: no.Sample0 + uint64(i)}, r.Step, 1, d)
			for j := range in {
				zj := float64(z[j])
				xi[j], mi[j] = r.A*xi[j]+r.B*n[j]+r.M*mi[j]+r.C*zj, r.G*xi[j]+r.H*n[j]+r.J*zj+r.K*mi[j]
			}
		}
	}
}

// Every kernel against the loop in float64: widths, depths, dimensions, activations, weights in shared memory or streamed.
// Errors are relative to the size of the numbers where they are above one.
func TestTrajectory(t *testing.T) {
	dev := cudatest.Open(t)
	for _, c := range []struct {
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
		{"many dimensions, streamed", 17, 128, 7, simd.Tanh, false, 0, 16, 3, true},
	} {
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
		for _, kind := range []struct {
			name      string
			precision exec.Precision
			split     bool
		}{{"fp32", exec.FP32, true}, {"plain", exec.FP32, false}, {"f16", exec.F16, false}} {
			t.Run(c.name+"/"+kind.name, func(t *testing.T) {
				dev := *dev
				if c.small {
					dev.SharedPerBlock = min(dev.SharedPerBlock, 99<<10) // sm_86, sm_89
				}
				packed, err := newNet(p)
				if err != nil {
					t.Fatal(err)
				}
				s, err := newSampler(&dev, packed, kind.precision, kind.split)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				if s.split == nil && kind.split {
					t.Skip("streamed, as plain")
				}
				x, m := append([]float32(nil), x0...), append([]float32(nil), m0...)
				if err := s.Trajectory(context.Background(), x, m, rows, no, nil); err != nil {
					t.Fatal(err)
				}
				// float32: rounding of sums of width terms in each step; f16: weights and activations rounded to 2^-12
				tol := 1e-6
				if kind.precision == exec.F16 {
					tol = 5e-4
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

// Samples whose activations pass the range of halves are those of the plain kernel, to the last bit, and the others are
// what they are without them.
func TestRange(t *testing.T) {
	dev := cudatest.Open(t)
	p := cudatest.Chain(2, 64, 2, simd.SiLU, false, 0)
	for i := range p.Params[0].Data {
		p.Params[0].Data[i] *= 1e5
	}
	for i := range p.Params[2].Data {
		p.Params[2].Data[i] *= 1e-5
	}
	packed, err := newNet(p)
	if err != nil {
		t.Fatal(err)
	}
	run := func(split bool, x []float32) (m []float32) {
		s, err := newSampler(dev, packed, exec.FP32, split)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		m = make([]float32, len(x))
		if err := s.Trajectory(context.Background(), x, m, []kernels.Row{{T: 0, Cin: 1, A: 0.5, B: 1, G: 1, H: 0.5}}, kernels.Noise{}, nil); err != nil {
			t.Fatal(err)
		}
		if used := s.plain != nil; used != (split && len(x) > 40) {
			t.Errorf("%d numbers, split %t: the plain kernel was used: %t", len(x), split, used)
		}
		return m
	}
	const n = 30
	inside, x, far := make([]float32, 0, 2*n), make([]float32, 2*n), make([]float32, 2*n)
	for i := range n { // every third is far out
		for d := range 2 {
			v := float32(i+d+1) / 100
			if i%3 == 0 {
				v *= 30
			} else {
				inside = append(inside, v)
			}
			x[2*i+d], far[2*i+d] = v, v
		}
	}
	m, plain, own := run(true, x), run(false, far), run(true, inside)
	for i, k := 0, 0; i < n; i++ {
		for d := range 2 {
			j := 2*i + d
			want, wantM := far[j], plain[j]
			if i%3 != 0 {
				want, wantM = inside[k], own[k]
				k++
			}
			if x[j] != want || m[j] != wantM {
				t.Errorf("sample %d: %g, memory %g; want %g, %g", i, x[j], m[j], want, wantM)
			}
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
				if err := s.Trajectory(context.Background(), x, nil, []kernels.Row{{T: 1, Cin: 1, C: 1, Step: step}}, no, nil); err != nil {
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
		rows[k] = kernels.Row{T: 0.5, Cin: 1, A: 0.6, B: 0.1, M: 0.3, C: 0.1, G: 0.2, H: 0.1, K: 0.7, Step: uint32(k)}
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
			if !(math.Abs(float64(x[i])-x64[i]) < 1e-5) || m != nil && !(math.Abs(float64(m[i])-m64[i]) < 1e-5) {
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
	if err := s.Trajectory(context.Background(), x, nil, []kernels.Row{{C: math.NaN()}}, no, nil); err == nil || !strings.Contains(err.Error(), "row 0 of the step table holds NaN") {
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
	rows := []kernels.Row{{T: 1, Cin: 1, A: 0.5, B: 1, C: 1, K: 0.5, G: 1}}
	const n = 9 * minBatch
	run := func() ([]float32, error) {
		x := make([]float32, 2*n)
		return x, s.Trajectory(context.Background(), x, nil, rows, kernels.Noise{Seed: 1}, nil)
	}
	want, err := run()
	if err != nil {
		t.Fatal(err)
	}
	room := func(bytes int) { t.Setenv("HBAR_EMU_MEMORY", strconv.Itoa(s.blob.Size()+bytes)) }
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
	p := cudatest.Chain(2, 64, 2, simd.SiLU, false, 0)
	s, err := NewSampler(d, p, exec.F16)
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
