//go:build gpu && cgo

package chains

import (
	"context"
	"errors"
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
	"hbar/solver/likelihood/ode"
)

// taylorTable is some steps of DOP853 with coefficients of order one that change from stage to stage.
func taylorTable(state kernels.TaylorState, steps int) *kernels.TaylorTable {
	m := ode.DOP853
	stages := len(m.B)
	t := &kernels.TaylorTable{Order: state.Order, A: m.A[:stages], B: m.B, E: m.E[:stages], E3: m.E3[:stages], Tol: 1e-5, Weights: make([]float64, state.Width)}
	for i := range t.Weights {
		t.Weights[i] = float64((i + 1) % 3)
	}
	for i := range steps {
		s := kernels.TaylorStep{H: -0.2}
		for j := range stages {
			at := float64(i) + m.C[j]
			s.Stages = append(s.Stages, kernels.TaylorStage{Tau: 1 - 0.2*at, Cin: 1 - 0.02*at, ScoreState: -0.1 * at, ScoreNet: 1 + 0.1*at, Drift: -0.3 - 0.01*at, HalfDiffusion: -0.5 - 0.05*at})
		}
		t.Steps = append(t.Steps, s)
	}
	return t
}

// taylorStates are n random states of order one.
func taylorStates(state kernels.TaylorState, n int) []float64 {
	r := rand.New(rand.NewPCG(5, uint64(n)))
	y := make([]float64, n*state.Width)
	for i := range y {
		y[i] = r.NormFloat64() / 2
	}
	return y
}

// difference is the largest error of got, relative where the numbers are above one.
func difference(got, want []float64) float64 {
	worst := 0.0
	for i, w := range want {
		if e := math.Abs(got[i]-w) / max(1, math.Abs(w)); !(e <= worst) {
			worst = e
		}
	}
	return worst
}

// taylorCases are networks and what their expansions are tested with.
var taylorCases = []struct {
	name             string
	d, width, hidden int
	act              simd.Act
	residual         bool
	freqs, order, n  int
	small, float32   bool
}{
	{name: "paper", d: 2, width: 128, hidden: 3, act: simd.SiLU, order: 1, n: 5},
	{name: "paper, second order", d: 2, width: 128, hidden: 3, act: simd.SiLU, order: 2, n: 5},
	{name: "path", d: 2, width: 128, hidden: 3, act: simd.SiLU, order: 0, n: 70},
	{name: "path, residual, little shared memory", d: 2, width: 150, hidden: 3, act: simd.GELU, residual: true, order: 0, n: 5, small: true},
	{name: "path in one dimension, Fourier", d: 1, width: 64, hidden: 2, act: simd.Tanh, freqs: 2, order: 0, n: 3},
	{name: "one layer, many samples", d: 2, width: 64, hidden: 1, act: simd.Tanh, order: 1, n: 37},
	{name: "gelu, residual, Fourier", d: 2, width: 64, hidden: 3, act: simd.GELU, residual: true, freqs: 3, order: 2, n: 1},
	{name: "tanh, odd width, residual", d: 2, width: 100, hidden: 2, act: simd.Tanh, residual: true, order: 1, n: 9},
	{name: "tanh", d: 2, width: 64, hidden: 2, act: simd.Tanh, order: 2, n: 2},
	{name: "gelu, one dimension", d: 1, width: 64, hidden: 2, act: simd.GELU, order: 1, n: 3},
	{name: "one dimension, second order", d: 1, width: 64, hidden: 2, act: simd.SiLU, order: 2, n: 6},
	{name: "wide", d: 2, width: 200, hidden: 2, act: simd.SiLU, order: 1, n: 2},
	{name: "wide, little shared memory", d: 2, width: 200, hidden: 2, act: simd.SiLU, order: 1, n: 2, small: true},
	{name: "wide, little shared memory, second order", d: 2, width: 200, hidden: 2, act: simd.SiLU, order: 2, n: 2, small: true},
	{name: "float32", d: 2, width: 128, hidden: 3, act: simd.SiLU, order: 1, n: 5, float32: true},
	{name: "float32, residual, second order", d: 2, width: 64, hidden: 2, act: simd.GELU, residual: true, order: 2, n: 3, float32: true},
}

