package metrics

import (
	"context"
	"math"
	"slices"
)

// edge is a candidate pair, stored with its row.
type edge struct {
	col  int
	cost float64
}

// search is the state of an assignment among candidate pairs.
type search struct {
	cloud
	edges [][]edge
	u, v  []float64
	toCol []int // −1: free
	toRow []int // −1: free
	free  []int // rows without a column
	path  paths
}

// newSearch takes the k candidates of least reduced cost of every row and of every column, for the column duals v.
func newSearch(ctx context.Context, c cloud, v []float64, k int) (*search, error) {
	n := c.n
	s := &search{cloud: c, edges: make([][]edge, n), u: make([]float64, n), v: v, toCol: make([]int, n), toRow: make([]int, n), path: newPaths(n)}
	for i := range n {
		s.toCol[i], s.toRow[i] = -1, -1
		s.free = append(s.free, i)
	}
	return s, s.addCandidates(ctx, k)
}

// addCandidates adds the k candidates of least reduced cost of every row and of every column under the present duals.
func (s *search) addCandidates(ctx context.Context, k int) error {
	buf := buffers(s.n)
	err := eachRow(ctx, s.n, func(w, i int) {
		s.row(i, buf[w])
		s.edges[i] = merge(s.edges[i], cheapest(buf[w], s.v, k, i))
		_, _, s.u[i], _ = s.best(i)
	})
	if err != nil {
		return err
	}
	// Columns choose too, or some would be in no candidate pair.
	chosen := make([][]edge, s.n)
	err = eachRow(ctx, s.n, func(w, j int) {
		squaredDistances(buf[w], s.y[j*s.d:(j+1)*s.d], s.x)
		chosen[j] = cheapest(buf[w], s.u, k, j)
	})
	for j, es := range chosen {
		for _, e := range es {
			s.edges[e.col] = merge(s.edges[e.col], []edge{{j, e.cost}})
		}
	}
	return err
}

// merge appends the pairs that are not there yet.
func merge(to, from []edge) []edge {
	have := to
	for _, e := range from {
		if !slices.ContainsFunc(have, func(f edge) bool { return f.col == e.col }) {
			to = append(to, e)
		}
	}
	return to
}

// cheapest are the k columns of least reduced cost cost_j − v_j. Among equal ones those that follow column start, in
// turn, are taken: rows with nothing but ties then choose different columns.
func cheapest(cost, v []float64, k, start int) []edge {
	n := len(cost)
	out := make([]edge, 0, k)
	key := make([]float64, 0, k) // reduced costs: a heap, largest first, once there are k
	down := func(i int) {
		for {
			c := 2*i + 1
			if c >= k {
				return
			}
			if c+1 < k && key[c+1] > key[c] {
				c++
			}
			if key[c] <= key[i] {
				return
			}
			out[i], out[c] = out[c], out[i]
			key[i], key[c] = key[c], key[i]
			i = c
		}
	}
	take := func(from, to int) {
		for j := from; j < to; j++ {
			r := cost[j] - v[j]
			if len(out) == k {
				if r < key[0] {
					out[0], key[0] = edge{j, cost[j]}, r
					down(0)
				}
				continue
			}
			out, key = append(out, edge{j, cost[j]}), append(key, r)
			if len(out) == k {
				for i := k/2 - 1; i >= 0; i-- {
					down(i)
				}
			}
		}
	}
	take(start, n)
	take(0, start)
	return out
}

// best are the two least reduced costs c_ij − v_j of a row, and their columns; −1 if there is no second.
func (s *search) best(i int) (j1, j2 int, u1, u2 float64) {
	j1, j2, u1, u2 = -1, -1, math.Inf(1), math.Inf(1)
	for _, e := range s.edges[i] {
		if h := e.cost - s.v[e.col]; h < u1 {
			j2, u2 = j1, u1
			j1, u1 = e.col, h
		} else if h < u2 {
			j2, u2 = e.col, h
		}
	}
	return j1, j2, u1, u2
}

// reducedAt is c_ij − v_j of a candidate pair.
func (s *search) reducedAt(i, j int) float64 {
	for _, e := range s.edges[i] {
		if e.col == j {
			return e.cost - s.v[j]
		}
	}
	panic("metrics: a matched pair is no candidate") // only candidates are matched
}

// match gives column j to row i and returns the row that had it, or −1.
func (s *search) match(i, j int) (loser int) {
	loser = s.toRow[j]
	if loser >= 0 {
		s.toCol[loser] = -1
	}
	s.toCol[i], s.toRow[j] = j, i
	return loser
}

// release takes row i's column away, if it has one.
func (s *search) release(i int) {
	if j := s.toCol[i]; j >= 0 {
		s.toRow[j], s.toCol[i] = -1, -1
	}
}

// releaseLoose keeps the matched pairs that are within eps of their row's best and lists the free rows.
func (s *search) releaseLoose(eps float64) {
	s.free = s.free[:0]
	for i := range s.n {
		if j := s.toCol[i]; j >= 0 {
			if _, _, u1, _ := s.best(i); s.reducedAt(i, j) > u1+eps {
				s.release(i)
			}
		}
		if s.toCol[i] < 0 {
			s.free = append(s.free, i)
		}
	}
}
