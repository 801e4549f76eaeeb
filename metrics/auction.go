package metrics

import (
	"context"
	"math"
)

// auctions runs phases of falling ε, from a part of the candidates' spread in reduced cost to well below the typical
// difference between a row's best and second best. A phase that does not end, because the candidates are too few, gets
// more of them, chosen under the prices reached.
func (s *search) auctions(ctx context.Context) error {
	var spread, gap float64
	for i, es := range s.edges {
		_, j2, u1, u2 := s.best(i)
		if j2 < 0 {
			return nil // n = 1
		}
		var sum float64
		for _, e := range es {
			sum += e.cost - s.v[e.col] - u1
		}
		spread += sum / float64(len(es)) / float64(s.n)
		gap += (u2 - u1) / float64(s.n)
	}
	if spread == 0 {
		return nil // all candidates tie
	}
	last := max(gap/300, 1e-6*spread)
	refills := 0
	for eps := spread / 4; eps > last; eps /= 4 {
		for !s.auction(eps) {
			if refills++; refills > 6 {
				return errFewCandidates
			}
			if err := s.addCandidates(ctx, 16); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// auction lets each free row bid for its best column, by as much as its second best allows and ε more, until no row is
// free. It reports false after more bids than a phase should take.
func (s *search) auction(eps float64) bool {
	s.releaseLoose(eps)
	for bids := 0; len(s.free) > 0; bids++ {
		if bids > 50*s.n {
			return false
		}
		last := len(s.free) - 1
		i := s.free[last]
		s.free = s.free[:last]
		j, _, u1, u2 := s.best(i)
		s.v[j] -= u2 - u1 + eps
		if loser := s.match(i, j); loser >= 0 {
			s.free = append(s.free, loser)
		}
	}
	return true
}

// rowReduction is an auction with ε = 0, which keeps every matched pair its row's best. A row that loses its column bids
// next if the price moved, else it stays free.
func (s *search) rowReduction() {
	queue := s.free
	s.free = nil
	bids := 0 // bounded: prices can rise by little for long
	for k := 0; k < len(queue); {
		i := queue[k]
		j1, j2, u1, u2 := s.best(i)
		moved := j2 >= 0 && u2-u1 > 1e-12*math.Abs(u2)
		if moved {
			s.v[j1] -= u2 - u1
		} else if j2 >= 0 && s.toRow[j1] >= 0 {
			j1 = j2
		}
		loser := s.match(i, j1)
		bids++
		if loser >= 0 && moved && bids < 8*s.n {
			queue[k] = loser
			continue
		}
		if loser >= 0 {
			s.free = append(s.free, loser)
		}
		k++
	}
}
