package data

import "math"

// Constants of the two sets of arXiv:2403.11262, section 5.2. The scaling is part of the sets' definition, so their
// Normalisation is the identity and their log densities are per unit of the scaled coordinates, as published.
const (
	SwissRollNoise = 0.5   // standard deviation, before scaling
	SwissRollScale = 6.865 // divides

	Gaussians25Sigma   = 0.05 // standard deviation of a component, before scaling
	Gaussians25Spacing = 2.0  // of the grid {−4, −2, 0, 2, 4}², before scaling
	Gaussians25Scale   = 2.828
)

// Gaussian1DVariance is the variance v₀ of gaussian1d when its name gives none.
const Gaussian1DVariance = 0.5

var builtins = []builtin{
	{name: "swissroll", shape: []int{2}, def: defaultN, param: math.NaN(), norm: identityNorm, fill: each(2, swissRoll)},
	{name: "gaussians25", shape: []int{2}, def: defaultN, param: math.NaN(), norm: identityNorm, fill: each(2, gaussians25)},
	{name: "gaussian1d", shape: []int{1}, def: defaultN, param: Gaussian1DVariance, norm: identityNorm, fill: each(1, gaussian1D)},
	{name: "moons", shape: []int{2}, def: defaultN, param: math.NaN(), norm: moonsNorm, fill: each(2, moons)},
	{name: "checkerboard", shape: []int{2}, def: defaultN, param: math.NaN(), norm: checkerboardNorm, fill: each(2, checkerboard)},
	{name: "digits", shape: []int{8, 8, 1}, def: digitsN, max: digitsN, param: math.NaN(), norm: digitsNorm, fill: digits, labels: digitsClasses, classes: 10},
}

// each fills rows one sample at a time, each from its own counter.
func each(d int, one func(dst []float64, param float64, r *draw)) func([]float64, float64, uint64, uint64) {
	return func(dst []float64, param float64, seed, first uint64) {
		for i := 0; i*d < len(dst); i++ {
			r := newDraw(seed, first+uint64(i))
			one(dst[i*d:(i+1)*d], param, &r)
		}
	}
}

func identityNorm(float64) Normalisation { return Normalisation{} }

// swissRoll is coordinates 0 and 2 of scikit-learn's make_swiss_roll: t = 1.5π (1 + 2u), (t cos t, t sin t), noise 0.5 in
// each coordinate; all divided by 6.865.
func swissRoll(dst []float64, _ float64, r *draw) {
	t := 1.5 * math.Pi * (1 + 2*r.uniform())
	sin, cos := math.Sincos(t)
	dst[0] = (t*cos + SwissRollNoise*r.normal()) / SwissRollScale
	dst[1] = (t*sin + SwissRollNoise*r.normal()) / SwissRollScale
}

// gaussians25 is 25 Gaussians of equal weight and σ = 0.05 on the 5×5 grid {−4, −2, 0, 2, 4}²; all divided by 2.828.
//
// Sample i belongs to component i mod 25, as in published code (Gulrajani et al. 2017 and later): a set of 25 m points has m in each
// component. If components were drawn at random, their numbers would vary by √m, and W2 between two such sets would be larger: at
// 2000 points by 0.05 in W2², more than everything else.
func gaussians25(dst []float64, _ float64, r *draw) {
	k := int(r.sample % 25)
	dst[0] = (Gaussians25Spacing*float64(k/5-2) + Gaussians25Sigma*r.normal()) / Gaussians25Scale
	dst[1] = (Gaussians25Spacing*float64(k%5-2) + Gaussians25Sigma*r.normal()) / Gaussians25Scale
}

// gaussian1D is N(0, v₀), the example of arXiv:2403.11262, section 5.1.
func gaussian1D(dst []float64, v0 float64, r *draw) {
	dst[0] = math.Sqrt(v0) * r.normal()
}

// moonsNoise is the standard deviation of the noise on the moons.
const moonsNoise = 0.1

// moons is two half circles of radius 1, the second turned over and moved by (1, ½), as in scikit-learn's make_moons
// with noise 0.1; angle and moon are drawn, not laid out on a grid.
func moons(dst []float64, _ float64, r *draw) {
	moon := r.below(2)
	sin, cos := math.Sincos(math.Pi * r.uniform())
	if moon == 1 {
		cos, sin = 1-cos, 0.5-sin
	}
	dst[0] = cos + moonsNoise*r.normal()
	dst[1] = sin + moonsNoise*r.normal()
}

// moonsNorm centres the moons and divides by the root mean square of the two standard deviations, from the exact
// moments: E x = ½, E y = ¼, E x² = 1, E y² = ⅝ − 1/π, and the noise.
func moonsNorm(float64) Normalisation {
	vx := 1 - 0.25
	vy := 0.625 - 1/math.Pi - 0.0625
	return Normalisation{Mean: []float64{0.5, 0.25}, Scale: []float64{math.Sqrt((vx+vy)/2 + moonsNoise*moonsNoise)}}
}

// checkerboard is uniform on the 8 dark squares, of side 2, of a 4×4 board on [−4, 4]²; the square at the lower left is
// dark.
func checkerboard(dst []float64, _ float64, r *draw) {
	k := r.below(8)
	row, col := k/2, 2*(k%2)
	col += row % 2
	dst[0] = 2 * (float64(col) - 2 + r.uniform())
	dst[1] = 2 * (float64(row) - 2 + r.uniform())
}

// checkerboardNorm divides by the exact standard deviation: each coordinate is uniform on [−4, 4].
func checkerboardNorm(float64) Normalisation {
	return Normalisation{Scale: []float64{8 / math.Sqrt(12)}}
}
