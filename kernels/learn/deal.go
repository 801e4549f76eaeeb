package learn

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// deal shares n tasks among workers. Each has a share of its own, the same in every round, so that what it left in its
// cache is of use in the next; a worker that is done takes from the ends of the others' shares.
type deal struct {
	shares []share
}

// share is the tasks [lo, hi) that are left of a worker's share, lo in the high word. It has a cache line of its own.
type share struct {
	span atomic.Uint64
	_    [7]uint64
}

func newDeal(workers int) deal { return deal{make([]share, workers)} }

// reset deals n tasks.
func (d deal) reset(n int) {
	for w := range d.shares {
		lo, hi := bounds(n, len(d.shares), w)
		d.shares[w].span.Store(uint64(lo)<<32 | uint64(hi))
	}
}

// bounds is the share [lo, hi) of worker w in n tasks; the first shares may be larger by one.
func bounds(n, workers, w int) (lo, hi int) {
	q, r := n/workers, n%workers
	return w*q + min(w, r), (w+1)*q + min(w+1, r)
}

// spread orders tasks so that the shares have costs as equal as can be, costly tasks first.
func spread[T any](tasks []T, workers int, cost func(T) int) []T {
	slices.SortStableFunc(tasks, func(a, b T) int { return cmp.Compare(cost(b), cost(a)) })
	var out []T
	for w := range workers {
		for i := w; i < len(tasks); i += workers {
			out = append(out, tasks[i])
		}
	}
	return out
}

// take returns the next tasks [lo, hi) of a worker, half of what is left of its share but at least least and at most most
// of them, or least of another's; none are left if lo = hi.
func (d deal) take(worker, least, most int) (lo, hi int) {
	for i := range d.shares {
		s := &d.shares[(worker+i)%len(d.shares)]
		for {
			old := s.span.Load()
			lo, hi = int(old>>32), int(old&(1<<32-1))
			if lo == hi {
				break
			}
			n := min(least, hi-lo)
			if i > 0 {
				if s.span.CompareAndSwap(old, uint64(lo)<<32|uint64(hi-n)) {
					return hi - n, hi
				}
				continue
			}
			n = max(n, min(most, (hi-lo)/2))
			if s.span.CompareAndSwap(old, uint64(lo+n)<<32|uint64(hi)) {
				return lo, lo + n
			}
		}
	}
	return 0, 0
}
