package infer

import (
	"sync"
	"sync/atomic"
)

// meter turns the rows that the workers finish into a count of samples for a progress function.
type meter struct {
	tell          func(done int)
	samples, rows int
	done          atomic.Int64 // samples × rows
	mu            sync.Mutex
}

func newMeter(tell func(done int), samples, rows int) *meter {
	return &meter{tell: tell, samples: samples, rows: rows}
}

// add counts and tells, unless another worker is just telling.
func (m *meter) add(work int) {
	if m.tell == nil {
		return
	}
	m.done.Add(int64(work))
	if m.mu.TryLock() {
		m.tell(int(m.done.Load() / int64(m.rows)))
		m.mu.Unlock()
	}
}

// finish tells the whole, whoever was told before.
func (m *meter) finish() {
	if m.tell != nil {
		m.tell(m.samples)
	}
}
