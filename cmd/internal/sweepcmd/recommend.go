package sweepcmd

import "hbar/solver"

// Recommend is what sweep says of losses of several constant h on the same units, loss[h][unit]: smaller is better.
func Recommend(measure string, hs []float64, loss [][]float64, confidence float64) (*Recommendation, error) {
	s := series{measure: measure, loss: loss}
	for _, h := range hs {
		s.h = append(s.h, solver.Constant(h))
	}
	return decide(s, confidence)
}
