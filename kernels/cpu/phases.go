package cpu

import (
	"fmt"
	"sync"
)

// phase is a step of a layer on one sample, cut in parts that do not depend on each other.
type phase struct {
	parts int
	run   func(worker, slot, sample, part int)
}

// phased runs phases one after the other for each of n samples. With enough samples a worker takes a whole one, whose
// data then stay in its cache; with few, the parts of a phase are shared. A slot is memory for what one phase of a sample
// leaves for the next; slots is their number. Results do not depend on the choice, because a part computes the same
// numbers wherever it runs.
type phased struct {
	t     *Team
	n     int
	whole bool
	slots int
}

func newPhased(t *Team, n int) phased {
	w := t.Workers()
	if w == 1 || n >= 4*w || n > 0 && n%w == 0 {
		return phased{t, n, true, w}
	}
	return phased{t, n, false, n}
}

func (q phased) run(phases ...phase) {
	if q.whole {
		q.t.Run(q.n, func(worker, sample int) {
			for _, p := range phases {
				for i := range p.parts {
					p.run(worker, worker, sample, i)
				}
			}
		})
		return
	}
	for _, p := range phases {
		q.t.Run(q.n*p.parts, func(worker, task int) {
			s := task / p.parts
			p.run(worker, s, s, task%p.parts)
		})
	}
}

// blockRows is the number of rows of w channels to a part of a layer's work: some 32 KiB. It follows from w alone.
func blockRows(w int) int { return max(8, min(64, 8192/max(1, w))) }

// blocks is the number of parts that hold rows rows.
func blocks(rows, w int) int { return (rows + blockRows(w) - 1) / blockRows(w) }

// block gives the elements of part i of rows rows of w channels.
func block(rows, w, i int) (lo, hi int) {
	b := blockRows(w)
	return i * b * w, min(rows, (i+1)*b) * w
}

// flatBlock is the number of elements of a task of an elementwise layer.
const flatBlock = 1 << 14

// flat calls f for the parts of n elements.
func flat(t *Team, n int, f func(lo, hi int)) {
	t.Run((n+flatBlock-1)/flatBlock, func(_, i int) { f(i*flatBlock, min(n, (i+1)*flatBlock)) })
}

// Memory that is used for longer than a task of a phase, but not longer than the layer.
var (
	pool32 = sync.Pool{New: func() any { return new([]float32) }}
	pool64 = sync.Pool{New: func() any { return new([]float64) }}
)

// borrow takes n elements of arbitrary value from a pool; the pointer goes back with Put.
func borrow[F float32 | float64](p *sync.Pool, n int) ([]F, *[]F) {
	s := p.Get().(*[]F)
	if cap(*s) < n {
		*s = make([]F, n)
	}
	return (*s)[:n], s
}

// want panics unless a slice of have elements holds n.
func want(op, name string, have, n int) {
	if have < n {
		panic(fmt.Sprintf("cpu: %s: %s holds %d elements, needs %d", op, name, have, n))
	}
}
