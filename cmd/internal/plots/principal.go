package plots

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// Sizes of the search for principal components.
const (
	fitNumbers = 1 << 21 // coordinates that the components are found from: rows beyond are left out, evenly
	blockSize  = 4       // vectors of a block; the two components that are wanted may have equal variances
	mostBlocks = 12
)

// principal projects the clouds on the first two principal components of the first one, and returns which shares of
// its variance these hold. Directions have the sign that makes their largest coefficient positive.
func principal(clouds []Cloud) ([]Cloud, [2]float64) {
	ref := clouds[0]
	x, mean := centred(ref, min(ref.N(), maxPoints, max(fitNumbers/ref.D, 2)))
	dirs, share := components(x)
	for c := range dirs {
		largest := 0.0
		for _, v := range dirs[c] {
			if math.Abs(v) > math.Abs(largest) {
				largest = v
			}
		}
		if largest < 0 {
			floats.Scale(-1, dirs[c])
		}
	}
	out := make([]Cloud, len(clouds))
	for i, c := range clouds {
		out[i] = c.project(mean, dirs)
	}
	return out, share
}

// centred is n rows of a cloud, evenly spread, less their mean. Numbers that are not finite are replaced by the mean.
func centred(c Cloud, n int) (x *mat.Dense, mean []float64) {
	mean = make([]float64, c.D)
	count := make([]float64, c.D)
	x = mat.NewDense(n, c.D, nil)
	for k := range n {
		i := int(int64(k) * int64(c.N()) / int64(n))
		row := x.RawRowView(k)
		for j := range row {
			row[j] = c.X[i*c.D+j]
			if finite(row[j]) {
				count[j]++
				mean[j] += (row[j] - mean[j]) / count[j]
			}
		}
	}
	for k := range n {
		row := x.RawRowView(k)
		for j := range row {
			if row[j] -= mean[j]; !finite(row[j]) {
				row[j] = 0
			}
		}
	}
	return x, mean
}

// components are the two directions of largest variance of centred rows, and their shares of the whole variance. They are found
// in a block Krylov space of the covariance, span{V, C V, C² V, …} with a random V (Musco and Musco 2015, arXiv:1504.05477):
// exact in up to 48 dimensions or rows, and accurate to far less than a picture shows beyond, without the D×D matrix.
func components(x *mat.Dense) (dirs [2][]float64, share [2]float64) {
	n, d := x.Dims()
	for c := range dirs {
		dirs[c] = make([]float64, d)
	}
	largest := floats.Norm(x.RawMatrix().Data, math.Inf(1))
	if largest == 0 {
		return dirs, share
	}
	x.Scale(1/largest, x) // squares neither overflow nor vanish
	basis := krylov(x)
	k := len(basis)
	q := mat.NewDense(d, k, nil)
	for j, v := range basis {
		q.SetCol(j, v)
	}
	var xq mat.Dense
	xq.Mul(x, q)
	var projected mat.SymDense
	projected.SymOuterK(1, xq.T())
	var eigen mat.EigenSym
	if !eigen.Factorize(&projected, true) {
		return dirs, share
	}
	values := eigen.Values(nil) // they ascend
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	total := 0.0
	for i := range n {
		row := x.RawRowView(i)
		total += floats.Dot(row, row)
	}
	for c := 0; c < 2 && c < k; c++ {
		share[c] = math.Max(values[k-1-c], 0) / total
		mat.NewVecDense(d, dirs[c]).MulVec(q, vectors.ColView(k-1-c))
	}
	return dirs, share
}

// krylov is an orthonormal basis of the block Krylov space of xᵀx, at most mostBlocks·blockSize vectors.
func krylov(x *mat.Dense) (basis [][]float64) {
	n, d := x.Dims()
	rng := rand.New(rand.NewPCG(1, 2)) // the same picture every time
	v := mat.NewDense(d, min(blockSize, d), nil)
	for i := range v.RawMatrix().Data {
		v.RawMatrix().Data[i] = rng.NormFloat64()
	}
	var product, next mat.Dense
	for range mostBlocks {
		product.Reset()
		next.Reset()
		product.Mul(x, v) // the null space of x holds no variance: begin behind it
		next.Mul(x.T(), &product)
		var block [][]float64
		_, columns := next.Dims()
		for j := range columns {
			u := mat.Col(nil, j, &next)
			before := floats.Norm(u, 2)
			for range 2 { // once more for what rounding left
				for _, b := range basis {
					floats.AddScaled(u, -floats.Dot(b, u), b)
				}
			}
			after := floats.Norm(u, 2)
			if !(after > 1e-10*before) || len(basis) >= min(n, d) {
				continue // nothing new
			}
			floats.Scale(1/after, u)
			basis, block = append(basis, u), append(block, u)
		}
		if len(block) == 0 {
			break
		}
		v = mat.NewDense(d, len(block), nil)
		for j, u := range block {
			v.SetCol(j, u)
		}
	}
	return basis
}

// project is the cloud in the coordinates of two directions about a mean.
func (c Cloud) project(mean []float64, dirs [2][]float64) Cloud {
	p := make([]float64, 2*c.N())
	for k := range c.N() {
		for a, dir := range dirs {
			s := 0.0
			for j, v := range dir {
				s += v * (c.X[k*c.D+j] - mean[j])
			}
			p[2*k+a] = s
		}
	}
	return Cloud{Name: c.Name, X: p, D: 2}
}
