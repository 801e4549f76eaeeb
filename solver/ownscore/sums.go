package ownscore

import (
	"gonum.org/v1/gonum/mat"
)

// sums are the least-squares sums of a model, of paths that are fitted and of those that are held out.
type sums struct {
	c           *Score
	train, test normals
}

func newSums(c *Score) *sums { return &sums{c, newNormals(c), newNormals(c)} }

// normals are the normal equations of each set of weights.
type normals []*normal

func newNormals(c *Score) normals {
	_, out, sets := c.units()
	all := make(normals, sets)
	for i := range all {
		all[i] = newNormal(len(c.Knots), c.features(), out)
	}
	return all
}

// add takes points at one time with their targets.
func (all normals) add(c *Score, t float64, x, s, target []float64, sigma, norm float64) {
	d := c.D
	places, out, sets := c.units()
	phi := make([]float64, c.features())
	for i := range len(x) / d {
		p := point{x: x[i*d : (i+1)*d], s: s[i*d : (i+1)*d], norm: norm, sigma: sigma, one: 1}
		row := target[i*d : (i+1)*d]
		for at := range places {
			c.fill(phi, p, at)
			all[at%sets].take(phi, row[at*out:(at+1)*out])
		}
		all[0].count++
	}
	k, f := at(c.Knots, c.Schedule.Lambda(t))
	for _, a := range all {
		a.settle(k, f)
	}
}

// solve finds the weights of all sets at each knot.
func (all normals) solve(ridge float64) ([][]float64, bool) {
	weights := make([][]float64, all[0].knots)
	for _, a := range all {
		w, ok := a.solve(ridge)
		if !ok {
			return nil, false
		}
		for k := range weights {
			weights[k] = append(weights[k], w[k]...)
		}
	}
	return weights, true
}

// loss is the mean of |σ c − target|² of a point; of c = 0 for nil.
func (all normals) loss(w [][]float64) float64 {
	sum := 0.0
	for i, a := range all {
		n := a.nf * a.out
		var of [][]float64
		for k := range w {
			of = append(of, w[k][i*n:(i+1)*n])
		}
		sum += a.loss(of)
	}
	return sum / all[0].count
}

// normal are Gram matrix, right-hand sides and the square of the target, of weights at all knots: unknown (knot, feature), one column
// for each coordinate of a place.
type normal struct {
	knots, nf, out int
	gram           [][2][]float64 // of a knot with itself and with the next
	right          []float64
	square, count  float64

	nowGram, nowRight []float64 // of the present time
}

func newNormal(knots, nf, out int) *normal {
	a := &normal{knots: knots, nf: nf, out: out, gram: make([][2][]float64, knots), right: make([]float64, knots*nf*out),
		nowGram: make([]float64, nf*nf), nowRight: make([]float64, nf*out)}
	for i := range a.gram {
		a.gram[i][0], a.gram[i][1] = make([]float64, nf*nf), make([]float64, nf*nf)
	}
	return a
}

// take adds a place to the sums of the present time.
func (a *normal) take(phi, y []float64) {
	for _, v := range y {
		a.square += v * v
	}
	product(a.nowGram, a.nowRight, phi, y)
}

// settle shares the sums of the present time between the knots k and k + 1.
func (a *normal) settle(k int, f float64) {
	for i, g := range a.nowGram {
		a.gram[k][0][i] += (1 - f) * (1 - f) * g
		a.gram[k][1][i] += (1 - f) * f * g
		a.gram[k+1][0][i] += f * f * g
	}
	n := a.nf * a.out
	for i, r := range a.nowRight {
		a.right[k*n+i] += (1 - f) * r
		a.right[(k+1)*n+i] += f * r
	}
	clear(a.nowGram)
	clear(a.nowRight)
}

// product adds φφᵀ, its upper half, and φ yᵀ.
func product(gram, right, phi, y []float64) {
	nf, out := len(phi), len(y)
	for i, p := range phi {
		g := gram[i*nf : (i+1)*nf]
		for j := i; j < nf; j++ {
			g[j] += p * phi[j]
		}
		for j, v := range y {
			right[i*out+j] += p * v
		}
	}
}

// pair is the Gram element of unknowns (k, i) and (l, j), l = k or k + 1.
func (a *normal) pair(k, l, i, j int) float64 {
	if i > j {
		i, j = j, i
	}
	return a.gram[k][l-k][i*a.nf+j]
}

// solve finds the weights with a ridge relative to the mean square of a feature, for each feature by its own.
func (a *normal) solve(ridge float64) ([][]float64, bool) {
	p := a.knots * a.nf
	g := mat.NewSymDense(p, nil)
	mean := make([]float64, a.nf)
	for k := range a.knots {
		for i := range a.nf {
			mean[i] += a.pair(k, k, i, i) / float64(a.knots)
		}
	}
	for k := range a.knots {
		for i := range a.nf {
			for j := range a.nf {
				if j >= i {
					g.SetSym(k*a.nf+i, k*a.nf+j, a.pair(k, k, i, j))
				}
				if k+1 < a.knots {
					g.SetSym(k*a.nf+i, (k+1)*a.nf+j, a.pair(k, k+1, i, j))
				}
			}
			at := k*a.nf + i
			g.SetSym(at, at, g.At(at, at)+ridge*mean[i]+1e-300)
		}
	}
	var chol mat.Cholesky
	if !chol.Factorize(g) {
		return nil, false
	}
	var w mat.Dense
	if err := chol.SolveTo(&w, mat.NewDense(p, a.out, a.right)); err != nil {
		return nil, false
	}
	weights := make([][]float64, a.knots)
	for k := range weights {
		weights[k] = make([]float64, a.nf*a.out)
		for i := range a.nf {
			for j := range a.out {
				weights[k][i*a.out+j] = w.At(k*a.nf+i, j)
			}
		}
	}
	return weights, true
}

// loss is the sum of |σ c − target|².
func (a *normal) loss(w [][]float64) float64 {
	sum := a.square
	for k := range w {
		for o := range a.out {
			for i := range a.nf {
				wi := w[k][i*a.out+o]
				sum -= 2 * wi * a.right[(k*a.nf+i)*a.out+o]
				for j := range a.nf {
					sum += wi * w[k][j*a.out+o] * a.pair(k, k, i, j)
					if k+1 < a.knots {
						sum += 2 * wi * w[k+1][j*a.out+o] * a.pair(k, k+1, i, j)
					}
				}
			}
		}
	}
	return sum
}
