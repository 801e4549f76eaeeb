package fokkerplanck

import (
	"context"
	"math"

	"hbar/solver"
)

// stencil is the number of λ nodes that an interpolation takes; its error is of sixth order in their spacing.
const stencil = 6

// tables holds σs of a model on grids at equidistant λ nodes. A table is made when it is first wanted and serves all h
// that use the same grid; those behind the front are dropped.
type tables struct {
	model   solver.Model
	frame   *frame
	nodes   []float64 // λ, rising
	cap     float64   // limit of |σs|
	have    map[tableKey]table
	evals   int
	scratch []float64
}

type tableKey struct{ node, n int }

// table is σs on a grid at one node; the second dimension is the imaginary part.
type table []complex128

// window is the first node of the stencil for the interval from node to node+1.
func (t *tables) window(node int) int {
	return max(0, min(node-(stencil-2)/2, len(t.nodes)-stencil))
}

// at returns the table of a node, evaluating the model if need be.
func (t *tables) at(ctx context.Context, node int, g grid) (table, error) {
	key := tableKey{node, g.n[0]}
	if have := t.have[key]; have != nil {
		return have, nil
	}
	a := t.frame.at(t.nodes[node])
	n, d := g.points(), t.frame.d
	if len(t.scratch) < 2*n*d {
		t.scratch = make([]float64, 2*n*d)
	}
	x, s := t.scratch[:n*d], t.scratch[n*d:2*n*d]
	t.frame.lattice(x, a, g)
	if err := t.model.Score(ctx, s, x, []float64{a.t}); err != nil {
		return nil, err
	}
	t.evals += n
	tab := make(table, n)
	for i := range n {
		z := complex(a.sigma*s[i*d], 0)
		if d == 2 {
			z = complex(real(z), a.sigma*s[i*d+1])
		}
		r := math.Hypot(real(z), imag(z))
		if math.IsNaN(r) || math.IsInf(r, 0) {
			return nil, notFinite("at x = %.4g, t = %.6g", x[i*d:i*d+d], a.t)
		}
		if f := limit(r / t.cap); f != 1 {
			z = scale(f, z)
		}
		w1, w2 := taper(g.y(0, i%g.n[0])), taper(g.y(1, i/g.n[0]))
		tab[i] = complex(w1*real(z), w2*imag(z))
	}
	t.have[key] = tab
	return tab, nil
}

// limit is the factor (1 + r¹⁶)^(−1/16) that takes r smoothly to at most 1: 1 − 10⁻⁶ at r = ½, 1 − 10⁻⁹ at r = ⅓.
func limit(r float64) float64 {
	if r < 0.1 {
		return 1
	}
	if r > 10 {
		return 1 / r
	}
	p := r * r
	p *= p
	p *= p
	p *= p
	return math.Pow(1+p, -1.0/16)
}

// forget drops the tables of nodes before the given one.
func (t *tables) forget(before int) {
	for k := range t.have {
		if k.node < before {
			delete(t.have, k)
		}
	}
}

// interpolate writes σs at λ, between the nodes node and node+1, to z: Lagrange's polynomial through the window.
func (t *tables) interpolate(ctx context.Context, z []complex128, lambda float64, node int, g grid, p pool) error {
	var w [stencil]float64
	var from [stencil][]complex128
	first := t.window(node)
	for i := range w {
		tab, err := t.at(ctx, first+i, g)
		if err != nil {
			return err
		}
		from[i], w[i] = tab, 1
		for j := range w {
			if j != i {
				w[i] *= (lambda - t.nodes[first+j]) / (t.nodes[first+i] - t.nodes[first+j])
			}
		}
	}
	p.run(len(z), 4096, func(_, lo, hi int) {
		out := z[lo:hi]
		a, b, c := from[0][lo:hi], from[1][lo:hi], from[2][lo:hi]
		d, e, f := from[3][lo:hi], from[4][lo:hi], from[5][lo:hi]
		for i := range out {
			out[i] = complex(
				w[0]*real(a[i])+w[1]*real(b[i])+w[2]*real(c[i])+w[3]*real(d[i])+w[4]*real(e[i])+w[5]*real(f[i]),
				w[0]*imag(a[i])+w[1]*imag(b[i])+w[2]*imag(c[i])+w[3]*imag(d[i])+w[4]*imag(e[i])+w[5]*imag(f[i]))
		}
	})
	return nil
}
