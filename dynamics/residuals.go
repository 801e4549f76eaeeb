package dynamics

import (
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// matrices copies the features of a chunk's pairs, less their means, into matrices of pairs×d.
func (c *chunk) matrices(data *Data, e *EDMD) (x, y *padded) {
	d := e.Features
	x, y = newPadded(c.pairs, d), newPadded(c.pairs, d)
	at, to := c.fill(data, e.Lift)
	for k := range c.pairs {
		xr, yr := x.row(k), y.row(k)
		for j, v := range at(k) {
			xr[j] = v - e.Mean[j]
		}
		for j, v := range to(k) {
			yr[j] = v - e.Next[j]
		}
	}
	return x, y
}

// residuals computes the covariances of the residuals φ_{k+1} − φ̄' − K (φ_k − φ̄), and tests whether they are correlated in time.
func (e *EDMD) residuals(all []chunk, data *Data) {
	d, p := e.Features, data.P
	type sums struct {
		all    *padded   // of residuals of all features
		lagged []*padded // of the outputs' with those 1, 2, … steps before
	}
	lags := 1
	if p <= maxLagged {
		lags = e.Lift.Delays + moreLags
	}
	var minus mat.Dense
	minus.Scale(-1, e.K.T())
	step := pad(&minus)
	parts := make([]sums, len(all))
	parallel(len(all), func(i int) {
		c := &all[i]
		x, r := c.matrices(data, e)
		r.add(x, step)
		s := sums{all: newPadded(d, d)}
		s.all.addT(r, c.pairs, r)
		for h := 1; h <= lags; h++ {
			total := newPadded(p, p)
			row := 0
			for _, g := range c.segments {
				if h < g.pairs {
					total.addT(r.from(row+h), g.pairs-h, r.from(row))
				}
				row += g.pairs
			}
			s.lagged = append(s.lagged, total)
		}
		parts[i] = s
	})
	squares := mat.NewDense(d, d, nil)
	lagged := make([]*mat.Dense, lags)
	for h := range lagged {
		lagged[h] = mat.NewDense(p, p, nil)
	}
	for _, s := range parts {
		squares.Add(squares, s.all.dense(d))
		for h, m := range s.lagged {
			lagged[h].Add(lagged[h], m.dense(p))
		}
	}
	n := float64(e.Pairs)
	noise := mat.DenseCopyOf(squares.Slice(0, p, 0, p))
	// With the whitened features that they end in: least squares leave residuals orthogonal to the features before the step.
	cross := mat.NewDense(p, e.Rank, nil)
	cross.Mul(squares.Slice(0, p, 0, d), e.transform.T())
	e.PNoise = correlated(noise, lagged[0], cross, n)
	if lags > 1 { // the smaller of two, for both of them
		e.PNoise = math.Min(1, 2*math.Min(e.PNoise, portmanteau(noise, lagged, n, e.Lift.Delays)))
	}
	e.Noise = noise
	e.Noise.Scale(1/e.dof(), noise)
	e.Residual = mat.NewDense(e.Rank, e.Rank, nil)
	e.Residual.Product(e.transform, squares, e.transform.T())
	e.Residual.Scale(1/e.dof(), e.Residual)
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
