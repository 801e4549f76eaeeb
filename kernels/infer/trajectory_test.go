package infer

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync/atomic"
	"testing"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// eulerRows is Euler–Maruyama for the "simple" schedule with h = 1 and a few oddities that real tables have: an input
// scale, a step without noise at the end, memory if wanted.
func eulerRows(steps int, memory bool) []kernels.Row {
	rows := make([]kernels.Row, steps)
	dt := 0.99 / float64(steps)
	for k := range rows {
		t := 1 - float64(k)*dt
		rows[k] = kernels.Row{Tau: t, Cin: 1, State: 1 + dt*10*t, Net: 0.2 * dt * 20 * t, Noise: math.Sqrt(20 * t * dt), Step: uint32(k)}
		if k%3 == 2 {
			rows[k].Cin = 1 / (1 + t)
		}
		if memory {
			rows[k].Memory, rows[k].KeepState, rows[k].KeepNet, rows[k].KeepNoise, rows[k].KeepMemory = 0.1, 0.3, 0.2, 0.05, 0.5
		}
	}
	rows[steps-1].Noise, rows[steps-1].KeepNoise = 0, 0
	return rows
}

// run64 is Trajectory in float64 by loops.
func run64(p *kernels.Chain, x, m []float64, rows []kernels.Row, no kernels.Noise) {
	d := p.D
	n := len(x) / d
	z := make([]float32, n*d)
	in := make([]float64, d)
	for _, r := range rows {
		kernels.Normals(z, no, r.Step, n, d)
		for i := range n {
			for j := range d {
				in[j] = r.Cin * x[i*d+j]
			}
			for j, y := range reference(p, in, r.Tau) {
				at := i*d + j
				u, v, w := x[at], m[at], float64(z[at])
				x[at] = r.State*u + r.Net*y + r.Memory*v + r.Noise*w
				m[at] = r.KeepState*u + r.KeepNet*y + r.KeepNoise*w + r.KeepMemory*v
			}
		}
	}
}

func TestTrajectory(t *testing.T) {
	each(t, func(t *testing.T, im *simd.Impl) {
		for _, s := range shapes {
			for _, memory := range []bool{false, true} {
				p := s.program()
				e := newEngine(t, p, Options{Impl: im, Workers: 2, Tile: 5})
				const n = 13
				rows := eulerRows(6, memory)
				no := kernels.Noise{Seed: 7 + 9<<32, Stream: kernels.StreamNoise, Sample0: 1<<32 - 3}
				want, _ := points(n, s.d)
				x := narrow(want)
				wantM := make([]float64, len(want))
				m := make([]float32, len(x))
				for i := range m {
					m[i] = float32(i%5) / 4
					wantM[i] = float64(m[i])
				}
				run64(p, want, wantM, rows, no)
				if err := e.Trajectory(ctx, x, m, rows, no, nil); err != nil {
					t.Fatal(err)
				}
				// Six steps, each with an error of one evaluation.
				atMost(t, s.name, worst(t, x, want), 6*tol32)
				if memory {
					atMost(t, s.name+" memory", worst(t, m, wantM), 6*tol32)
				}
			}
		}
	})
}

// Noise alone: the state becomes the normals of kernels.Normals, bit by bit, whatever the order of the steps.
func TestTrajectoryNormals(t *testing.T) {
	for d := 1; d <= 9; d++ {
		e := newEngine(t, shape{d: d, hidden: []int{8}, act: simd.SiLU}.program(), Options{Tile: 5, Workers: 3})
		const n = 17
		no := kernels.Noise{Seed: 99, Stream: kernels.StreamPath, Sample0: 5}
		for _, steps := range [][]uint32{{0}, {1}, {0, 1}, {4, 5, 6}, {3, 3}, {1, 9, 8, 1 << 31}} {
			var rows []kernels.Row
			for _, s := range steps {
				rows = append(rows, kernels.Row{Tau: 0.5, Cin: 1, Noise: 1, Step: s})
			}
			x, want := make([]float32, n*d), make([]float32, n*d)
			if err := e.Trajectory(ctx, x, nil, rows, no, nil); err != nil {
				t.Fatal(err)
			}
			kernels.Normals(want, no, steps[len(steps)-1], n, d)
			same(t, "normals", x, want)
		}
	}
}