// Every kernel against the CPU on the same table: activations, residual connections, odd widths, devices with little
// shared memory, float64 and float32. And a sample does not depend on the others.
func TestTaylor(t *testing.T) {
	dev := cudatest.Open(t)
	for _, c := range taylorCases {
		t.Run(c.name, func(t *testing.T) {
			dev := *dev
			if c.small {
				dev.SharedPerBlock = min(dev.SharedPerBlock, 99<<10) // sm_86, sm_89
			}
			p := cudatest.Chain(c.d, c.width, c.hidden, c.act, c.residual, c.freqs)
			state := kernels.NewTaylorState(c.d, c.order)
			table := taylorTable(state, 2)
			cpu, err := infer.New(p, infer.Options{})
			if err != nil {
				t.Fatal(err)
			}
			start := taylorStates(state, c.n)
			want, wantEst := append([]float64(nil), start...), make([]float64, c.n)
			if err := cpu.Taylor(context.Background(), want, wantEst, table, nil); err != nil {
				t.Fatal(err)
			}
			table.Float32 = c.float32
			e, err := NewTaylor(&dev, p)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			y, est := append([]float64(nil), start...), make([]float64, c.n)
			if err := e.Run(context.Background(), y, est, table, nil); err != nil {
				t.Fatal(err)
			}
			// rounding of sums of width terms and of what is composed of them
			tol := 1e-13
			if c.float32 {
				tol = 1e-6
			}
			worst := difference(y, want)
			t.Logf("largest error %.2g", worst)
			if !(worst <= tol) {
				t.Errorf("largest error %g above %g", worst, tol)
			}
			for i, e := range est {
				// differences of nearly equal sums, in units of 1e-5; in float32 the rounding of jets is all that is left of them
				if tol := 1e-6*wantEst[i] + 1e-12; !(wantEst[i] > 0) || !c.float32 && !(math.Abs(e-wantEst[i]) <= tol) || !(e < 10) {
					t.Errorf("error norm %d: %g, want %g", i, e, wantEst[i])
				}
			}
			k := c.n / 2
			part, partEst := append([]float64(nil), start[k*state.Width:]...), make([]float64, c.n-k)
			if err := e.Run(context.Background(), part, partEst, table, nil); err != nil {
				t.Fatal(err)
			}
			for i, v := range part {
				if v != y[k*state.Width+i] || partEst[i/state.Width] != est[k+i/state.Width] {
					t.Fatalf("sample %d depends on the batch: %g, %g", k+i/state.Width, y[k*state.Width+i], v)
				}
			}
		})
	}
}

