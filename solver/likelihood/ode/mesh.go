package ode

import (
	"math"
	"slices"
)

// Trace records the steps of samples: row i holds τ at the start of sample i and at the end of each of its accepted steps, in
// order. Its Accept is a function for Settings.Accept.
type Trace [][]float64

// NewTrace is a trace of n samples.
func NewTrace(n int) Trace { return make(Trace, n) }

// Accept implements Settings.Accept.
func (t Trace) Accept(row int, tau float64, _, _ []float64) { t[row] = append(t[row], tau) }

// Mesh returns points from = τ_0, τ_1, …, τ_m = to, either way, that are everywhere as fine as the finest path of a trace
// times safety (below 1 makes steps shorter, above longer): with h(τ) the shortest of the steps that the paths took across τ,
//
//	∫ dτ / (safety h(τ))  from τ_j to τ_{j+1}
//
// is the same number, at most one, for all j. So a step of the mesh is about as long as the shortest step of the paths there. Paths
// may end anywhere, as those that failed do. A part of the interval that no path crossed gets steps as fine as the part before
// it. Without any path the mesh is as for a path of one step.
func Mesh(from, to, safety float64, paths Trace) []float64 {
	if from == to {
		return []float64{from}
	}
	lo, hi := min(from, to), max(from, to)
	nodes := []float64{lo, hi}
	for _, p := range paths {
		for _, tau := range p {
			if tau > lo && tau < hi {
				nodes = append(nodes, tau)
			}
		}
	}
	slices.Sort(nodes)
	nodes = slices.Compact(nodes)
	h := shortest(nodes, paths)
	// work[i] is the number of steps up to node i, a fraction
	work := make([]float64, len(nodes))
	for i, width := range h {
		work[i+1] = work[i] + (nodes[i+1]-nodes[i])/(safety*width)
	}
	total := work[len(h)]
	// The mesh of a single path has the steps of that path: rounding must not add one.
	steps := max(1, int(math.Ceil(total*(1-1e-9))))
	mesh := []float64{lo}
	for i, j := 0, 1; j < steps; j++ {
		target := total * float64(j) / float64(steps)
		for work[i+1] < target {
			i++
		}
		mesh = append(mesh, nodes[i]+(target-work[i])*safety*h[i])
	}
	mesh = append(mesh, hi)
	if from > to {
		slices.Reverse(mesh)
	}
	return mesh
}

// shortest is for each interval between neighbouring nodes the shortest of the steps that cover it; the whole length
// if there is no step at all.
func shortest(nodes []float64, paths Trace) []float64 {
	h := make([]float64, len(nodes)-1)
	for _, p := range paths {
		for s := 1; s < len(p); s++ {
			lo, hi := min(p[s-1], p[s]), max(p[s-1], p[s])
			first, _ := slices.BinarySearch(nodes, lo)
			for i := first; i < len(h) && nodes[i] < hi; i++ {
				if h[i] == 0 || hi-lo < h[i] {
					h[i] = hi - lo
				}
			}
		}
	}
	fillGaps(h, nodes[len(h)]-nodes[0])
	return h
}

// fillGaps replaces zeros by the last entry before them that is not zero, else by the first one after them, else by otherwise.
func fillGaps(h []float64, otherwise float64) {
	known := func(v float64) bool { return v > 0 }
	first := slices.IndexFunc(h, known)
	last := otherwise
	if first >= 0 {
		last = h[first]
	}
	for i, v := range h {
		if v > 0 {
			last = v
		}
		h[i] = last
	}
}

// EvenlySpaced returns the numbers of up to count of n samples, evenly spaced.
func EvenlySpaced(n, count int) []int {
	count = min(n, count)
	at := make([]int, count)
	for i := range at {
		at[i] = i * n / count
	}
	return at
}
