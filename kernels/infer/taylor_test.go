package infer

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// taylorTable is flowTable for the expansion: the method of Bogacki and Shampine.
func taylorTable(state kernels.TaylorState, steps int, second bool) *kernels.TaylorTable {
	f := flowTable(steps, second)
	t := &kernels.TaylorTable{Order: state.Order, A: f.A, B: f.B, E: f.E, E3: f.E3, Tol: f.Tol, Weights: make([]float64, state.Width)}
	for i := range t.Weights {
		t.Weights[i] = float64((i + 1) % 3)
	}
	for _, s := range f.Steps {
		step := kernels.TaylorStep{H: s.H}
		for _, g := range s.Stages {
			step.Stages = append(step.Stages, kernels.TaylorStage{Tau: g.Tau, Cin: g.Cin, ScoreState: -0.2 + g.Drift/3, ScoreNet: 1 + g.State/2, Drift: -g.Drift, HalfDiffusion: -g.Net})
		}
		t.Steps = append(t.Steps, step)
	}
	return t
}

// plainTaylor is the loop that Taylor replaces, one sample at a time, over Jets64: y becomes its end, est the error norms.
func plainTaylor(t *testing.T, e *Engine, y, est []float64, table *kernels.TaylorTable) {
	t.Helper()
	state := kernels.NewTaylorState(e.Dim(), table.Order)
	d, w, order := state.D, state.Width, state.DegL+1
	nj := simd.NJet(d, order)
	field := kernels.NewTaylorField(state)
	for s := range est {
		y := y[s*w : (s+1)*w]
		for _, step := range table.Steps {
			var ks [][]float64
			mix := func(a []float64, i int) float64 {
				sum := 0.0
				for j, v := range a {
					sum += v * ks[j][i]
				}
				return sum
			}
			at := func(a []float64) []float64 {
				z := slices.Clone(y)
				for i := range z {
					z[i] += step.H * mix(a, i)
				}
				return z
			}
			for i, g := range step.Stages {
				z := at(table.A[i])
				x := make([]float64, d)
				for j := range x {
					x[j] = g.Cin * z[j]
				}
				jets := make([]float64, d*nj)
				if err := e.Jets64(ctx, jets, x, []float64{g.Tau}, order); err != nil {
					t.Fatal(err)
				}
				for j := range d {
					for k, alpha := range simd.JetIndex(d, order) {
						degree := 0
						for _, p := range alpha {
							degree += p
						}
						jets[j*nj+k] *= g.ScoreNet * math.Pow(g.Cin, float64(degree))
						switch {
						case degree == 0:
							jets[j*nj] += g.ScoreState * z[j]
						case degree == 1 && alpha[j] == 1:
							jets[j*nj+k] += g.ScoreState
						}
					}
				}
				k := make([]float64, w)
				field.Eval(k, z, jets, g.Drift, g.HalfDiffusion)
				ks = append(ks, k)
			}
			next := at(table.B)
			sum5, sum3 := 0.0, 0.0
			for i := range next {
				scale := table.Weights[i] / (table.Tol * (1 + max(math.Abs(y[i]), math.Abs(next[i]))))
				sum5 += square(scale * mix(table.E, i))
				sum3 += square(scale * mix(table.E3, i))
			}
			est[s] = max(est[s], table.ErrorNorm(step.H, sum5, sum3))
			copy(y, next)
		}
	}
}

func TestTaylor(t *testing.T) {
	each(t, func(t *testing.T, im *simd.Impl) {
		for _, s := range shapes {
			for order := range 3 {
				if s.d > kernels.MaxJetDim && order > 0 || s.d > 2 && order > 1 {
					continue
				}
				const n = 5
				e := newEngine(t, s.program(), Options{Impl: im, Workers: 2, Tile: 20})
				state := kernels.NewTaylorState(s.d, order)
				table := taylorTable(state, 3, s.d == 2)
				start, _ := points(n, state.Width)
				want, wantEst := slices.Clone(start), make([]float64, n)
				plainTaylor(t, e, want, wantEst, table)
				y, est := slices.Clone(start), make([]float64, n)
				var done int
				if err := e.Taylor(ctx, y, est, table, func(d int) { done = d }); err != nil {
					t.Fatal(err)
				}
				// float64 throughout; sums are taken in other orders
				if w := max(worst(t, y, want), worst(t, est, wantEst)/10); !(w < 1e-11) || !(est[0] > 0) || done != n {
					t.Errorf("%s, order %d: error %.2g, norms %v, want %v, %d done", s.name, order, w, est, wantEst, done)
				}
				table.Float32 = true
				low := slices.Clone(start)
				if err := e.Taylor(ctx, low, nil, table, nil); err != nil {
					t.Fatal(err)
				}
				// float32 jets of up to fifth order
				if w := worst(t, low, want); !(w < 1e-4) || order > 0 && slices.Equal(low, y) {
					t.Errorf("%s, order %d: error %.2g in float32", s.name, order, w)
				}
				// one by one it is the same to the bit
				one := newEngine(t, s.program(), Options{Impl: im, Workers: 1, Tile: 1})
				again := slices.Clone(start)
				if err := one.Taylor(ctx, again, nil, table, nil); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(again, low) {
					t.Errorf("%s, order %d: tiles of one sample give other numbers", s.name, order)
				}
			}
		}
	})
}

func TestTaylorErrors(t *testing.T) {
	e := newEngine(t, shapes[0].program(), Options{})
	state := kernels.NewTaylorState(2, 1)
	good := func() *kernels.TaylorTable { return taylorTable(state, 2, true) }
	for _, c := range []struct {
		say    string
		y, est int
		change func(*kernels.TaylorTable)
	}{
		{"multiple of the state's 11", 12, 1, nil},
		{"est", 11, 2, nil},
		{"want finite", 11, 1, func(t *kernels.TaylorTable) { t.Steps[1].Stages[2].HalfDiffusion = math.NaN() }},
		{"tolerance 0", 11, 1, func(t *kernels.TaylorTable) { t.Tol = 0 }},
		{"10 weights; want a positive one and 11", 11, 1, func(t *kernels.TaylorTable) { t.Weights = t.Weights[1:] }},
		{"3 stages; want 4", 11, 1, func(t *kernels.TaylorTable) { t.Steps[0].Stages = t.Steps[0].Stages[:3] }},
		{"as many weights", 11, 1, func(t *kernels.TaylorTable) { t.B = t.B[1:] }},
		{"at most 1", 11, 1, func(t *kernels.TaylorTable) { t.A[1] = make([]float64, 2) }},
		{"not the first", 11, 1, func(t *kernels.TaylorTable) { t.E = nil }},
		{"want 0, 1 or 2", 11, 1, func(t *kernels.TaylorTable) { t.Order = 3 }},
	} {
		table := good()
		if c.change != nil {
			c.change(table)
		}
		err := e.Taylor(ctx, make([]float64, c.y), make([]float64, c.est), table, nil)
		if err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%v; want it to say %q", err, c.say)
		}
	}
	large := newEngine(t, shape{name: "large", d: 4, hidden: []int{8}, act: simd.SiLU}.program(), Options{})
	if err := large.Taylor(ctx, nil, nil, good(), nil); err == nil || !strings.Contains(err.Error(), "D = 4") {
		t.Errorf("four dimensions: %v", err)
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if err := e.Taylor(stopped, make([]float64, 11), nil, good(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
