package dynamics

import (
	"fmt"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"hbar/kernels"
)

// Generate draws one sequence of the outputs at the times given. Trajectory k of a seed is the same whatever else is drawn.
func (m *StateSpace) Generate(times []float64, seed, k uint64) (*Record, error) {
	rng := rand.New(kernels.NewSource(seed, kernels.StreamData, k))
	d, p := m.Dim(), m.Outputs()
	r := &Record{Times: times, X: make([]float64, len(times)*p)}
	z, next, e := make([]float64, d), make([]float64, d), make([]float64, max(d, p))
	draw := func(dst []float64, l *mat.Dense) { // adds N(0, L Lᵀ)
		for i := range dst {
			e[i] = rng.NormFloat64()
		}
		for i := range dst {
			for j, v := range l.RawRowView(i) {
				dst[i] += v * e[j]
			}
		}
	}
	copy(z, m.M0)
	draw(z, root(m.P0))
	noise := root(m.R)
	roots := map[*Propagator]*mat.Dense{}
	steps := newSteps(m)
	steps.keep = true
	for i := range times {
		if i > 0 {
			step, err := steps.between(times[i-1], times[i])
			if err != nil {
				return nil, fmt.Errorf("dynamics: from time %g to %g: %w", times[i-1], times[i], err)
			}
			l := roots[step]
			if l == nil {
				l = root(step.P)
				if len(roots) < maxKnown {
					roots[step] = l
				}
			}
			mulVec(next, step.F, z)
			for j := range next {
				next[j] += step.B[j]
			}
			draw(next, l)
			z, next = next, z
		}
		y := r.Row(i, p)
		mulVec(y, m.C, z)
		for j, o := range m.Offset {
			y[j] += o
		}
		draw(y, noise)
		if err := checkFinite("the outputs", y); err != nil {
			return nil, fmt.Errorf("dynamics: the trajectory overflows at time %g: a mode grows; ask for a shorter one", times[i])
		}
	}
	return r, nil
}
