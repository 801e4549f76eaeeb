//go:build gpu && cgo

package chains

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"hbar/cuda/internal/cudatest"
	"hbar/kernels"
	"hbar/kernels/infer"
	"hbar/kernels/simd"
)

// flowTable is 20 steps of Bogacki and Shampine's method with every coefficient, and two error estimates, one or none.
func flowTable(estimates int) *kernels.FlowTable {
	t := &kernels.FlowTable{A: [][]float64{nil, {0.5}, {0, 0.75}, {2. / 9, 1. / 3, 4. / 9}}, B: []float64{2. / 9, 1. / 3, 4. / 9, 0}}
	if estimates > 0 {
		t.E, t.Tol = []float64{-5. / 72, 1. / 12, 1. / 9, -1. / 8}, 1e-5
	}
	if estimates > 1 {
		t.E3 = []float64{1, -3, 2}
	}
	for k := range 20 {
		s := kernels.FlowStep{H: 0.05 + 0.01*float64(k%5)}
		for i := range t.A {
			f := float64(k)/3 + float64(i)/12
			s.Stages = append(s.Stages, kernels.FlowStage{Tau: f / 10, Cin: 1 / (1 + f/7), State: -0.3 - f/40, Net: 0.4 + f/50, Drift: 0.2 - f/100})
		}
		t.Steps = append(t.Steps, s)
	}
	return t
}

// flowState is the arguments of a flow of n samples with k probes (0: exact).
type flowState struct {
	x, div, est []float64
	probes      []float32
}

func newFlowState(n, d, k int) flowState {
	normals := func(count, seed int) []float32 {
		v := make([]float32, count)
		kernels.Normals(v, kernels.Noise{Seed: uint64(seed), Stream: kernels.StreamPrior}, 0, count, 1)
		return v
	}
	s := flowState{div: make([]float64, n*max(1, k)), est: make([]float64, n)}
	for _, v := range normals(n*d, 7) {
		s.x = append(s.x, float64(v))
	}
	for i := range s.div {
		s.div[i] = float64(i%7) / 7
	}
	if k > 0 {
		s.probes = normals(n*k*d, 8)
	}
	return s
}

// part is samples lo to hi.
func (s flowState) part(lo, hi int) flowState {
	n := len(s.est)
	d, k := len(s.x)/n, len(s.div)/n
	p := flowState{x: slices.Clone(s.x[lo*d : hi*d]), div: slices.Clone(s.div[lo*k : hi*k]), est: slices.Clone(s.est[lo:hi])}
	if s.probes != nil {
		p.probes = s.probes[lo*k*d : hi*k*d]
	}
	return p
}

// farthest is the largest |got − want|/(1 + the largest |want|); NaN counts as infinite.
func farthest(got, want []float64) float64 {
	size, worst := 1.0, 0.0
	for _, v := range want {
		size = math.Max(size, math.Abs(v))
	}
	for i := range want {
		if e := math.Abs(got[i]-want[i]) / size; math.IsNaN(e) {
			return math.Inf(1)
		} else if e > worst {
			worst = e
		}
	}
	return worst
}

// flowCases are networks and what their flows are tested with.
var flowCases = []struct {
	name             string
	d, width, hidden int
	act              simd.Act
	residual         bool
	freqs, n         int
	probes           int
	estimates, steps int
}{
	{"paper", 2, 128, 3, simd.SiLU, false, 0, 5, 0, 2, 20},
	{"one dimension", 1, 64, 2, simd.SiLU, false, 0, 17, 0, 1, 20},
	{"odd width, Fourier, gelu", 3, 100, 2, simd.GELU, false, 4, 7, 0, 2, 2},
	{"wide residual", 5, 200, 2, simd.SiLU, true, 0, 5, 0, 2, 2},
	{"deep residual", 2, 64, 5, simd.Tanh, true, 0, 9, 0, 0, 4},
	{"eleven tangents", 11, 64, 2, simd.SiLU, false, 0, 3, 0, 2, 2},
	{"passes", 32, 64, 2, simd.SiLU, false, 0, 36, 0, 2, 1},
	{"one probe", 4, 64, 2, simd.SiLU, false, 0, 13, 1, 2, 4},
	{"streamed", 2, 128, 5, simd.SiLU, false, 0, 3, 0, 2, 2},
	{"seven probes", 2, 128, 2, simd.GELU, true, 0, 3, 7, 1, 2},
	{"three probes", 2, 128, 2, simd.SiLU, true, 0, 3, 3, 2, 2},
	{"many tiles, tanh", 3, 128, 3, simd.Tanh, true, 0, 70, 0, 2, 2},
}

