package likelihood

import (
	"math"

	"hbar/kernels"
)

// Correction improves the proposal of the path integral. The bounds hold with any, and are the closer the better it is.
type Correction interface {
	// Write writes c ≈ ∇log q^h − s (n×D) at the points x with the model's score s there, all at the time t. The proposal's mean
	// moves by C² c, with C² the variance of the chain's step.
	Write(dst, x, s []float64, t float64)
	// Variance is ρ at t: the proposal's variance is ρ C².
	Variance(t float64) float64
}

// correction is that of the j-th strength, nil for none.
func (o PathOptions) correction(j int) Correction {
	if j >= len(o.Corrections) {
		return nil
	}
	return o.Corrections[j]
}

// correct gives the proposals of a table for the score the variances of c.
func correct(rows []kernels.PathRow, c Correction, d int) {
	if c == nil {
		return
	}
	for k := range len(rows) - 1 {
		next := &rows[k+1]
		rho := c.Variance(rows[k].Tau)
		rows[k].Noise = math.Sqrt(rho / next.ReversePrecision)
		next.LogNorm = float64(d) * math.Log(rho) / 2
	}
}

// shift writes C² c at the states x of row k, zeros without c.
func shift(own, x, s []float64, rows []kernels.PathRow, k int, c Correction) {
	if c == nil {
		return
	}
	c.Write(own, x, s, rows[k].Tau)
	c2 := 1 / rows[k+1].ReversePrecision
	for i := range own {
		own[i] *= c2
	}
}
