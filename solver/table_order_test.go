package solver

import (
	"math"
	"testing"

	"hbar/kernels"
)

// The error of the chain's mean and standard deviation falls with the order the sampler states: between 1000 and 2000
// steps the slope is within 0.1 of it. On one of the grids the leading term may vanish (edm, Heun, h = 1, uniform in λ is
// of third order in the standard deviation), so the slope's upper bound has to hold on one grid only.
func TestWeakOrder(t *testing.T) {
	g := gauss{0.7, 0.5}
	eachMethod(t, func(t *testing.T, s Schedule, m Sampler, h float64) {
		if _, discrete := s.(*DDPM); discrete {
			t.Skip("g² jumps, so that no order is to be seen; TestDDPM compares with the published sampler")
		}
		order, _ := m.Order()
		wantMean, wantStd := g.exact(s, h)
		lowest := math.Inf(1)
		for _, grid := range []Grid{GridLambda, GridKarras} {
			var e [2]float64
			for i, steps := range []int{1000, 2000} {
				mean, std := g.chain(s, Prediction{}, mustTable(t, s, Prediction{}, TableOptions{Sampler: m, Grid: grid, Steps: steps, H: h}))
				e[i] = math.Hypot(mean-wantMean, std-wantStd)
			}
			slope := math.Log2(e[0] / e[1])
			lowest = min(lowest, slope)
			if !(slope > order-0.1) || !(e[1] < 0.05) { // at 2000 steps terms of the next order are below a tenth of an order
				t.Errorf("%v grid: errors %.3g, %.3g: order %.2f, want %v", grid, e[0], e[1], slope, order)
			}
		}
		if !(lowest < order+0.1) {
			t.Errorf("order %.2f on both grids, more than the %v that Order states", lowest, order)
		}
	})
}

// Uniform t, the paper's grid, is first order too, on the paper's schedules.
func TestWeakOrderPaperGrid(t *testing.T) {
	g := gauss{0.7, 0.5}
	for _, s := range []Schedule{named(t, "simple"), named(t, "cosine")} {
		for _, h := range []float64{0, 1} {
			wantMean, wantStd := g.exact(s, h)
			var e [2]float64
			for i, steps := range []int{1000, 2000} {
				mean, std := g.chain(s, Prediction{}, mustTable(t, s, Prediction{}, TableOptions{Steps: steps, H: h}))
				e[i] = math.Hypot(mean-wantMean, std-wantStd)
			}
			if slope := math.Log2(e[0] / e[1]); !(math.Abs(slope-1) < 0.05) { // terms of the next order at 2000 steps; measured 0.004
				t.Errorf("%s h=%v: errors %.3g, %.3g: order %.3f, want 1", s.Name(), h, e[0], e[1], slope)
			}
		}
	}
}

// On the simple schedule at h = 0, with steps uniform in λ, half the step divides the errors of the exponential integrators' means by
// 2 and by 4.
func TestExponentialFigures(t *testing.T) {
	s := named(t, "simple")
	g := gauss{0.7, 0.5}
	want, _ := g.exact(s, 0)
	for _, c := range []struct {
		m     Sampler
		ratio float64
	}{{Exponential, 2}, {Exponential2, 4}} {
		var previous float64
		for _, steps := range []int{40, 80, 160} {
			mean, _ := g.chain(s, Prediction{}, mustTable(t, s, Prediction{}, TableOptions{Sampler: c.m, Grid: GridLambda, Steps: steps}))
			e := mean - want
			if r := previous / e; previous != 0 && !(math.Abs(r/c.ratio-1) < 0.05) { // the same at 40 steps; measured 0.016
				t.Errorf("%v, %d steps: error %.3g after %.3g, ratio %.2f, want about %v", c.m, steps, e, previous, r, c.ratio)
			}
			previous = e
		}
	}
}

// The strong error: the root mean square distance of two chains on one Brownian path, one with steps twice as fine. The
// noise of a coarse step is the sum of the fine steps' as the linear part of the process carries it on.
func TestStrongOrder(t *testing.T) {
	g := gauss{0.7, 0.5}
	for _, s := range all(t) {
		for i := range samplers {
			m := Sampler(i)
			var e [3]float64
			for j, steps := range []int{250, 500, 1000} {
				e[j] = g.strongError(t, s, m, steps)
			}
			_, strong := m.Order()
			if slope := math.Log2(e[1] / e[2]); !(slope > strong-0.15) || !(slope < strong+0.15) {
				t.Errorf("%s %v: strong errors %.3g, order %.2f, want %v", s.Name(), m, e, slope, strong)
			}
		}
	}
}

