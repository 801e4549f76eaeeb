package models

import (
	"sync"

	"hbar/cmd/internal/loglik"
	"hbar/internal/memory"
	"hbar/kernels/cpu"
)

// budget keeps computations that run side by side from taking more memory than there is.
type budget struct {
	mu       sync.Mutex
	reserved float64 // bytes of computations under way
}

// reserve takes memory for a computation, or says that there is too little. What others have reserved counts although a part of it
// may be taken already: the estimate errs to the safe side.
func (b *budget) reserve(n memory.Need) (release func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := memory.Available()
	all := n
	if b.reserved > 0 {
		all = append(n[:len(n):len(n)], memory.Part{What: "other computations under way", Bytes: b.reserved})
	}
	if err := memory.Check(all, l, nil); err != nil {
		return nil, err
	}
	size := n.Total()
	b.reserved += size
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.reserved -= size
	}, nil
}

// numberBytes is what a number of a state takes: as float64 and float32, its noise and its copy in the answer.
const numberBytes = 48

// networkBytes is the memory of the values of n samples in a network that is no chain of dense layers; those take next to nothing.
func networkBytes(net *loglik.Network, n int) float64 {
	e, ok := net.Solver.(*cpu.Engine)
	if !ok {
		return 0
	}
	b, err := e.Bytes(n)
	if err != nil {
		return 0
	}
	return float64(b)
}

// take reserves memory for n samples at a time with so many numbers in all. Derivatives take several times what values do.
func (c *Checkpoint) take(net *loglik.Network, n, numbers int, times float64) (release func(), err error) {
	return c.budget.reserve(memory.Need{{What: "the network's values", Bytes: times * networkBytes(net, n)}, {What: "samples", Bytes: numberBytes * float64(numbers)}})
}
