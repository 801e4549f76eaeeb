package metrics

import (
	"context"
	"errors"
	"math"
	"slices"
)

// cloud is an assignment problem: n points x (rows) against n points y (columns) at the cost c_ij = |x_i − y_j|².
type cloud struct {
	n, d int
	x, y []float64
}

// assignment is an optimal matching with its certificate: dual variables with u_i + v_j ≤ c_ij for all i, j and equality
// on the matched pairs, up to rounding.
type assignment struct {
	toCol []int // column of each row
	u, v  []float64
}

const (
	coarsest   = 64 // points of the smallest level
	coarsening = 4  // points of one level to one of the next coarser
)

// assign solves the problem exactly, in memory O(n):
//
//  1. Dual variables of a coarser problem (every fourth point, and so on down) give for each row and each column the
//     likely partners, those of least reduced cost c_ij − u_i − v_j. The next steps look at these candidates only.
//  2. An auction (Bertsekas, Ann. Oper. Res. 14, 105, 1988) with falling ε brings the dual variables near the optimum.
//  3. Row reduction and shortest augmenting paths (Jonker and Volgenant, Computing 38, 325, 1987) make the matching
//     optimal among the candidates.
//  4. u_i + v_j ≤ c_ij is checked on all n² pairs. Pairs that fail become candidates and step 3 goes on. When none
//     fails, the matching is optimal by duality, whatever the steps before did.
//
// Translations do not change the matching, so the clouds are centred first, for accuracy.
func assign(ctx context.Context, c cloud) (*assignment, error) {
	mx, my := mean(c.x, c.d), mean(c.y, c.d)
	a, err := assignCentred(ctx, cloud{c.n, c.d, shifted(c.x, mx), shifted(c.y, my)})
	if err != nil {
		return nil, err
	}
	// With δ = mx − my, c_ij = |x'_i − y'_j|² + 2 (x'_i − y'_j)·δ + |δ|².
	for k := range c.d {
		delta := mx[k] - my[k]
		for i := range c.n {
			a.u[i] += delta * (2*(c.x[i*c.d+k]-mx[k]) + delta)
			a.v[i] -= delta * 2 * (c.y[i*c.d+k] - my[k])
		}
	}
	return a, nil
}

func assignCentred(ctx context.Context, c cloud) (*assignment, error) {
	v := make([]float64, c.n)
	if c.n > coarsest {
		m := max(c.n/coarsening, coarsest/2)
		sub := cloud{m, c.d, stride(c.x, c.d, c.n, m), stride(c.y, c.d, c.n, m)}
		a, err := assignCentred(ctx, sub)
		if err != nil {
			return nil, err
		}
		if err := c.extend(ctx, v, sub.x, a.u); err != nil {
			return nil, err
		}
	}
	for k := 24; ; k *= 2 {
		s, err := newSearch(ctx, c, slices.Clone(v), min(k, c.n))
		if err != nil {
			return nil, err
		}
		err = s.solve(ctx)
		if err == nil {
			return &assignment{s.toCol, s.u, s.v}, nil
		}
		if !errors.Is(err, errFewCandidates) || k >= c.n {
			return nil, err
		}
	}
}

// extend sets v_j = min_i (|x_i − y_j|² − u_i) over the rows of a coarser problem.
func (c *cloud) extend(ctx context.Context, v, x, u []float64) error {
	buf := buffers(len(u))
	return eachRow(ctx, c.n, func(w, j int) {
		dist := buf[w]
		squaredDistances(dist, c.y[j*c.d:(j+1)*c.d], x)
		least := math.Inf(1)
		for i, q := range dist {
			least = min(least, q-u[i])
		}
		v[j] = least
	})
}

var (
	errFewCandidates = errors.New("metrics: assignment: the candidates hold no perfect matching")
	errUnsettled     = errors.New("metrics: assignment: did not settle; are the coordinates near the limits of float64?")
)

// solve takes steps 2 to 4 of assign.
func (s *search) solve(ctx context.Context) error {
	if err := s.auctions(ctx); err != nil {
		return err
	}
	s.releaseLoose(0)
	for range 2 {
		s.rowReduction()
	}
	for range 100 {
		for len(s.free) > 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			last := len(s.free) - 1
			if !s.augment(s.free[last]) {
				return errFewCandidates
			}
			s.free = s.free[:last]
		}
		clean, err := s.verify(ctx)
		if clean || err != nil {
			return err
		}
	}
	return errUnsettled
}

// verify computes u and checks the certificate on all pairs. Rows with pairs that fail get these as candidates and
// become free.
func (s *search) verify(ctx context.Context) (bool, error) {
	more := make([][]edge, s.n)
	buf := buffers(s.n)
	err := eachRow(ctx, s.n, func(w, i int) {
		row := buf[w]
		s.row(i, row)
		j0 := s.toCol[i]
		u := row[j0] - s.v[j0]
		tol := 1e-12 * (row[j0] + math.Abs(s.v[j0]) + math.Abs(u)) // thousands of roundings
		for j, q := range row {
			if q-s.v[j] < u-tol {
				more[i] = append(more[i], edge{j, q})
			}
		}
		s.u[i] = u
	})
	clean := true
	for i, es := range more {
		if len(es) > 0 {
			clean = false
			s.edges[i] = append(s.edges[i], es...)
			s.release(i)
			s.free = append(s.free, i)
		}
	}
	return clean, err
}
