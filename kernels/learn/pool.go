package learn

import (
	"sync"
	"sync/atomic"
)

// spins is how often a waiting worker checks before it blocks, which takes some tens of microseconds: longer than running workers
// differ at a barrier, and short enough that a waiting worker does not take much time from other processes.
const spins = 30000

// barrier lets n workers wait for each other.
type barrier struct {
	n       int32
	arrived atomic.Int32
	round   atomic.Uint32
	mu      sync.Mutex
	wake    sync.Cond
}

func newBarrier(n int) *barrier {
	b := &barrier{n: int32(n)}
	b.wake.L = &b.mu
	return b
}

// wait returns when all n workers have called it.
func (b *barrier) wait() {
	round := b.round.Load()
	if b.arrived.Add(1) == b.n {
		b.arrived.Store(0)
		b.mu.Lock()
		b.round.Add(1)
		b.mu.Unlock()
		b.wake.Broadcast()
		return
	}
	for range spins {
		if b.round.Load() != round {
			return
		}
	}
	b.mu.Lock()
	for b.round.Load() == round {
		b.wake.Wait()
	}
	b.mu.Unlock()
}

// pool runs one function on n goroutines, of which the caller is number 0. The others persist between runs.
type pool struct {
	gate *barrier // opens at the start and at the end of a run
	sync *barrier // between the phases of a run
	work func(worker int)
	stop bool
	done sync.WaitGroup
}

func newPool(n int, work func(worker int)) *pool {
	p := &pool{gate: newBarrier(n), sync: newBarrier(n), work: work}
	for w := 1; w < n; w++ {
		p.done.Go(func() {
			for {
				p.gate.wait()
				if p.stop {
					return
				}
				p.work(w)
				p.gate.wait()
			}
		})
	}
	return p
}

func (p *pool) run() {
	p.gate.wait()
	p.work(0)
	p.gate.wait()
}

func (p *pool) close() {
	if !p.stop {
		p.stop = true
		p.gate.wait()
		p.done.Wait()
	}
}
