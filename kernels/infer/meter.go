package infer

import (
	"sync"
	"sync/atomic"
)

// meter counts the rows that the workers finish, and calls a progress function with the number of samples that is worth.
type meter struct {
	tell          func(done int)
	samples, rows int
	done          atomic.Int64 // samples × rows
	mu            sync.Mutex
}

func newMeter(tell func(done int), samples, rows int) *meter {
	return &meter{tell: tell, samples: samples, rows: rows}
}

// add counts rows of samples, and reports unless another worker is reporting.
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

// finish reports that all is done.
func (m *meter) finish() {
	if m.tell != nil {
		m.tell(m.samples)
	}
}
