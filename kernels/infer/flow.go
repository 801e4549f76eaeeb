package infer

import (
	"context"
	"math"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// Flow integrates the n samples x (n×D, in place) and their integrals div (n×K, in place) over the steps of a table
// (kernels.FlowTable). probes are n×K×D, or nil for the exact divergence with K = 1. Each est (n) is raised to the largest error
// estimate of a step of its sample. State, sums and estimates are float64, the network is float32.
//
// ctx and progress are as in Trajectory. A state that becomes infinite or NaN is no error here: its estimate is infinite or NaN,
// and the caller checks.
func (e *Engine) Flow(ctx context.Context, x, div, est []float64, probes []float32, table *kernels.FlowTable, progress func(done int)) error {
	return flow(ctx, e, e.net32, x, div, est, probes, table, progress)
}

// Flow64 is Flow with the network in float64.
func (e *Engine) Flow64(ctx context.Context, x, div, est []float64, probes []float32, table *kernels.FlowTable, progress func(done int)) error {
	return flow(ctx, e, e.net64(), x, div, est, probes, table, progress)
}

func flow[F simd.Float](ctx context.Context, e *Engine, n *net[F], x, div, est []float64, probes []float32, table *kernels.FlowTable, progress func(done int)) error {
	samples, k, err := table.Shape(n.d, x, div, est, probes)
	if err != nil || samples == 0 || len(table.Steps) == 0 {
		return err
	}
	size := e.split(n.rows*2/3, samples, 1)
	meter := newMeter(progress, samples, len(table.Steps))
	get := func() *flowTile[F] { return newFlowTile(n, table, size, k) }
	put := func(t *flowTile[F]) { n.pool.Put(t.w) }
	err = tiles(ctx, e.workers, samples, size, get, put, func(t *flowTile[F], lo, hi int) error {
		t.start(x, div, est, probes, lo, hi)
		for s := range table.Steps {
			if err := ctx.Err(); err != nil {
				return err
			}
			t.step(&table.Steps[s])
			meter.add(hi - lo)
		}
		t.end(x, div, est, lo)
		return nil
	})
	if err == nil {
		meter.finish()
	}
	return err
}

// flowTile is the tile of samples that one worker integrates, with c = D+K numbers for each sample.
type flowTile[F simd.Float] struct {
	n       *net[F]
	w       *work[F]
	table   *kernels.FlowTable
	k, c, m int
	probes  []F
	norms   []float64   // |ε|², m×K
	y, next []float64   // m×c
	stages  [][]float64 // k_i, each m×c
	est     []float64
	in, out []F // m×D
	trace   []float64
	feat    []F // the time features of the stages of a step
	bias    []F
}

func newFlowTile[F simd.Float](n *net[F], table *kernels.FlowTable, size, k int) *flowTile[F] {
	c, s := n.d+k, table.Stages()
	t := &flowTile[F]{n: n, w: n.get(size), table: table, k: k, c: c,
		norms: make([]float64, size*k), y: make([]float64, size*c), next: make([]float64, size*c), est: make([]float64, size),
		in: aligned[F](size * n.d), out: aligned[F](size * n.d), trace: make([]float64, size*k),
		feat: aligned[F](s * n.tf), bias: aligned[F](s * n.timeLD)}
	for range s {
		t.stages = append(t.stages, make([]float64, size*c))
	}
	n.reserveSlopes(t.w)
	t.w.out = grow(t.w.out, size*n.d)
	return t
}

func (t *flowTile[F]) start(x, div, est []float64, probes []float32, lo, hi int) {
	d, k := t.n.d, t.k
	t.m = hi - lo
	for i := range t.m {
		copy(t.y[i*t.c:], x[(lo+i)*d:(lo+i+1)*d])
		copy(t.y[i*t.c+d:], div[(lo+i)*k:(lo+i+1)*k])
	}
	copy(t.est, est[lo:hi])
	if probes == nil {
		for i := range t.norms {
			t.norms[i] = float64(d)
		}
		return
	}
	t.probes = grow(t.probes, t.m*k*d)
	for i, v := range probes[lo*k*d : hi*k*d] {
		t.probes[i] = F(v)
	}
	clear(t.norms)
	for i := range t.m * k {
		for _, v := range t.probes[i*d : (i+1)*d] {
			t.norms[i] += float64(v) * float64(v)
		}
	}
}

func (t *flowTile[F]) end(x, div, est []float64, lo int) {
	d, k := t.n.d, t.k
	for i := range t.m {
		copy(x[(lo+i)*d:(lo+i+1)*d], t.y[i*t.c:])
		copy(div[(lo+i)*k:(lo+i+1)*k], t.y[i*t.c+d:])
	}
	copy(est[lo:lo+t.m], t.est)
}

func (t *flowTile[F]) step(s *kernels.FlowStep) {
	n := t.n
	for i, g := range s.Stages {
		n.features(t.feat[i*n.tf:(i+1)*n.tf], g.Tau)
	}
	n.timeTable(t.w, t.bias, t.feat, len(s.Stages))
	for i := range s.Stages {
		t.combine(t.table.A[i], s.H)
		t.eval(i, &s.Stages[i])
	}
	t.combine(t.table.B, s.H)
	t.estimate(math.Abs(s.H))
	t.y, t.next = t.next, t.y
}

// combine makes next = y + h Σ a_j k_j.
func (t *flowTile[F]) combine(a []float64, h float64) {
	next := t.next[:t.m*t.c]
	copy(next, t.y)
	for j, v := range a {
		if v == 0 {
			continue
		}
		v *= h
		for i, k := range t.stages[j][:len(next)] {
			next[i] += v * k
		}
	}
}

// eval makes k_i, the derivatives at next.
func (t *flowTile[F]) eval(stage int, g *kernels.FlowStage) {
	n, w, d, m := t.n, t.w, t.n.d, t.m
	in, out := t.in[:m*d], t.out[:m*d]
	for i := range m {
		for j, v := range t.next[i*t.c : i*t.c+d] {
			in[i*d+j] = F(g.Cin * v)
		}
	}
	at := times[F]{bias: t.bias[stage*n.timeLD : (stage+1)*n.timeLD], feat: t.feat[stage*n.tf : (stage+1)*n.tf]}
	n.eval(w, in, d, m, at, true)
	n.outputs(w, out, m, true)
	t.traces()
	for i := range m {
		k, y := t.stages[stage][i*t.c:(i+1)*t.c], t.next[i*t.c:]
		for j, v := range out[i*d : (i+1)*d] {
			k[j] = g.State*y[j] + g.Net*float64(v)
		}
		for j, trace := range t.trace[i*t.k : (i+1)*t.k] {
			k[d+j] = float64(d)*g.Drift + (g.State-g.Drift)*t.norms[i*t.k+j] + g.Net*g.Cin*trace
		}
	}
}

// traces writes εᵀ(∂n/∂y)ε, or the trace, of the samples that eval just passed.
func (t *flowTile[F]) traces() {
	n, d, m := t.n, t.n.d, t.m
	clear(t.trace)
	if t.probes == nil {
		for j := range d {
			n.diagonal(t.w, t.trace[:m], j)
		}
		return
	}
	for j := range t.k {
		n.evalTangent(t.w, t.probes[j*d:], t.k*d, j, m, false)
		jv := t.w.out[:m*d]
		n.outputs(t.w, jv, m, false)
		for i := range m {
			p := i*t.k + j
			for c, v := range t.probes[p*d : (p+1)*d] {
				t.trace[p] += float64(v) * float64(jv[i*d+c])
			}
		}
	}
}

// estimate raises est to the error of the step from y to next.
func (t *flowTile[F]) estimate(h float64) {
	if t.table.E == nil {
		return
	}
	for i := range t.m {
		e5, e3 := 0.0, 0.0
		for c := i * t.c; c < (i+1)*t.c; c++ {
			s5, s3 := 0.0, 0.0
			for j, v := range t.table.E {
				s5 += v * t.stages[j][c]
			}
			for j, v := range t.table.E3 {
				s3 += v * t.stages[j][c]
			}
			unit := t.table.Tol * (1 + max(math.Abs(t.y[c]), math.Abs(t.next[c])))
			e5 += (s5 / unit) * (s5 / unit)
			e3 += (s3 / unit) * (s3 / unit)
		}
		err := h * math.Sqrt(e5/float64(t.c))
		if t.table.E3 != nil && e5 != 0 {
			err = h * e5 / math.Sqrt((e5+0.01*e3)*float64(t.c))
		}
		t.est[i] = max(t.est[i], err) // max keeps a NaN
	}
}
