package metrics

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// Wasserstein is a 2-Wasserstein distance between two samples, and its square. The published code of arXiv:2403.11262
// prints the square under the name w2.
//
// The intervals are for the expectation of W2² over samples of this size, which exceeds W2² of the distributions behind
// them: by as much as NoiseFloor shows when the two are equal.
type Wasserstein struct {
	W2        Estimate `json:"w2"`
	W2Squared Estimate `json:"w2_squared"`
	Match     []int    `json:"-"` // the point of y that each point of x goes to; nil for SlicedW2
}

// W2 is the distance between samples x and y of n points each, by exact optimal assignment under the squared Euclidean
// cost: W2² = min over matchings of the mean of |x_i − y_match(i)|².
//
// The standard error is that of the central limit theorem for the empirical cost (del Barrio and Loubes, Ann. Probab. 47,
// 926, 2019): Var W2² ≈ (Var u(x) + Var v(y))/n with the optimal dual variables u, v, which the assignment yields. It
// costs nothing, and no bootstrap is needed, whose repeated points would bias W2. When both samples come from one
// distribution the limit degenerates, and the interval says little more than the floor does.
//
// Cost: n = 3000, d = 2: half a second of CPU time; growth a little above n². In one dimension: one sort.
func W2(ctx context.Context, x, y []float64, d int) (*Wasserstein, error) {
	n, err := checkEqual(x, y, d)
	if err != nil {
		return nil, err
	}
	var a *assignment
	if d == 1 {
		a = assignSorted(x, y)
	} else if a, err = assign(ctx, cloud{n, d, x, y}); err != nil {
		return nil, err
	}
	var sum float64
	for i, j := range a.toCol {
		for k := range d {
			q := x[i*d+k] - y[j*d+k]
			sum += q * q
		}
	}
	square := normal(sum/float64(n), dualStdErr(a.u, a.v)).atLeast0()
	return &Wasserstein{W2: square.sqrt(), W2Squared: square, Match: a.toCol}, nil
}

// dualStdErr is √((Var u + Var v)/n).
func dualStdErr(u, v []float64) float64 {
	_, a := meanVar(u)
	_, b := meanVar(v)
	return math.Sqrt((a + b) / float64(len(u)))
}

// assignSorted is the optimal assignment in one dimension: sorted x to sorted y.
func assignSorted(x, y []float64) *assignment {
	px, py := order(x), order(y)
	a := &assignment{toCol: make([]int, len(x)), u: make([]float64, len(x)), v: make([]float64, len(x))}
	for k, i := range px {
		a.toCol[i] = py[k]
	}
	sortedDuals(a.u, a.v, x, y, px, py)
	return a
}

// order are the indices that sort x.
func order(x []float64) []int {
	p := make([]int, len(x))
	for i := range p {
		p[i] = i
	}
	slices.SortStableFunc(p, func(a, b int) int { return cmp.Compare(x[a], x[b]) })
	return p
}

// sortedDuals adds optimal dual variables to u and v: u = x² − 2Φ(x), v = y² − 2Ψ(y) with the convex function Φ whose slope
// between neighbours x_k, x_{k+1} is the mean of y_k, y_{k+1}, and its Legendre transform Ψ(y_k) = x_k y_k − Φ(x_k).
func sortedDuals(u, v, x, y []float64, px, py []int) {
	var phi float64
	for k := range px {
		xk, yk := x[px[k]], y[py[k]]
		if k > 0 {
			phi += (yk + y[py[k-1]]) / 2 * (xk - x[px[k-1]])
		}
		u[px[k]] += xk*xk - 2*phi
		v[py[k]] += yk*yk - 2*(xk*yk-phi)
	}
}
