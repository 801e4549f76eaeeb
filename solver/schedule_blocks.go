package solver

import (
	"fmt"
	"math"
)

// newCLD is critically damped Langevin dynamics (Dockhorn, Vahdat and Kreis 2022, arXiv:2112.07068): a position x, which is the data's, and
// a velocity v of mass M and friction Γ = 2√M,
//
//	A = [0 1/M; −1 −Γ/M],   Q = diag(0, 2Γ),   v_0 ~ N(0, γM),   prior N(0, 1) ⊗ N(0, M).
func newCLD() settable {
	mass, gamma := 0.25, 0.04
	s := &Blocks{name: "cld", beta: 4, Span: Span{0.01, 1}, set: map[string]*float64{"mass": &mass, "gamma": &gamma}}
	s.fixed = func(*Blocks) (int, blockMat, blockMat, blockMat) {
		friction := 2 * math.Sqrt(mass)
		return 2, blockMat{0, 1 / mass, -1, -friction / mass}, blockMat{3: 2 * friction}, blockMat{3: gamma * mass}
	}
	s.check = func() error { return valid(s, condition{mass > 0, "mass > 0"}, condition{gamma > 0, "gamma > 0"}) }
	return s
}

// newCLD3 is its sibling of third order, with an acceleration (Sterling and Bugallo 2024, arXiv:2409.07697): A has the eigenvalue −√3
// three times over, noise acts on the acceleration alone, and the stationary law is N(0, 1) of each of the three.
func newCLD3() settable {
	gamma := 0.04
	s := &Blocks{name: "cld3", beta: 6, Span: Span{0.03, 1}, set: map[string]*float64{"gamma": &gamma}}
	s.fixed = func(*Blocks) (int, blockMat, blockMat, blockMat) {
		turn, friction := 2*math.Sqrt2, 3*math.Sqrt(3)
		return 3, blockMat{0, 1, 0, -1, 0, turn, 0, -turn, -friction}, blockMat{8: 2 * friction}, blockMat{4: gamma, 8: gamma}
	}
	s.check = func() error { return valid(s, condition{gamma > 0, "gamma > 0"}) }
	return s
}

// newBlock has the matrices that its settings say: size, and a00, a01, …, q00, q01, …, s00, … for A, for Q and for the covariance of
// the first state, of which those of symmetric matrices are named once, with the smaller index first. Unnamed ones are 0. The
// published settings are those of cld.
func newBlock() settable {
	size := 2.0
	s := &Blocks{name: "block", beta: 4, Span: Span{0.01, 1}, set: map[string]*float64{"size": &size}}
	var a, q, start blockMat // of MaxBlock×MaxBlock
	at := func(m *blockMat, i, j int) *float64 { return &m[i*MaxBlock+j] }
	for i := range MaxBlock {
		for j := range MaxBlock {
			s.set[fmt.Sprintf("a%d%d", i, j)] = at(&a, i, j)
			if i <= j {
				s.set[fmt.Sprintf("q%d%d", i, j)] = at(&q, i, j)
			}
			if i <= j && i > 0 { // the first number of a block begins as the data's
				s.set[fmt.Sprintf("s%d%d", i, j)] = at(&start, i, j)
			}
		}
	}
	*at(&a, 0, 1), *at(&a, 1, 0), *at(&a, 1, 1), *at(&q, 1, 1), *at(&start, 1, 1) = 4, -1, -4, 2, 0.01
	s.fixed = func(*Blocks) (int, blockMat, blockMat, blockMat) {
		b := min(max(int(size), 1), MaxBlock)
		cut := func(m *blockMat, symmetric bool) (out blockMat) {
			for i := range b {
				for j := range b {
					out[i*b+j] = *at(m, i, j)
					if symmetric {
						out[i*b+j] = *at(m, min(i, j), max(i, j))
					}
				}
			}
			return out
		}
		return b, cut(&a, false), cut(&q, true), cut(&start, true)
	}
	s.check = func() error {
		return valid(s, condition{size == math.Trunc(size) && size >= 1 && size <= MaxBlock, fmt.Sprintf("size a whole number from 1 to %d", MaxBlock)})
	}
	return s
}
