package dynamics

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// EDMD is linear dynamics of lifted snapshots, φ_{k+1} ≈ φ̄' + K (φ_k − φ̄), fitted by least squares (extended dynamic mode
// decomposition). Inside, features have whitened coordinates g = T (φ − φ̄) with mean 0 and covariance 1 over the
// snapshots, where g_{k+1} = F g_k + b + ξ_k.
type EDMD struct {
	Lift     *Lift
	Dt       float64 // of a step
	Pairs    int     // n
	Span     float64 // n Δ, the time that the data cover
	Features int     // d of the lift
	Rank     int     // of the features over the snapshots; directions beyond are left out

	F         *mat.Dense // r×r, corrected for its bias where Corrected says so
	Corrected bool
	Residual  *mat.Dense // covariance of ξ, r×r

	// The features in their own coordinates.
	K        *mat.Dense // d×d, without the correction
	Mean     []float64  // φ̄ before a step
	Next     []float64  // φ̄' after it
	Noise    *mat.Dense // covariance of the outputs' residuals, p×p, in standard deviations of the outputs
	Relative float64    // r.m.s. of these residuals

	// Start is the covariance of the window's coordinates.
	Start *mat.Dense

	// PNoise is the P value of the hypothesis that residuals are uncorrelated with those before. It is small if there is
	// measurement noise, or if the features do not contain the whole state. NaN where residuals are only rounding.
	PNoise float64

	Modes []Mode
	Notes []string // what a reader of the spectrum should know

	ols       *mat.Dense // F as fitted
	transform *mat.Dense // T, r×d
	inverse   *mat.Dense // from whitened coordinates to features, d×r
	drift     []float64  // b
	singular  []float64  // of the scaled features
	omitted   int        // modes at the logarithm's branch
	largest   complex128 // μ of the largest of them
	certain   complex128 // and of the largest that is not zero within its error
}

// FitOptions are the settings of Fit; zero values work.
type FitOptions struct {
	Dt          float64 // the step; 0 takes the common one of the times
	NoIntercept bool    // the fixed point is 0 and not to be estimated
	NoBias      bool    // leave the known bias of least squares in
	Rank        int     // keep so many directions of the features; 0: all that are not rounding
	OmitBranch  bool    // leave modes at the logarithm's branch out, where they would be an error
}

// rankTolerance is how small a singular value of the standardised features, beside the largest, counts as rounding.
const rankTolerance = 1e-10

// Fit fits the lifted dynamics and its spectrum. Without an intercept, the Lift of the result is l around 0 in place of the outputs' means. It costs O(n d²) and works through the data in pieces.
func Fit(data *Data, l *Lift, o FitOptions) (*EDMD, error) {
	dt := o.Dt
	if dt == 0 {
		var ok bool
		if dt, ok = data.Step(); !ok {
			return nil, errors.New("dynamics: the times have no common step; fit by maximum likelihood")
		}
	}
	if o.NoIntercept {
		var err error
		if l, err = l.aroundZero(data); err != nil {
			return nil, err
		}
	}
	all, pairs, err := chunks(data, l, dt)
	if err != nil {
		return nil, err
	}
	d := l.Dim()
	if pairs <= d+1 {
		return nil, fmt.Errorf("dynamics: %s cannot fit %s; the trajectories are too short for this lift: take fewer delays or features", counted(pairs, "pair of snapshots", "pairs of snapshots"), counted(d, "feature", "features"))
	}
	short := shortRecords(data, all)
	e := &EDMD{Lift: l, Dt: dt, Pairs: pairs, Span: float64(pairs) * dt, Features: d}
	if err := e.solve(compressChunks(all, data, l, !o.NoIntercept), o.Rank); err != nil {
		return nil, err
	}
	if short > 0 {
		e.Notes = append(e.Notes, fmt.Sprintf("%d of %d trajectories are shorter than the %d snapshots that the lift needs, or have gaps everywhere, and are left out", short, len(data.Records), l.Delays+1))
	}
	e.residuals(all, data)
	if !o.NoBias {
		e.correctBias(!o.NoIntercept)
	}
	return e, e.spectrum(all, data, o.OmitBranch)
}