// pair has mean and covariance of the state (x, m, X, M) of two chains: the fine one and its memory, the coarse one and its memory.
type pair struct {
	mean [4]float64
	cov  [4][4]float64
}

// apply takes components at and at+1 through an affine map; the others stay.
func (q *pair) apply(at int, m [2][2]float64, shift [2]float64) {
	a := [4][4]float64{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}}
	var next [4]float64
	for i := range 2 {
		next[at+i] = shift[i]
		for j := range 2 {
			a[at+i][at+j] = m[i][j]
		}
	}
	var half, out [4][4]float64
	for i := range 4 {
		for k := range 4 {
			next[i] += a[i][k] * q.mean[k]
			for j := range 4 {
				half[i][j] += a[i][k] * q.cov[k][j]
			}
		}
	}
	for i := range 4 {
		for j := range 4 {
			for k := range 4 {
				out[i][j] += half[i][k] * a[j][k]
			}
		}
	}
	q.mean, q.cov = next, out
}

// strongError is the root mean square distance at Tmin between the coarse chain and the fine one, h = 1, uniform in λ.
func (g gauss) strongError(t *testing.T, s Schedule, m Sampler, steps int) float64 {
	o := TableOptions{Sampler: m, Grid: GridLambda, Steps: steps, H: 1}
	coarse := mustTable(t, s, Prediction{}, o)
	o.Steps *= 2
	fine := mustTable(t, s, Prediction{}, o)
	var q pair
	v := s.PriorStd() * s.PriorStd()
	q.cov[0][0], q.cov[0][2], q.cov[2][0], q.cov[2][2] = v, v, v, v
	apply := func(r kernels.Row, at int, tt float64) {
		c, b := g.network(s, Prediction{}, tt)
		q.apply(at, [2][2]float64{{r.State + r.Net*c, r.Memory}, {r.KeepState + r.KeepNet*c, r.KeepMemory}}, [2]float64{r.Net * b, r.KeepNet * b})
	}
	// Noise enters by columns: a unit normal z with loading L adds L Lᵀ. The fine normals z1, z2 make the coarse
	// Z = w1 z1 + w2 z2; what z1 does to X is a separate loading until Z is complete. So both fine steps of a coarse one are
	// carried as the loadings of z1 and z2 on (x, m, X, M).
	for k := range steps {
		r1, r2 := fine.Rows[2*k*fine.Stride], fine.Rows[(2*k+1)*fine.Stride]
		w1, w2 := carry(s, m, fine, 2*k)*r1.Noise, r2.Noise
		norm := math.Hypot(w1, w2)
		w1, w2 = w1/norm, w2/norm
		var l1, l2 [4]float64
		load := func(r kernels.Row, at int, tt float64) {
			c, _ := g.network(s, Prediction{}, tt)
			for _, l := range []*[4]float64{&l1, &l2} {
				x, mm := l[at], l[at+1]
				l[at], l[at+1] = (r.State+r.Net*c)*x+r.Memory*mm, (r.KeepState+r.KeepNet*c)*x+r.KeepMemory*mm
			}
		}
		for j := range 2 * fine.Stride {
			r := fine.Rows[2*k*fine.Stride+j]
			tt := fine.Times[2*k+j/fine.Stride+j%fine.Stride]
			load(r, 0, tt)
			l := &l1
			if j >= fine.Stride {
				l = &l2
			}
			l[0] += r.Noise
			l[1] += r.KeepNoise
			apply(r, 0, tt)
		}
		for j := range coarse.Stride {
			r := coarse.Rows[k*coarse.Stride+j]
			tt := coarse.Times[k+j]
			load(r, 2, tt)
			l1[2] += w1 * r.Noise
			l1[3] += w1 * r.KeepNoise
			l2[2] += w2 * r.Noise
			l2[3] += w2 * r.KeepNoise
			apply(r, 2, tt)
		}
		for i := range 4 {
			for j := range 4 {
				q.cov[i][j] += l1[i]*l1[j] + l2[i]*l2[j]
			}
		}
	}
	d := q.mean[0] - q.mean[2]
	return math.Sqrt(d*d + q.cov[0][0] - 2*q.cov[0][2] + q.cov[2][2])
}

// carry is the factor by which the method's linear part carries noise over the fine step k+1: 1 for the Euler and Heun
// increments, the exact decay (α'/α) e^{−(1+h)Δ} (h = 1) for the exponential integrators.
func carry(s Schedule, m Sampler, fine *Table, k int) float64 {
	if m == EulerMaruyama || m == Heun {
		return 1
	}
	t, next := fine.Times[k+1], fine.Times[k+2]
	return s.Alpha(next) / s.Alpha(t) * math.Exp(-2*(s.Lambda(next)-s.Lambda(t)))
}
