package metrics

import "math"

// paths is the state of a search for a shortest alternating path.
type paths struct {
	dist    []float64 // length to a column
	pred    []int     // row before the column
	final   []bool    // whether dist is final
	seen    []int     // columns with a finite dist
	scanned []int     // columns whose dist is final
	heap    heap
}

func newPaths(n int) paths {
	p := paths{dist: make([]float64, n), pred: make([]int, n), final: make([]bool, n)}
	for j := range p.dist {
		p.dist[j] = math.Inf(1)
	}
	return p
}

func (p *paths) reset() {
	for _, j := range p.seen {
		p.dist[j], p.final[j] = math.Inf(1), false
	}
	p.seen, p.scanned, p.heap = p.seen[:0], p.scanned[:0], p.heap[:0]
}

// augment finds the shortest alternating path from a free row to a free column by Dijkstra's method on reduced costs,
// updates the duals of the columns on the way, which keeps matched pairs their rows' best, and flips the path. It
// reports false if there is no path.
func (s *search) augment(from int) bool {
	p := &s.path
	defer p.reset()
	s.relax(from, 0)
	for len(p.heap) > 0 {
		least, j := p.heap.pop()
		if p.final[j] {
			continue // an older, longer entry
		}
		i := s.toRow[j]
		if i < 0 {
			for _, q := range p.scanned {
				s.v[q] += p.dist[q] - least
			}
			s.flip(from, j)
			return true
		}
		p.final[j] = true
		p.scanned = append(p.scanned, j)
		s.relax(i, least-s.reducedAt(i, j))
	}
	return false
}

// relax offers the paths through row i; base is the distance to i less the reduced cost of its matched pair.
func (s *search) relax(i int, base float64) {
	p := &s.path
	for _, e := range s.edges[i] {
		if d := base + e.cost - s.v[e.col]; d < p.dist[e.col] && !p.final[e.col] {
			if math.IsInf(p.dist[e.col], 1) {
				p.seen = append(p.seen, e.col)
			}
			p.dist[e.col], p.pred[e.col] = d, i
			p.heap.push(d, e.col)
		}
	}
}

// flip matches the pairs of the path that ends in column j.
func (s *search) flip(from, j int) {
	for {
		i := s.path.pred[j]
		s.toRow[j] = i
		j, s.toCol[i] = s.toCol[i], j
		if i == from {
			return
		}
	}
}

// heap is a binary heap of columns, nearest first.
type heap []heapEntry

type heapEntry struct {
	dist float64
	col  int
}

func (h *heap) push(dist float64, col int) {
	*h = append(*h, heapEntry{})
	a := *h
	i := len(a) - 1
	for i > 0 {
		up := (i - 1) / 2
		if a[up].dist <= dist {
			break
		}
		a[i] = a[up]
		i = up
	}
	a[i] = heapEntry{dist, col}
}

func (h *heap) pop() (dist float64, col int) {
	a := *h
	top, last := a[0], a[len(a)-1]
	a = a[:len(a)-1]
	*h = a
	for i := 0; len(a) > 0; {
		c := 2*i + 1
		if c+1 < len(a) && a[c+1].dist < a[c].dist {
			c++
		}
		if c >= len(a) || a[c].dist >= last.dist {
			a[i] = last
			break
		}
		a[i] = a[c]
		i = c
	}
	return top.dist, top.col
}
