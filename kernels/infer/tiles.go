package infer

import (
	"context"
	"sync"
	"sync/atomic"
)

// tiles calls run for consecutive ranges [lo, hi) of n samples, size or fewer each, on up to workers goroutines. Each goroutine
// has its own W from get, which put takes back at the end. It stops at the first error or when ctx is done.
func tiles[W any](ctx context.Context, workers, n, size int, get func() W, put func(W), run func(w W, lo, hi int) error) error {
	var next atomic.Int64
	var first atomic.Pointer[error]
	loop := func() {
		w := get()
		defer put(w)
		for first.Load() == nil {
			lo := int(next.Add(int64(size))) - size
			if lo >= n {
				return
			}
			err := ctx.Err()
			if err == nil {
				err = run(w, lo, min(n, lo+size))
			}
			if err != nil {
				first.CompareAndSwap(nil, &err)
			}
		}
	}
	var wg sync.WaitGroup
	for range min(workers, (n+size-1)/size) - 1 {
		wg.Go(loop)
	}
	loop()
	wg.Wait()
	if err := first.Load(); err != nil {
		return *err
	}
	return nil
}
