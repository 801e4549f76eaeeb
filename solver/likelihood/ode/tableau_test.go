package ode

import (
	"math"
	"testing"
)

// tree is a rooted tree: its order (vertices), its density γ, and its children, as indices into the list of trees.
type tree struct {
	order    int
	gamma    float64
	children []int
}

// rootedTrees lists all rooted trees with up to p vertices (1, 1, 2, 4, 9, 20, 48, 115 of each order).
func rootedTrees(p int) []tree {
	trees := []tree{{1, 1, nil}}
	for order := 2; order <= p; order++ {
		known := len(trees)
		var extend func(children []int, left, last int)
		extend = func(children []int, left, last int) {
			if left == 0 {
				gamma := float64(order)
				for _, c := range children {
					gamma *= trees[c].gamma
				}
				trees = append(trees, tree{order, gamma, append([]int(nil), children...)})
				return
			}
			for c := last; c < known && trees[c].order <= left; c++ {
				extend(append(children, c), left-trees[c].order, c)
			}
		}
		extend(nil, order-1, 0)
	}
	return trees
}

// elementary returns Φ_i of every tree at every stage: Φ_i = Π_children Σ_j A_ij Φ_j(child).
func elementary(m *Tableau, trees []tree) [][]float64 {
	phi := make([][]float64, len(trees))
	for t, tr := range trees {
		phi[t] = make([]float64, len(m.A))
		for i := range m.A {
			phi[t][i] = 1
			for _, c := range tr.children {
				sum := 0.0
				for j, a := range m.A[i] {
					sum += a * phi[c][j]
				}
				phi[t][i] *= sum
			}
		}
	}
	return phi
}

func weigh(b, phi []float64) float64 {
	sum := 0.0
	for i, w := range b {
		sum += w * phi[i]
	}
	return sum
}

// A method has order p if Σ b_i Φ_i(t) = 1/γ(t) for all rooted trees of up to p vertices (Butcher). The same sums vanish
// for an error estimate of the order below. Both are sharp: one vertex more fails.
func TestOrderConditions(t *testing.T) {
	const tol = 1e-13 // sums of products of up to eight coefficients of size 1 to 30
	trees := rootedTrees(9)
	if len(trees) != 1+1+2+4+9+20+48+115+286 {
		t.Fatalf("%d rooted trees", len(trees))
	}
	check := func(name string, m *Tableau, b []float64, order int, exact float64) {
		phi := elementary(m, trees)
		met := 9
		for k, tr := range trees {
			if d := math.Abs(weigh(b, phi[k]) - exact/tr.gamma); !(d <= tol) {
				met = min(met, tr.order-1)
			}
		}
		if met != order {
			t.Errorf("%s %s satisfies the conditions to order %d, want %d", m.Name, name, met, order)
		}
	}
	for _, m := range []*Tableau{RK4, DormandPrince, DOP853} {
		check("B", m, m.B, m.Order, 1)
		for i := range m.A {
			sum := 0.0
			for _, a := range m.A[i] {
				sum += a
			}
			if !(math.Abs(sum-m.C[i]) <= tol) {
				t.Errorf("%s: row %d of A sums to %g, C is %g", m.Name, i, sum, m.C[i])
			}
		}
	}
	check("E", DormandPrince, DormandPrince.E, 4, 0)
	check("E", DOP853, DOP853.E, 5, 0)
	check("E3", DOP853, DOP853.E3, 3, 0)
}
