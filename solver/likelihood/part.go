package likelihood

import (
	"fmt"
	"slices"

	"hbar/solver/likelihood/ode"
)

// Part says that the points of a call are some of a larger set, so that their values are those of a call with the whole set. Only what
// all points share has to be the same for that: the mesh, which is made by a few pilots of the set. The zero value is a call with the
// whole set.
type Part struct {
	N      int       // points of the whole set; 0: the call has them all
	Pilots []float64 // points PilotNumbers(N) of the set, D numbers each
	// Samples are the numbers of the pilots for their random numbers.
	Samples []uint64
	// Number is the number in the set of a point of the call, −1 for one that is not in it.
	Number func(i int) int
}

// PilotNumbers are the numbers of those of n points whose own steps make the mesh of all; nil if the points are too few for one.
func PilotNumbers(n int) []int {
	if n <= meshPoints {
		return nil
	}
	return ode.EvenlySpaced(n, pilots)
}

// pilotPoints are the pilots of a call: their points, and where among the points of the call they are, −1 for those elsewhere.
type pilotPoints struct {
	x       []float64 // D numbers each
	samples []uint64
	at      []int
}

// pilots finds the pilots for n points x of d dimensions, whose numbers for random numbers are sample(i).
func (o Options) pilots(x []float64, n, d int, sample func(i int) uint64) (pilotPoints, error) {
	if o.Part.N == 0 {
		p := pilotPoints{at: PilotNumbers(n)}
		for _, i := range p.at {
			p.x, p.samples = append(p.x, x[i*d:(i+1)*d]...), append(p.samples, sample(i))
		}
		return p, nil
	}
	numbers := PilotNumbers(o.Part.N)
	if len(o.Part.Pilots) != len(numbers)*d || len(o.Part.Samples) != len(numbers) || o.Part.Number == nil {
		return pilotPoints{}, fmt.Errorf("likelihood: %d coordinates and %d numbers of pilots for part of %d points; want those of %d points", len(o.Part.Pilots), len(o.Part.Samples), o.Part.N, len(numbers))
	}
	p := pilotPoints{x: o.Part.Pilots, samples: o.Part.Samples, at: slices.Repeat([]int{-1}, len(numbers))}
	where := map[int]int{}
	for k, number := range numbers {
		where[number] = k
	}
	for i := range n {
		if k, ok := where[o.Part.Number(i)]; ok {
			p.at[k] = i
		}
	}
	return p, nil
}

// finer halves the steps of a mesh.
func finer(mesh []float64) []float64 {
	out := mesh[:1:1]
	for i, to := range mesh[1:] {
		out = append(out, (mesh[i]+to)/2, to)
	}
	return out
}

// without are the rows that are not in a list.
func without(rows, list []int) []int {
	return slices.DeleteFunc(slices.Clone(rows), func(i int) bool { return slices.Contains(list, i) })
}
