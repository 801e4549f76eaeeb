package loglik

import (
	"slices"

	"hbar/solver/likelihood"
)

// Part says that the points of a run are a range of a larger set, so that their values are those of a run with the whole set. The zero
// value is a run with the whole set.
type Part struct {
	First  int     // number of the first point in the set
	N      int     // points of the set; 0: the run has them all
	Pilots *Points // points likelihood.PilotNumbers(N) of the set
}

// ofPoints is what the methods take at the points themselves.
func (p Part) ofPoints() likelihood.Part {
	if p.N == 0 {
		return likelihood.Part{}
	}
	out := likelihood.Part{N: p.N, Pilots: p.Pilots.Z, Number: func(i int) int { return p.First + i }}
	for _, i := range likelihood.PilotNumbers(p.N) {
		out.Samples = append(out.Samples, uint64(i))
	}
	return out
}

// ofDraws is what the flow takes over draws of a dequantisation, in whatever blocks: the pilots are the first draw of their points. The
// caller says which point is which.
func (p Part) ofDraws(points *Points, q *dequantiser, b BitsOptions) likelihood.Part {
	n, pilots := p.N, p.Pilots
	if n == 0 {
		n = points.N()
		pilots = points.Pick(likelihood.PilotNumbers(n))
	}
	out := likelihood.Part{N: n, Pilots: make([]float64, len(pilots.X))}
	for k, i := range likelihood.PilotNumbers(n) {
		sample := b.First - uint64(p.First) + uint64(i)
		q.draw(out.Pilots[k*points.D:(k+1)*points.D], pilots.X[k*points.D:(k+1)*points.D], sample)
		out.Samples = append(out.Samples, sample)
	}
	return out
}

// Pick are some of the points, by their positions.
func (p *Points) Pick(at []int) *Points {
	q := *p
	q.X, q.Z, q.Labels, q.Own = nil, nil, nil, nil
	for _, i := range at {
		q.X, q.Z = append(q.X, p.X[i*p.D:(i+1)*p.D]...), append(q.Z, p.Z[i*p.D:(i+1)*p.D]...)
		if p.Labels != nil {
			q.Labels = append(q.Labels, p.Labels[i])
		}
		if p.Own != nil {
			q.Own = append(q.Own, p.Own[i])
		}
	}
	return &q
}

// Range are the points from ≤ i < to, in memory of their own.
func (p *Points) Range(from, to int) *Points {
	q := *p
	q.X, q.Z = slices.Clone(p.X[from*p.D:to*p.D]), slices.Clone(p.Z[from*p.D:to*p.D])
	if p.Labels != nil {
		q.Labels = slices.Clone(p.Labels[from:to])
	}
	if p.Own != nil {
		q.Own = slices.Clone(p.Own[from:to])
	}
	return &q
}
