package learn

import (
	"sync"
	"sync/atomic"
	"testing"
)

// Every task is taken once, whoever is fast.
func TestQueues(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 7} {
		for _, n := range []int{0, 1, 2, 5, 64, 1000} {
			d := newQueues(workers)
			taken := make([]atomic.Int32, n)
			for range 3 {
				d.reset(n)
				for i := range taken {
					taken[i].Store(0)
				}
				var wg sync.WaitGroup
				for w := range workers {
					if w == 1 {
						continue // this worker takes nothing
					}
					wg.Go(func() {
						for lo, hi := d.take(w, 2, 8); lo < hi; lo, hi = d.take(w, 2, 8) {
							if hi-lo > 8 {
								t.Errorf("%d tasks at once", hi-lo)
							}
							for i := lo; i < hi; i++ {
								taken[i].Add(1)
							}
						}
					})
				}
				wg.Wait()
				for i := range taken {
					if k := taken[i].Load(); k != 1 {
						t.Fatalf("%d workers, %d tasks: task %d taken %d times", workers, n, i, k)
					}
				}
			}
		}
	}
}

func TestBalance(t *testing.T) {
	for n := range 20 {
		for workers := 1; workers <= 5; workers++ {
			tasks := make([]int, n)
			for i := range tasks {
				tasks[i] = i + 1
			}
			out := balance(tasks, workers, func(c int) int { return c })
			least, most, total := 1<<30, 0, 0
			for w := range workers {
				lo, hi := bounds(n, workers, w)
				sum := 0
				for _, c := range out[lo:hi] {
					sum += c
				}
				least, most, total = min(least, sum), max(most, sum), total+sum
			}
			if len(out) != n || total != n*(n+1)/2 || most-least > n {
				t.Errorf("%d tasks, %d workers: shares cost %d to %d, in all %d", n, workers, least, most, total)
			}
		}
	}
}
