package infer

import (
	"context"
	"fmt"
	"math"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// Taylor integrates the n states y (n×TaylorState.Width, in place) over the steps of a table. To est (n, may be nil) it
// writes the largest error norm of a step of each sample (kernels.TaylorTable), 0 if the method has no estimate. A state
// that becomes infinite or NaN is no error here; the caller checks. ctx and progress are as in Trajectory. If an error is
// returned, y and est are partly updated.
func (e *Engine) Taylor(ctx context.Context, y, est []float64, table *kernels.TaylorTable, progress func(done int)) error {
	if e.d > kernels.MaxJetDim && table.Order > 0 {
		return fmt.Errorf("infer: Taylor expansion in D = %d dimensions, want at most %d", e.d, kernels.MaxJetDim)
	}
	state := kernels.NewTaylorState(e.d, table.Order)
	if err := table.Validate(state.Width); err != nil {
		return err
	}
	if len(y)%state.Width != 0 {
		return fmt.Errorf("infer: y has %d elements, want a multiple of the state's %d", len(y), state.Width)
	}
	if est != nil {
		if err := length("est", len(est), len(y)/state.Width); err != nil {
			return err
		}
	}
	if table.Float32 && table.Order > 0 {
		return taylor(ctx, e, e.net32, y, est, table, state, progress)
	}
	return taylor(ctx, e, e.net64(), y, est, table, state, progress)
}

func taylor[F simd.Float](ctx context.Context, e *Engine, n *net[F], y, est []float64, table *kernels.TaylorTable, state kernels.TaylorState, progress func(done int)) error {
	samples := len(y) / state.Width
	nj := simd.NJet(n.d, state.DegL+1)
	size := e.split(n.rows, samples, nj)
	meter := newMeter(progress, samples, len(table.Steps))
	get := func() *taylorTile[F] { return newTaylorTile(n, table, state, size) }
	put := func(t *taylorTile[F]) { n.pool.Put(t.w) }
	err := tiles(ctx, e.workers, samples, size, get, put, func(t *taylorTile[F], lo, hi int) error {
		t.y = y[lo*state.Width : hi*state.Width]
		clear(t.est)
		for step := range table.Steps {
			if err := ctx.Err(); err != nil {
				return err
			}
			t.step(step)
			meter.add(hi - lo)
		}
		if est != nil {
			copy(est[lo:hi], t.est)
		}
		return nil
	})
	if err == nil {
		meter.finish()
	}
	return err
}

// taylorTile is one worker's part of Taylor.
type taylorTile[F simd.Float] struct {
	*kernels.TaylorTable
	n          *net[F]
	w          *work[F]
	field      *kernels.TaylorField
	nj         int
	bias, feat []F // of the stages of a step
	x, out     []F
	s          []float64 // jets of the score of one sample
	y          []float64 // the tile's states
	next       []float64
	k          [][]float64 // stages
	est        []float64
}

func newTaylorTile[F simd.Float](n *net[F], table *kernels.TaylorTable, state kernels.TaylorState, size int) *taylorTile[F] {
	t := &taylorTile[F]{TaylorTable: table, n: n, field: kernels.NewTaylorField(state), nj: simd.NJet(n.d, state.DegL+1)}
	t.w = n.get(size * t.nj)
	t.bias, t.feat = aligned[F](len(table.A)*n.timeLD), aligned[F](len(table.A)*n.tf)
	t.x, t.out = aligned[F](size*n.d), aligned[F](size*t.nj*n.d)
	t.s, t.next, t.est = make([]float64, n.d*t.nj), make([]float64, size*state.Width), make([]float64, size)
	for range table.A {
		t.k = append(t.k, make([]float64, size*state.Width))
	}
	return t
}

func (t *taylorTile[F]) step(step int) {
	n, h, stages := t.n, t.Steps[step].H, t.Steps[step].Stages
	for i, q := range stages {
		n.features(t.feat[i*n.tf:(i+1)*n.tf], q.Tau)
	}
	n.timeTable(t.w, t.bias, t.feat, len(stages))
	for i := range stages {
		t.combine(h, t.A[i])
		t.eval(i, &stages[i])
	}
	t.combine(h, t.B)
	if t.E != nil {
		t.estimate(h)
	}
	copy(t.y, t.next)
}

// combine writes y + h Σ c_j k_j to next.
func (t *taylorTile[F]) combine(h float64, c []float64) {
	next := t.next[:len(t.y)]
	copy(next, t.y)
	for j, a := range c {
		if a == 0 {
			continue
		}
		a *= h
		for i, k := range t.k[j][:len(next)] {
			next[i] += a * k
		}
	}
}

// eval writes f of the states in next to stage i.
func (t *taylorTile[F]) eval(i int, q *kernels.TaylorStage) {
	n, width, nj := t.n, t.field.Width, t.nj
	m := len(t.y) / width
	for r := range m {
		for d := range n.d {
			t.x[r*n.d+d] = F(q.Cin * t.next[r*width+d])
		}
	}
	at := times[F]{bias: t.bias[i*n.timeLD : (i+1)*n.timeLD], feat: t.feat[i*n.tf : (i+1)*n.tf]}
	if nj == 1 {
		n.eval(t.w, t.x, n.d, m, at, false)
	} else {
		n.evalJets(t.w, t.x, m, nj, t.field.DegL+1, at)
	}
	n.outputs(t.w, t.out, m*nj, false)
	for r := range m {
		y := t.next[r*width : (r+1)*width]
		t.score(q, t.out[r*nj*n.d:(r+1)*nj*n.d], y)
		t.field.Eval(t.k[i][r*width:(r+1)*width], y, t.s, q.Drift, q.HalfDiffusion)
	}
}

// score makes the jets of s = P x + Q n(Cin x) of those of n, nj rows of D.
func (t *taylorTile[F]) score(q *kernels.TaylorStage, out []F, x []float64) {
	n, nj := t.n, t.nj
	for d := range n.d {
		s := t.s[d*nj : (d+1)*nj]
		c := q.ScoreNet
		for degree, k := 0, 0; k < nj; degree++ {
			for end := simd.NJet(n.d, degree); k < end; k++ {
				v := out[k*n.d+d]
				if k == 0 && n.head != nil {
					v += n.head.bias[d]
				}
				s[k] = c * float64(v)
			}
			c *= q.Cin
		}
		s[0] += q.ScoreState * x[d]
		if nj > 1 {
			s[1+d] += q.ScoreState
		}
	}
}

// estimate raises est to the error norms of the step from y to next.
func (t *taylorTile[F]) estimate(h float64) {
	width := t.field.Width
	for r := range len(t.y) / width {
		sum5, sum3 := 0.0, 0.0
		for c := range width {
			at := r*width + c
			if t.Weights[c] == 0 {
				continue
			}
			w := t.Weights[c] / (t.Tol * (1 + max(math.Abs(t.y[at]), math.Abs(t.next[at]))))
			sum5 += square(w * t.stageSum(t.E, at))
			sum3 += square(w * t.stageSum(t.E3, at))
		}
		if err := t.ErrorNorm(h, sum5, sum3); !(err <= t.est[r]) {
			t.est[r] = err
		}
	}
}

// stageSum is Σ c_i k_i for number at of the tile's states.
func (t *taylorTile[F]) stageSum(c []float64, at int) float64 {
	sum := 0.0
	for i, v := range c {
		sum += v * t.k[i][at]
	}
	return sum
}

func square(x float64) float64 { return x * x }
