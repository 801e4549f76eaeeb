package fokkerplanck

import (
	"context"
	"fmt"
	"math"

	"hbar/internal/memory"
	"hbar/solver"
)

// sweep solves for all h at the same time, node by node, so that each table serves all of them and few tables are in memory.
type sweep struct {
	model  solver.Model
	frame  *frame
	pool   pool
	opt    Options
	hs     []float64
	follow []*state // states of a finer sweep, whose grids are followed at 3/4
}

// coarser is the sweep to check against: fewer modes, longer steps, wider nodes and a smaller box.
func (w *sweep) coarser() *sweep {
	c := *w
	f := *w.frame
	c.frame = &f
	c.opt.Spacing *= 4.0 / 3
	f.kappa *= 0.95
	for i := range f.radius {
		f.radius[i] *= 0.95
	}
	return &c
}

func (w *sweep) ends() (from, to float64) {
	s := w.frame.schedule
	return s.Lambda(s.Tmax()), s.Lambda(w.opt.Time)
}

// intervals is the number of node intervals: enough for the spacing and the stencil.
func (w *sweep) intervals() int {
	from, to := w.ends()
	return max(stencil-1, int(math.Ceil((to-from)/w.opt.Spacing)))
}

func (w *sweep) parts() int { return w.intervals() * len(w.hs) }

// nextN is the next of the grid sizes 2^k and 3·2^k.
func nextN(n int) int {
	if n&(n-1) == 0 {
		return n / 2 * 3
	}
	return n / 3 * 4
}

// run advances all states from the prior to the end. A state that breaks down gets an error and is not advanced further.
func (w *sweep) run(ctx context.Context, tick func()) ([]*state, error) {
	from, to := w.ends()
	m := w.intervals()
	t := &tables{model: w.model, frame: w.frame, cap: w.opt.Limit, have: map[tableKey]table{}, nodes: make([]float64, m+1)}
	for i := range t.nodes {
		t.nodes[i] = from + (to-from)*float64(i)/float64(m)
	}
	grids := map[int]*spectral{}
	spectralOf := func(n int) *spectral {
		if grids[n] == nil {
			grids[n] = newSpectral(newGrid(w.frame.d, n), w.pool)
		}
		return grids[n]
	}
	states := make([]*state, len(w.hs))
	for i, h := range w.hs {
		s := spectralOf(w.startN(i))
		states[i] = newState(h, s)
		s.spectrum(states[i].u, w.frame.prior(w.frame.at(from), s.grid))
	}
	for node := range m {
		for i, st := range states {
			if st.err == nil {
				if err := w.advance(ctx, t, st, node); err != nil {
					return nil, err
				}
				if n := w.wantN(i, st, t.nodes[node+1]); n != st.s.n[0] && node < m-1 {
					if st.err = w.fits(n, st.s.n[0]); st.err == nil {
						st.move(spectralOf(n))
					}
				}
			}
			tick()
		}
		t.forget(t.window(min(node+1, m-1)))
	}
	return states, nil
}

// fits refuses a finer grid that does not fit in memory: tables for a stencil of nodes, the lattice, and the fields of each state.
func (w *sweep) fits(n, now int) error {
	need := func(n int) float64 {
		return math.Pow(float64(n), float64(w.frame.d)) * float64(16*(stencil+2)+32+16+64*len(w.hs))
	}
	err := memory.Check(memory.Need{{What: fmt.Sprintf("a grid of %d points a dimension", n), Bytes: need(n)}}, memory.Available(),
		memory.Suggest(memory.Option{Name: "at most", Value: n, Need: need}))
	if err != nil {
		return fmt.Errorf("fokkerplanck: the density needs a finer grid than %d points a dimension: %w", now, err)
	}
	return nil
}

// advance takes a state from a node to the next, in steps within the stability bound of both nodes.
func (w *sweep) advance(ctx context.Context, t *tables, st *state, node int) error {
	from, to := t.nodes[node], t.nodes[node+1]
	rate := 0.0
	for _, j := range []int{node, node + 1} {
		tab, err := t.at(ctx, j, st.s.grid)
		if err != nil {
			return err
		}
		rate = max(rate, st.rate(w.frame, t.nodes[j], tab))
	}
	const imaginary = 2.8 // of the stability region of fourth-order Runge–Kutta: 2√2 on the imaginary axis
	n := max(1, int(math.Ceil((to-from)*rate/(imaginary*w.opt.Courant))))
	if w.opt.substeps > 0 {
		n = w.opt.substeps
	}
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := st.step(ctx, t, node, from+(to-from)*float64(i)/float64(n), (to-from)/float64(n)); err != nil {
			return err
		}
	}
	st.sizes = append(st.sizes, size{to, st.s.n[0]})
	if p := st.tail(); !(p < 0.5) {
		st.err = fmt.Errorf("fokkerplanck: the solution at h = %g broke down at λ = %.3g (grid %d, %d steps)", st.h, to, st.s.n[0], st.steps)
	}
	return nil
}

// size is the number of grid points a dimension used up to λ.
type size struct {
	lambda float64
	n      int
}

func (w *sweep) startN(i int) int {
	if w.follow != nil && len(w.follow[i].sizes) > 0 {
		return w.follow[i].sizes[0].n / 4 * 3
	}
	return w.opt.MinN
}

// wantN is the number of grid points for the next interval.
func (w *sweep) wantN(i int, st *state, lambda float64) int {
	n := st.s.n[0]
	if w.follow != nil {
		for _, s := range w.follow[i].sizes {
			if s.lambda > lambda+1e-12 {
				return s.n / 4 * 3
			}
		}
		return n
	}
	if next := nextN(n); st.tail() > w.opt.Tolerance && next <= w.opt.MaxN {
		return next
	}
	return n
}

// density is what a state has come to.
func (w *sweep) density(st *state) *Density {
	if st.err != nil {
		return nil
	}
	_, to := w.ends()
	q := &Density{frame: w.frame, end: w.frame.at(to), grid: st.s.grid, u: st.u, pool: w.pool}
	v := make([]float64, st.s.points())
	st.s.values(v, st.u)
	low, high, edge := 0.0, 0.0, 0.0
	n1 := st.s.n[0]
	for i, x := range v {
		low, high = min(low, x), max(high, x)
		if i%n1 == 0 || i < n1 && st.s.n[1] > 1 { // y = −1, which is also y = 1
			edge = max(edge, math.Abs(x))
		}
	}
	mass := real(st.u[st.s.k[1]]) * math.Pow(2, float64(w.frame.d))
	q.Run = Run{N: n1, Steps: st.steps, Mass: mass, MostNegative: low / high, Boundary: edge / high, Tail: st.tail(),
		peak: high / q.end.volume()}
	return q
}
