package metrics

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// eachRow calls f for the rows 0 … n−1 on all CPUs, in any order. worker is the number of the calling goroutine, of at
// most workers(). f must write only what belongs to its row.
func eachRow(ctx context.Context, n int, f func(worker, i int)) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range min(workers(), n) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(w, i)
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}

func workers() int { return runtime.GOMAXPROCS(0) }