// Memory given as nil starts from zeros, and keeps no trace between calls or tiles.
func TestTrajectoryNilMemory(t *testing.T) {
	e := newEngine(t, shapes[0].program(), Options{Tile: 4, Workers: 2})
	rows := eulerRows(5, true)
	x0, _ := points(11, 2)
	a, b, c := narrow(x0), narrow(x0), narrow(x0)
	for _, x := range [][]float32{a, b} {
		if err := e.Trajectory(ctx, x, nil, rows, kernels.Noise{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Trajectory(ctx, c, make([]float32, len(c)), rows, kernels.Noise{}, nil); err != nil {
		t.Fatal(err)
	}
	same(t, "second run", a, b)
	same(t, "zeros", a, c)
}

// A table too long to be made in advance gives the same bits as its halves, which are not.
func TestLongTable(t *testing.T) {
	p := shape{d: 1, hidden: []int{4096}, act: simd.SiLU}.program()
	e := newEngine(t, p, Options{Workers: 2, Tile: 2})
	rows := eulerRows(1100, false)
	if len(rows)*e.net32.timeLD <= tableLimit {
		t.Fatal("the table is not long")
	}
	whole := []float32{1, 2, 3}
	parts := slices.Clone(whole)
	for _, c := range []struct {
		x    []float32
		rows []kernels.Row
	}{{whole, rows}, {parts, rows[:550]}, {parts, rows[550:]}} {
		if err := e.Trajectory(ctx, c.x, nil, c.rows, kernels.Noise{Seed: 1}, nil); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "states", whole, parts)
}

func TestCancellation(t *testing.T) {
	e := newEngine(t, shapes[0].program(), Options{Workers: 2})
	x0, _ := points(400, 2)
	rows := eulerRows(400, false)
	var path []kernels.PathRow
	for _, r := range rows[:399] {
		path = append(path, kernels.PathRow{Tau: r.Tau, Cin: 1, State: 1, Noise: r.Noise, ReverseState: 1, ReversePrecision: 1})
	}
	for name, run := range map[string]func(ctx context.Context, progress func(int)) error{
		"trajectory": func(ctx context.Context, f func(int)) error {
			return e.Trajectory(ctx, narrow(x0), nil, rows, kernels.Noise{}, f)
		},
		"path": func(ctx context.Context, f func(int)) error {
			return e.PathWeights(ctx, narrow(x0), make([]float64, 400), path, kernels.Noise{}, f)
		},
	} {
		c, cancel := context.WithCancel(ctx)
		var last atomic.Int64
		err := run(c, func(done int) {
			last.Store(int64(done))
			if done > 0 {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context canceled", name, err)
		}
		// Each of two workers may finish the checkRows rows of a tile that it is in.
		if last.Load() > 20 {
			t.Errorf("%s: %d samples done after cancelling at the first", name, last.Load())
		}
		cancel()
	}
	c, cancel := context.WithCancel(ctx)
	cancel()
	y := make([]float32, len(x0))
	if err := e.Forward(c, y, narrow(x0), []float64{0.5}); !errors.Is(err, context.Canceled) {
		t.Errorf("forward: %v, want context canceled", err)
	}
}

func TestProgress(t *testing.T) {
	e := newEngine(t, shapes[0].program(), Options{Workers: 3})
	x0, _ := points(200, 2)
	last, calls := 0, 0
	err := e.Trajectory(ctx, narrow(x0), nil, eulerRows(50, false), kernels.Noise{}, func(done int) {
		if done < last || done > 200 {
			t.Errorf("%d samples done after %d", done, last)
		}
		last = done
		calls++
	})
	if err != nil || last != 200 || calls < 4 {
		t.Errorf("%d samples done in %d calls, error %v", last, calls, err)
	}
}

// The number of allocations does not depend on the number of steps.
func TestNoAllocationPerStep(t *testing.T) {
	e := newEngine(t, shapes[0].program(), Options{Workers: 1, Tile: 4})
	count := func(steps int) float64 {
		rows := eulerRows(steps, true)
		path := make([]kernels.PathRow, steps)
		for k := range path {
			path[k] = kernels.PathRow{Tau: 0.5, Cin: 0.5, State: 1, Noise: 1, ReverseState: 1, ReversePrecision: 1}
		}
		x, lw := make([]float32, 8), make([]float64, 4)
		return testing.AllocsPerRun(5, func() {
			if err := e.Trajectory(ctx, x, nil, rows, kernels.Noise{}, nil); err != nil {
				t.Fatal(err)
			}
			if err := e.PathWeights(ctx, x, lw, path, kernels.Noise{}, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
	// The pools may lose their contents to a garbage collection: some tens of allocations, not hundreds.
	if a, b := count(10), count(400); b > a+60 {
		t.Errorf("%g allocations in 10 steps, %g in 400", a, b)
	}
}
