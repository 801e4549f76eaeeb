package ui

import (
	"context"
	"fmt"
	"io"
	"time"
)

// quiet is how long work may last before Wait shows that it goes on.
const quiet = time.Second

// Wait runs work that cannot be interrupted, such as reading a file, and shows on w that it is running once it lasts longer than a
// second: what names it ("reading points.npy"). If ctx ends first, Wait returns ErrInterrupted at once, and work is left to
// end with the process; if ctx has ended before, work does not begin. It must therefore leave nothing half done that counts, and use nothing that the caller closes.
func Wait[T any](ctx context.Context, w io.Writer, what string, work func() (T, error)) (T, error) {
	var none T
	if ctx.Err() != nil {
		return none, fmt.Errorf("%w while %s", ErrInterrupted, what)
	}
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		v, err := work()
		done <- outcome{v, err}
	}()
	p := NewProgress(w, what, 0, 0, nil)
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	defer p.endWait()
	for {
		select {
		case o := <-done:
			return o.value, o.err
		case <-ctx.Done():
			select {
			case o := <-done: // both at once
				return o.value, o.err
			default:
			}
			return none, fmt.Errorf("%w while %s", ErrInterrupted, what)
		case <-tick.C:
			p.wait()
		}
	}
}

// wait draws the name of the work and the time it has taken.
func (p *Progress) wait() {
	now := p.now()
	every := redraw
	if !p.terminal {
		every = p.everyLine
	}
	since := p.start.Add(quiet)
	if p.shown {
		since = p.drawn.Add(every)
	}
	if !now.Before(since) {
		p.draw(now, fmt.Sprintf("%s  %s", p.unit, Span(now.Sub(p.start))))
	}
}

// endWait wipes the line of wait, so that what comes next begins where it began.
func (p *Progress) endWait() {
	if p.terminal && p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
