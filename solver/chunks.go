package solver

import (
	"runtime"
	"time"
)

// delivery passes finished chunks to the caller, one at a time.
type delivery struct {
	overlap bool
	deliver func(Chunk) error
	pending chan error // receives the error of the call that is running; nil: none is
}

// start delivers a chunk. With overlap it does so in another goroutine, and returns at once.
func (d *delivery) start(c Chunk) error {
	if !d.overlap {
		return d.deliver(c)
	}
	d.pending = make(chan error, 1)
	go func(done chan<- error) { done <- d.deliver(c) }(d.pending)
	return nil
}

// wait waits for the call that is running, if any, and returns its error.
func (d *delivery) wait() error {
	if d.pending == nil {
		return nil
	}
	err := <-d.pending
	d.pending = nil
	return err
}

// firstChunk is the smallest number of samples of a chunk for each processor, a tile or two, unless Options.Chunk is given.
const firstChunk = 128

// pace adapts the size of chunks so that one lasts between half a second and two: a run that is stopped loses little of what it
// computed. A chunk is never so small that processors are idle.
type pace struct{ size, most int }

func (p *pace) took(d time.Duration) {
	switch {
	case d < time.Second/2:
		p.size = min(2*p.size, p.most)
	case d > 2*time.Second:
		p.size = max(p.size/2, min(firstChunk*runtime.GOMAXPROCS(0), p.most))
	}
}

// defaultChunk is the number of samples whose states take a few MB.
func defaultChunk(d int) int { return min(max(1<<20/d, 256), 1<<16) }
