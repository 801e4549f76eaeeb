package ode

import (
	"math"
	"slices"
)

// Trace records where samples stopped on their way: its Accept is one for Settings. Row i holds the start of sample i and
// the end of each of its accepted steps, in order.
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
// is the same number, at most one, for all j. So a step lies within about one of the paths' steps, and where the paths'
// steps change, those of the mesh change between them. Paths may end anywhere, as those that failed do; a part that none
// of them crossed is as fine as the part before it. Without any step it is as if a path had taken the whole way in one.
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
	// One path is to give its own steps back: rounding must not make one more of them.
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

// fillGaps gives zeros the value of the last entry before them that is none, or of the first one after, or else that given.
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

// Spread returns up to count of n samples, evenly spread over them.
func Spread(n, count int) []int {
	count = min(n, count)
	at := make([]int, count)
	for i := range at {
		at[i] = i * n / count
	}
	return at
}
