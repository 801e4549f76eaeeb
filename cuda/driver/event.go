//go:build gpu && cgo

package driver

/*
#include <cuda.h>
*/
import "C"

import (
	"fmt"
	"time"
)

// Event marks a position in the work that is enqueued on a device.
type Event struct {
	d *Device
	e C.CUevent
}

// NewEvent makes an event that is not recorded yet: waiting for it returns at once.
func (d *Device) NewEvent() (*Event, error) {
	e := &Event{d: d}
	if err := d.do(func() error { return check("cuEventCreate", d.Name, C.cuEventCreate(&e.e, C.CU_EVENT_DEFAULT)) }); err != nil {
		return nil, err
	}
	return e, nil
}

// Record puts the event behind all work enqueued so far; an earlier position is forgotten.
func (e *Event) Record() error {
	return e.d.do(func() error { return check("cuEventRecord", e.d.Name, C.cuEventRecord(e.e, e.d.cstream())) })
}

// Wait returns when the work before the event is done.
func (e *Event) Wait() error {
	return e.d.do(func() error { return check("cuEventSynchronize", e.d.Name, C.cuEventSynchronize(e.e)) })
}

// Since is the device's time from start to e, to about half a microsecond. Both must be recorded; it waits for them.
func (e *Event) Since(start *Event) (time.Duration, error) {
	var ms C.float
	err := e.Wait()
	if err == nil {
		err = e.d.do(func() error { return check("cuEventElapsedTime", e.d.Name, C.cuEventElapsedTime(&ms, start.e, e.e)) })
	}
	return time.Duration(float64(ms) * float64(time.Millisecond)), err
}

// Close frees the event. A nil or closed event is ignored.
func (e *Event) Close() error {
	if e == nil || e.e == nil {
		return nil
	}
	ev := e.e
	e.e = nil
	return e.d.undo(func() error { return check("cuEventDestroy", e.d.Name, C.cuEventDestroy(ev)) })
}

// Time is how long the work that fn enqueues takes on the device. It waits for it.
func (d *Device) Time(fn func() error) (took time.Duration, err error) {
	var mark [2]*Event
	defer func() {
		for _, e := range mark {
			if e := e.Close(); err == nil {
				err = e
			}
		}
	}()
	for i := range mark {
		if mark[i], err = d.NewEvent(); err != nil {
			return 0, err
		}
	}
	if err := mark[0].Record(); err != nil {
		return 0, err
	}
	if err := fn(); err != nil {
		return 0, fmt.Errorf("cuda: timed work: %w", err)
	}
	if err := mark[1].Record(); err != nil {
		return 0, err
	}
	return mark[1].Since(mark[0])
}
