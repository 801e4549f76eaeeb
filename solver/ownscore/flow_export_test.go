package ownscore

import (
	"context"
	"math"

	"hbar/solver"
)

// Flow, which only tests use because it helped no model more than the bounds do (docs/highdim.md), is the model s − h c, whose probability flow has the density q^h if c is exact: likelihood.Flow of it is an estimate of log q^h.
func Flow(m solver.JVPer, c *Score) solver.Diverger { return &flow{m, c} }

type flow struct {
	solver.JVPer
	c *Score
}

var _ solver.JVPer = (*flow)(nil)

func (f *flow) Score(ctx context.Context, dst, x, t []float64) error {
	if err := f.JVPer.Score(ctx, dst, x, t); err != nil {
		return err
	}
	d := f.c.D
	each(len(x)/d, t, func(lo, hi int, t float64) {
		own := make([]float64, (hi-lo)*d)
		f.c.Write(own, x[lo*d:hi*d], dst[lo*d:hi*d], t)
		for i, v := range own {
			dst[lo*d+i] -= f.c.H * v
		}
	})
	return nil
}

// each calls g for the rows of one time.
func each(n int, t []float64, g func(lo, hi int, t float64)) {
	if len(t) == 1 {
		g(0, n, t[0])
		return
	}
	for i := range n {
		g(i, i+1, t[i])
	}
}

func (f *flow) ScoreJVP(ctx context.Context, s, jv, x, v []float64, k int, t []float64) error {
	d := f.c.D
	score := make([]float64, len(x))
	if err := f.JVPer.ScoreJVP(ctx, score, jv, x, v, k, t); err != nil {
		return err
	}
	each(len(x)/d, t, func(lo, hi int, t float64) {
		tan := make([]float64, (hi-lo)*k*d)
		f.c.tangents(tan, x[lo*d:hi*d], v[lo*k*d:hi*k*d], score[lo*d:hi*d], jv[lo*k*d:hi*k*d], k, t)
		for i, u := range tan {
			jv[lo*k*d+i] -= f.c.H * u
		}
		if s == nil {
			return
		}
		own := make([]float64, (hi-lo)*d)
		f.c.Write(own, x[lo*d:hi*d], score[lo*d:hi*d], t)
		for i, u := range own {
			s[lo*d+i] = score[lo*d+i] - f.c.H*u
		}
	})
	return nil
}

// ScoreDiv takes D directional derivatives.
func (f *flow) ScoreDiv(ctx context.Context, s, div, x, t []float64) error {
	d := f.c.D
	n := len(x) / d
	v, jv := make([]float64, n*d*d), make([]float64, n*d*d)
	for i := range n {
		for j := range d {
			v[(i*d+j)*d+j] = 1
		}
	}
	if err := f.ScoreJVP(ctx, s, jv, x, v, d, t); err != nil {
		return err
	}
	for i := range n {
		div[i] = 0
		for j := range d {
			div[i] += jv[(i*d+j)*d+j]
		}
	}
	return nil
}

// tangents writes ∂c along v (n×k×D each) at x, from s and its tangents sv along v; the cap is left out.
func (c *Score) tangents(dst, x, v, s, sv []float64, k int, t float64) {
	clear(dst)
	if c.Weights == nil {
		return
	}
	sigma, norm := scales(c.Schedule, t)
	w, d := c.weights(t), c.D
	phi := make([]float64, c.features())
	for r := range len(dst) / d {
		row := dst[r*d : (r+1)*d]
		dir := point{x: v[r*d : (r+1)*d], s: sv[r*d : (r+1)*d], norm: norm, sigma: sigma}
		if c.Features == Cosines {
			c.cosineTangent(row, phi, w, x[r/k*d:(r/k+1)*d], dir)
		} else { // the other features are linear
			c.row(row, phi, w, dir)
		}
		for j := range row {
			row[j] /= sigma
		}
	}
}

// cosineTangent is the tangent of row for features that are not linear, at the point x.
func (c *Score) cosineTangent(dst, phi, w, x []float64, dir point) {
	d := c.D
	phi[0] = 0
	for j := range d {
		phi[1+j], phi[1+d+j] = dir.norm*dir.x[j], dir.sigma*dir.s[j]
	}
	for m, b := range c.Phase {
		rate := 0.0
		for j := range d {
			b += c.Omega[m*d+j] * dir.norm * x[j]
			rate += c.Omega[m*d+j] * dir.norm * dir.x[j]
		}
		phi[1+2*d+m] = -math.Sin(b) * rate
	}
	for f, g := range phi {
		for j := range d {
			dst[j] += w[f*d+j] * g
		}
	}
}
