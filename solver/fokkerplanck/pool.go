package fokkerplanck

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// pool runs loops on several goroutines. Iterations write disjoint results, so the outcome does not depend on the number
// of workers.
type pool struct{ workers int }

func newPool(workers int) pool {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	return pool{workers}
}

// run calls f(worker, lo, hi) on pieces of [0, n) of at most grain iterations; calls with equal worker do not overlap.
func (p pool) run(n, grain int, f func(worker, lo, hi int)) {
	pieces := (n + grain - 1) / grain
	workers := min(p.workers, pieces)
	if workers <= 1 {
		f(0, 0, n)
		return
	}
	var next atomic.Int64
	work := func(w int) {
		for {
			i := int(next.Add(1)) - 1
			if i >= pieces {
				return
			}
			f(w, i*grain, min((i+1)*grain, n))
		}
	}
	var wg sync.WaitGroup
	for w := 1; w < workers; w++ {
		wg.Go(func() { work(w) })
	}
	work(0)
	wg.Wait()
}
