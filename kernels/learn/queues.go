package learn

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// queues divides n tasks among workers, with work stealing. Each worker has a range of tasks of its own, the same in every
// step, so that it finds in its cache what it left there in the step before. A worker that has finished its own range takes
// tasks from the ends of the others' ranges.
type queues struct {
	shares []share
}

// share is the range [lo, hi) of a worker's tasks that nobody has taken yet, lo in the high word. It fills a cache line.
type share struct {
	span atomic.Uint64
	_    [7]uint64
}

func newQueues(workers int) queues { return queues{make([]share, workers)} }

// reset divides n tasks anew.
func (q queues) reset(n int) {
	for w := range q.shares {
		lo, hi := bounds(n, len(q.shares), w)
		q.shares[w].span.Store(uint64(lo)<<32 | uint64(hi))
	}
}

// bounds is the range [lo, hi) of worker w in n tasks; the first ranges may be larger by one.
func bounds(n, workers, w int) (lo, hi int) {
	each, rest := n/workers, n%workers
	return w*each + min(w, rest), (w+1)*each + min(w+1, rest)
}

// balance orders tasks so that the sums of the costs in the ranges of the workers are about equal, and costly tasks come first in each.
func balance[T any](tasks []T, workers int, cost func(T) int) []T {
	slices.SortStableFunc(tasks, func(a, b T) int { return cmp.Compare(cost(b), cost(a)) })
	var out []T
	for w := range workers {
		for i := w; i < len(tasks); i += workers {
			out = append(out, tasks[i])
		}
	}
	return out
}

// take returns the next tasks [lo, hi) of a worker: half of what is left of its own range, but at least least and at most most
// tasks, or least tasks of another worker's range. If lo = hi, no tasks are left.
func (q queues) take(worker, least, most int) (lo, hi int) {
	for i := range q.shares {
		s := &q.shares[(worker+i)%len(q.shares)]
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
