package plots

import (
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// principal projects the clouds on the first two principal components of the first one, and returns which shares of
// its variance these hold. Directions have the sign that makes their largest coefficient positive.
func principal(clouds []Cloud) ([]Cloud, [2]float64) {
	ref := clouds[0]
	d := ref.D
	n := min(ref.N(), maxPoints)
	x := mat.NewDense(max(n, 2), d, nil)
	for k := range n {
		i := int(int64(k) * int64(ref.N()) / int64(n))
		for j := range d {
			if v := float64(ref.X[i*d+j]); finite(v) {
				x.Set(k, j, v)
			}
		}
	}
	mean := make([]float64, d)
	for j := range d {
		mean[j] = stat.Mean(mat.Col(nil, j, x), nil)
	}
	var cov mat.SymDense
	stat.CovarianceMatrix(&cov, x, nil)
	var eig mat.EigenSym
	axes := mat.NewDense(d, d, nil)
	values := make([]float64, d)
	if eig.Factorize(&cov, true) { // eigenvalues ascend
		eig.VectorsTo(axes)
		eig.Values(values)
	}
	total := math.Max(mat.Trace(&cov), math.SmallestNonzeroFloat64)
	var share [2]float64
	var dirs [2][]float64
	for c := range 2 {
		dirs[c] = mat.Col(nil, d-1-c, axes)
		share[c] = math.Max(values[d-1-c], 0) / total
		largest := 0.0
		for _, v := range dirs[c] {
			if math.Abs(v) > math.Abs(largest) {
				largest = v
			}
		}
		if largest < 0 {
			for j := range dirs[c] {
				dirs[c][j] = -dirs[c][j]
			}
		}
	}
	out := make([]Cloud, len(clouds))
	for i, c := range clouds {
		p := make([]float32, 2*c.N())
		for k := range c.N() {
			for a, dir := range dirs {
				s := 0.0
				for j, v := range dir {
					s += v * (float64(c.X[k*d+j]) - mean[j])
				}
				p[2*k+a] = float32(s)
			}
		}
		out[i] = Cloud{Name: c.Name, X: p, D: 2}
	}
	return out, share
}
