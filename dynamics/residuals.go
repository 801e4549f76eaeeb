package dynamics

import (
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// matrices copies the features of a chunk's pairs, less their means, into matrices of pairs×d.
func (c *chunk) matrices(data *Data, e *EDMD) (x, y *mat.Dense) {
	d := e.Features
	x, y = mat.NewDense(c.pairs, d, nil), mat.NewDense(c.pairs, d, nil)
	at, to := c.fill(data, e.Lift)
	for k := range c.pairs {
		xr, yr := x.RawRowView(k), y.RawRowView(k)
		for j, v := range at(k) {
			xr[j] = v - e.Mean[j]
		}
		for j, v := range to(k) {
			yr[j] = v - e.Next[j]
		}
	}
	return x, y
}

// residuals computes the covariances of what the fit leaves, and whether it is correlated in time.
func (e *EDMD) residuals(all []chunk, data *Data) {
	r, p := e.Rank, data.P
	tk := mat.NewDense(e.Features, r, nil) // x ↦ F g
	tk.Mul(e.transform.T(), e.ols.T())
	kp := e.K.Slice(0, p, 0, e.Features) // of the outputs
	type sums struct {
		state, noise, cross *mat.Dense
		lagged              []*mat.Dense // at lags 1, 2, …
	}
	lags := 1
	if p <= maxLagged {
		lags = e.Lift.Delays + moreLags
	}
	parts := make([]sums, len(all))
	parallel(len(all), func(i int) {
		c := &all[i]
		x, y := c.matrices(data, e)
		var ge, gx, oe, gy mat.Dense
		ge.Mul(y, e.transform.T())
		gx.Mul(x, tk)
		ge.Sub(&ge, &gx)
		oe.Mul(x, kp.T())
		oe.Sub(y.Slice(0, c.pairs, 0, p), &oe)
		gy.Mul(y, e.transform.T())
		s := sums{state: mat.NewDense(r, r, nil), noise: mat.NewDense(p, p, nil), cross: mat.NewDense(p, r, nil)}
		for range lags {
			s.lagged = append(s.lagged, mat.NewDense(p, p, nil))
		}
		s.state.Mul(ge.T(), &ge)
		s.noise.Mul(oe.T(), &oe)
		s.cross.Mul(oe.T(), &gy) // with the whitened features that the residual ends in
		row := 0
		for _, g := range c.segments {
			for h := 1; h <= lags && h < g.pairs; h++ {
				var lag mat.Dense
				lag.Mul(oe.Slice(row+h, row+g.pairs, 0, p).T(), oe.Slice(row, row+g.pairs-h, 0, p))
				s.lagged[h-1].Add(s.lagged[h-1], &lag)
			}
			row += g.pairs
		}
		parts[i] = s
	})
	total := parts[0]
	for _, s := range parts[1:] {
		total.state.Add(total.state, s.state)
		total.noise.Add(total.noise, s.noise)
		for h, m := range s.lagged {
			total.lagged[h].Add(total.lagged[h], m)
		}
		total.cross.Add(total.cross, s.cross)
	}
	n := float64(e.Pairs)
	e.PNoise = correlated(total.noise, total.lagged[0], total.cross, n)
	if lags > 1 { // the smaller of two, for both of them
		e.PNoise = math.Min(1, 2*math.Min(e.PNoise, portmanteau(total.noise, total.lagged, n, e.Lift.Delays)))
	}
	total.state.Scale(1/e.dof(), total.state)
	total.noise.Scale(1/e.dof(), total.noise)
	e.Residual, e.Noise = total.state, total.noise
	e.Relative = math.Sqrt(mat.Trace(e.Noise) / float64(p))
}

// roundingResidual is the relative size of residuals below which nothing can be said of their correlation.
const roundingResidual = 1e-6

// portmanteau is the P value of uncorrelated residuals by all lags: n Σ_h tr(C_h S⁻¹ C_hᵀ S⁻¹) is χ² of p² degrees for each
// lag beyond the fitted delays (J. R. M. Hosking, J. Am. Stat. Assoc. 75, 602, 1980).
func portmanteau(noise *mat.Dense, lagged []*mat.Dense, n float64, delays int) float64 {
	p, _ := noise.Dims()
	q := 0.0
	for _, c := range lagged {
		var a, b, t mat.Dense
		if solveSymmetric(&a, noise, c) != nil || solveSymmetric(&b, noise, mat.DenseCopyOf(c.T())) != nil {
			return math.NaN()
		}
		t.Mul(&a, &b)
		q += n * mat.Trace(&t)
	}
	return distuv.ChiSquared{K: float64(p * p * (len(lagged) - delays))}.Survival(q)
}

// maxLagged bounds the outputs whose residuals are compared at many lags, and moreLags are those beyond the delays.
const (
	maxLagged = 8
	moreLags  = 10
)

// correlated is the P value of residuals that are not correlated with those one step before, by Breusch and Godfrey's
// Lagrange multiplier: with C = (1/n) Σ e_{k+1} e_kᵀ, n tr(S⁻¹ C (S − M Mᵀ)⁻¹ Cᵀ) is χ² of p² degrees, where S is the
// covariance of residuals and M theirs with the whitened features that they end in, which the fit has made uncorrelated
// with the next residual.
func correlated(noise, lagged, cross *mat.Dense, n float64) float64 {
	p, _ := noise.Dims()
	if math.Sqrt(mat.Trace(noise)/(n*float64(p))) < roundingResidual {
		return math.NaN()
	}
	s, c, rest := mat.NewDense(p, p, nil), mat.NewDense(p, p, nil), mat.NewDense(p, p, nil)
	s.Scale(1/n, noise)
	c.Scale(1/n, lagged)
	var m mat.Dense
	m.Scale(1/n, cross)
	rest.Mul(&m, m.T())
	rest.Sub(s, rest)
	var a, b mat.Dense
	if solveSymmetric(&a, s, c) != nil || solveSymmetric(&b, rest, mat.DenseCopyOf(c.T())) != nil {
		return math.NaN()
	}
	var t mat.Dense
	t.Mul(&a, &b)
	return distuv.ChiSquared{K: float64(p * p)}.Survival(n * mat.Trace(&t))
}