// More steps than a launch takes, the error norm carried over; progress ends at n; what was begun is left alone on Ctrl-C.
func TestTaylorLaunches(t *testing.T) {
	dev := cudatest.Open(t)
	p := cudatest.Chain(1, 64, 1, simd.SiLU, false, 0)
	cpu, err := infer.New(p, infer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewTaylor(dev, p)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	state := kernels.NewTaylorState(1, 1)
	table := &kernels.TaylorTable{Order: 1, A: [][]float64{nil, {0.5}}, B: []float64{0, 1}, E: []float64{-1, 1}, Tol: 1e-2, Weights: make([]float64, state.Width)}
	for i := range table.Weights {
		table.Weights[i] = 1
	}
	for i := range 2*taylorSteps + 7 {
		s := float64(i) / 100
		stage := kernels.TaylorStage{Tau: 1 - s/2, Cin: 1, ScoreState: -0.5, ScoreNet: 1, Drift: -0.5, HalfDiffusion: -0.5}
		table.Steps = append(table.Steps, kernels.TaylorStep{H: -0.002 * (1 + s), Stages: []kernels.TaylorStage{stage, stage}})
	}
	const n = 9
	start := taylorStates(state, n)
	want, wantEst := append([]float64(nil), start...), make([]float64, n)
	if err := cpu.Taylor(context.Background(), want, wantEst, table, nil); err != nil {
		t.Fatal(err)
	}
	y, est := append([]float64(nil), start...), make([]float64, n)
	var done []int
	if err := e.Run(context.Background(), y, est, table, func(k int) { done = append(done, k) }); err != nil {
		t.Fatal(err)
	}
	if worst := difference(y, want); !(worst <= 1e-13) { // rounding of sums in float64
		t.Errorf("states differ by %g", worst)
	}
	// An error norm is the difference of two results over the tolerance, 10⁻²: a hundred roundings.
	if worst := difference(est, wantEst); !(worst <= 1e-11) || !(est[0] > 0) {
		t.Errorf("error norms %v, want %v", est, wantEst)
	}
	if !slices.Equal(done, []int{4, 8, 9}) {
		t.Errorf("progress %v", done)
	}
	ctx, cancel := context.WithCancel(context.Background())
	copy(y, start)
	if err := e.Run(ctx, y, nil, table, func(int) { cancel() }); !errors.Is(err, context.Canceled) || !slices.Equal(y, start) {
		t.Errorf("cancelled after a launch: %v, or states that moved", err)
	}
}

// A full device takes the states in batches, and the numbers stay the same.
func TestTaylorSplit(t *testing.T) {
	dev := cudatest.Open(t)
	if os.Getenv("HBAR_LIBCUDA") == "" {
		t.Skip("sets the memory of the emulated device")
	}
	e, err := NewTaylor(dev, cudatest.Chain(2, 64, 1, simd.SiLU, false, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	state := kernels.NewTaylorState(2, 0)
	table := taylorTable(state, 1)
	const n = 5 * minTaylorBatch
	start := taylorStates(state, n)
	run := func() ([]float64, []float64, error) {
		y, est := append([]float64(nil), start...), make([]float64, n)
		return y, est, e.Run(context.Background(), y, est, table, nil)
	}
	want, wantEst, err := run()
	if err != nil {
		t.Fatal(err)
	}
	const tables = 16 << 10                                           // of one step of twelve evaluations
	for _, room := range []int{n * 24 / 2, 2 * minTaylorBatch * 24} { // 24 bytes a sample, of state and error norm
		t.Setenv("HBAR_EMU_MEMORY", strconv.Itoa(e.blob.Size()+tables+room))
		if y, est, err := run(); err != nil || !slices.Equal(y, want) || !slices.Equal(est, wantEst) {
			t.Errorf("%d bytes free: %v, or other states", room, err)
		}
	}
	t.Setenv("HBAR_EMU_MEMORY", strconv.Itoa(e.blob.Size()+4<<10))
	var full *driver.Error
	if _, _, err := run(); !errors.As(err, &full) || !full.OutOfMemory() {
		t.Errorf("no room for a batch: %v", err)
	}
}

func TestTaylorRefuses(t *testing.T) {
	dev := cudatest.Open(t)
	if _, err := NewTaylor(dev, cudatest.Chain(3, 64, 1, simd.SiLU, false, 0)); err == nil || !strings.Contains(err.Error(), "3 dimensions") {
		t.Errorf("three dimensions: %v", err)
	}
	small := *dev
	small.SharedPerBlock = min(small.SharedPerBlock, 99<<10)
	e, err := NewTaylor(&small, cudatest.Chain(2, 256, 2, simd.SiLU, true, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	state := kernels.NewTaylorState(2, 2)
	if err := e.Run(context.Background(), nil, nil, taylorTable(state, 1), nil); !errors.Is(err, kernels.ErrNoTaylor) || !strings.Contains(err.Error(), "shared memory") {
		t.Errorf("too little shared memory: %v", err)
	}
	y := make([]float64, state.Width)
	if err := e.Run(context.Background(), y[1:], nil, taylorTable(state, 1), nil); err == nil || !strings.Contains(err.Error(), "multiple of the state's 26") {
		t.Errorf("part of a state: %v", err)
	}
	bad := taylorTable(state, 1)
	bad.Steps[0].Stages[3].ScoreNet = math.NaN()
	if err := e.Run(context.Background(), y, nil, bad, nil); err == nil || !strings.Contains(err.Error(), "want finite numbers") {
		t.Errorf("a table with NaN: %v", err)
	}
}