// flowKinds are the kernels that flows can run on.
var flowKinds = []struct {
	name  string
	use   tensorCores
	pairs bool
}{
	{"warpgroups", tensorCores{halves: true, warpgroups: true}, false},
	{"warpgroups alone", tensorCores{halves: true, warpgroups: true}, true},
	{"halves", tensorCores{halves: true}, false},
	{"plain", tensorCores{}, false},
}

func TestFlow(t *testing.T) {
	dev := cudatest.Open(t)
	ctx := context.Background()
	for _, c := range flowCases {
		p := cudatest.Chain(c.d, c.width, c.hidden, c.act, c.residual, c.freqs)
		cpu, err := infer.New(p, infer.Options{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		table := flowTable(c.estimates)
		table.Steps = table.Steps[:c.steps] // a few: the emulator takes its time
		start := newFlowState(c.n, c.d, c.probes)
		start.est[1] = 1e9
		want, single := start.part(0, c.n), start.part(0, c.n)
		if err := cpu.Flow64(ctx, want.x, want.div, want.est, want.probes, table, nil); err != nil {
			t.Fatal(err)
		}
		if err := cpu.Flow(ctx, single.x, single.div, single.est, single.probes, table, nil); err != nil {
			t.Fatal(err)
		}
		for _, kind := range flowKinds {
			if kind.use.halves && c.width > maxSplitWidth {
				if _, err := newFlow(dev, p, kind.use); err == nil || !strings.Contains(err.Error(), "up to 128") {
					t.Errorf("width %d, %s: %v", c.width, kind.name, err)
				}
				continue
			}
			t.Run(c.name+"/"+kind.name, func(t *testing.T) {
				f, err := newFlow(dev, p, kind.use)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				f.pairs = kind.pairs
				if kind.use.warpgroups && f.groups == nil {
					t.Skip("no products of warpgroups here, or not for this network: as by warps")
				}
				if kind.pairs && f.net.Width < maxWarpgroupWidth {
					t.Skip("warpgroups work alone on narrow networks anyway")
				}
				done, got := 0, start.part(0, c.n)
				if err := f.Run(ctx, got.x, got.div, got.est, got.probes, table, func(n int) { done = n }); err != nil {
					t.Fatal(err)
				}
				if f.plain != nil {
					t.Error("samples in range were computed again")
				}
				for _, e := range [][]float64{got.est, want.est, single.est} {
					if e[1] != 1e9 {
						t.Fatalf("estimates %v forget what was there", e)
					}
				}
				ex, ed, ee := farthest(got.x, want.x), farthest(got.div, want.div), farthest(got.est[2:], want.est[2:])
				t.Logf("errors: states %.1e, divergences %.1e, estimates %.1e; on the CPU %.1e, %.1e, %.1e", ex, ed, ee,
					farthest(single.x, want.x), farthest(single.div, want.div), farthest(single.est[2:], want.est[2:]))
				if !(ex <= 1e-6 && ed <= 1e-6) || done != c.n { // float32 sums of width terms in each of the steps, of which h is a small part
					t.Errorf("errors: states %.1e, divergences %.1e; %d of %d done", ex, ed, done, c.n)
				}
				// estimates are differences of nearly equal numbers, in units of 10⁻⁵
				if !(ee <= 1e-3) || (c.estimates > 0) != (got.est[0] > 0) {
					t.Errorf("estimates %v, want %v", got.est, want.est)
				}
				// the same samples from the middle on
				lo := c.n / 2
				part := start.part(lo, c.n)
				if err := f.Run(ctx, part.x, part.div, part.est, part.probes, table, nil); err != nil {
					t.Fatal(err)
				}
				if k := len(got.div) / c.n; !slices.Equal(part.x, got.x[lo*c.d:]) || !slices.Equal(part.div, got.div[lo*k:]) {
					t.Error("samples depend on the batch")
				}
			})
		}
	}
}

// Every number of tangents has a group, with as few rows as any of those that there are.
func TestFlowGroup(t *testing.T) {
	for tangents, want := range map[int]int{1: 2, 2: 3, 3: 4, 4: 6, 5: 6, 6: 4, 7: 12, 8: 12, 11: 12, 12: 4, 32: 12} {
		if got := flowGroup(tangents); got != want {
			t.Errorf("%d tangents: %d rows a sample, want %d", tangents, got, want)
		}
	}
}

// Samples that do not stay finite say so, and leave the others alone.
func TestFlowOverflow(t *testing.T) {
	p := cudatest.Chain(2, 64, 1, simd.SiLU, false, 0)
	f, err := NewFlow(cudatest.Open(t), p)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table := flowTable(2)
	bad := newFlowState(4, 2, 0)
	good := bad.part(0, 4)
	bad.x[2], bad.x[5] = 1e300, math.NaN()
	for _, s := range []flowState{bad, good} {
		if err := f.Run(context.Background(), s.x, s.div, s.est, nil, table, nil); err != nil {
			t.Fatal(err)
		}
	}
	for i, fine := range []bool{true, false, false, true} {
		if fine && (bad.x[2*i] != good.x[2*i] || bad.div[i] != good.div[i]) || !fine && bad.est[i] < math.MaxFloat64 {
			t.Errorf("sample %d: %v, estimate %v, integral %v", i, bad.x[2*i:2*i+2], bad.est[i], bad.div[i])
		}
	}
}

// A full device takes the samples in batches; arguments are checked; a cancelled flow leaves all as it was.
func TestFlowCalls(t *testing.T) {
	dev := cudatest.Open(t)
	f, err := NewFlow(dev, cudatest.Chain(2, 64, 1, simd.SiLU, false, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx := context.Background()
	table := flowTable(2)
	table.Steps = table.Steps[:1]
	if os.Getenv("HBAR_LIBCUDA") != "" {
		const n = 2 * minFlowBatch
		start := newFlowState(n, 2, 0)
		want := start.part(0, n)
		if err := f.Run(ctx, want.x, want.div, want.est, nil, table, nil); err != nil {
			t.Fatal(err)
		}
		t.Run("batches", func(t *testing.T) {
			usage, err := dev.Usage()
			if err != nil {
				t.Fatal(err)
			}
			rest := 40 << 10 // for states and tables; the kernel on warpgroup products has its states in shared memory
			if f.groups != nil {
				rest = 8 << 10
			}
			t.Setenv("HBAR_EMU_MEMORY", fmt.Sprint(usage.InUse+int64(32*n/2+rest)))
			var done []int
			got := start.part(0, n)
			if err := f.Run(ctx, got.x, got.div, got.est, nil, table, func(n int) { done = append(done, n) }); err != nil {
				t.Fatal(err)
			}
			if want := []int{n / 2, n}; !slices.Equal(done, want) {
				t.Errorf("progress %v, want %v: two batches of one launch", done, want)
			}
			if !slices.Equal(got.x, want.x) || !slices.Equal(got.div, want.div) || !slices.Equal(got.est, want.est) {
				t.Error("other numbers in batches")
			}
		})
	}
	s := newFlowState(3, 2, 0)
	was := s.part(0, 3)
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if err := f.Run(stopped, s.x, s.div, s.est, nil, table, nil); !errors.Is(err, context.Canceled) || !slices.Equal(s.x, was.x) {
		t.Errorf("cancelled: %v, x = %v", err, s.x)
	}
	if err := f.Run(ctx, s.x, s.div[:2], s.est, nil, table, nil); err == nil || !strings.Contains(err.Error(), "2 divergences of the flow of 3 samples") {
		t.Errorf("two divergences: %v", err)
	}
	table.Steps[0].H = math.Inf(1)
	if err := f.Run(ctx, s.x, s.div, s.est, nil, table, nil); err == nil || !strings.Contains(err.Error(), "want finite") {
		t.Errorf("an infinite step: %v", err)
	}
	if _, err := NewFlow(dev, cudatest.Chain(33, 64, 1, simd.SiLU, false, 0)); err == nil || !strings.Contains(err.Error(), "33 dimensions") {
		t.Errorf("33 dimensions: %v", err)
	}
}