// solve computes the fit from the triangle [R | QᵀY].
func (e *EDMD) solve(c *compressed, rank int) error {
	d := e.Features
	root := math.Sqrt(float64(e.Pairs))
	e.Mean, e.Next = make([]float64, d), make([]float64, d)
	first := c.left - d
	if first == 1 {
		for j := range d {
			e.Mean[j], e.Next[j] = c.rows[1+j]/c.rows[0], c.rows[1+d+j]/c.rows[0]
		}
	}
	x, y := mat.NewDense(d, d, nil), mat.NewDense(d, d, nil) // R and QᵀY of centred rows, by √n
	for i := range d {
		for j := range d {
			row := c.rows[(i+first)*c.width:]
			x.Set(i, j, row[first+j]/root)
			y.Set(i, j, row[c.left+j]/root)
		}
	}
	e.Start = mat.NewDense(e.Lift.window(), e.Lift.window(), nil)
	w := x.Slice(0, d, 0, e.Lift.window())
	e.Start.Mul(w.T(), w)
	scale := make([]float64, d)
	for j := range d {
		scale[j] = mat.Norm(x.ColView(j), 2)
		if !finite(scale[j]) {
			return fmt.Errorf("dynamics: feature %d overflows; standardised outputs to the power of %d are too large", j, e.Lift.Degree)
		}
		if scale[j] == 0 {
			scale[j] = 1 // a constant feature, which rank leaves out
		}
		for i := range d {
			x.Set(i, j, x.At(i, j)/scale[j])
		}
	}
	var svd mat.SVD
	if !svd.Factorize(x, mat.SVDThin) {
		return errors.New("dynamics: the singular values of the features do not converge")
	}
	e.singular = svd.Values(nil)
	for e.Rank < d && e.singular[e.Rank] > rankTolerance*e.singular[0] {
		e.Rank++
	}
	if rank > 0 {
		e.Rank = min(e.Rank, rank)
	}
	if e.Rank == 0 {
		return errors.New("dynamics: the features are constant over all snapshots")
	}
	r := e.Rank
	var u, v mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	e.transform, e.inverse = mat.NewDense(r, d, nil), mat.NewDense(d, r, nil)
	for i := range r {
		for j := range d {
			e.transform.Set(i, j, v.At(j, i)/(e.singular[i]*scale[j]))
			e.inverse.Set(j, i, v.At(j, i)*e.singular[i]*scale[j])
		}
	}
	var uy, f, k mat.Dense
	uy.Mul(u.Slice(0, d, 0, r).T(), y) // r×d: (1/n) Σ g_k (φ_{k+1} − φ̄')ᵀ
	f.Mul(e.transform, uy.T())
	e.ols = mat.DenseCopyOf(&f)
	e.F = mat.DenseCopyOf(&f)
	k.Mul(uy.T(), e.transform)
	e.K = mat.DenseCopyOf(&k)
	shift := make([]float64, d)
	for j := range d {
		shift[j] = e.Next[j] - e.Mean[j]
	}
	e.drift = make([]float64, r)
	mulVec(e.drift, e.transform, shift)
	return nil
}

// counted is a number with its noun.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// shortRecords counts the records that no pair comes from.
func shortRecords(data *Data, all []chunk) int {
	used := make([]bool, len(data.Records))
	for _, c := range all {
		for _, s := range c.segments {
			used[s.record] = true
		}
	}
	n := 0
	for _, u := range used {
		if !u {
			n++
		}
	}
	return n
}

// dof is the number of pairs less that of coefficients of one feature.
func (e *EDMD) dof() float64 { return float64(max(e.Pairs-e.Rank-1, 1)) }
