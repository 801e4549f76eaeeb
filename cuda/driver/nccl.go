//go:build gpu && cgo

package driver

/*
#include <cuda.h>
#include <stdlib.h>
#include "nccl.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"
)

// NCCLIDSize is the size of what OpenNCCL's processes meet by.
const NCCLIDSize = 128

// OpenNCCL opens NCCL, and returns its version as text and as the number that it has: 21805 for 2.18.5. The error says what to install.
func OpenNCCL() (text string, version int, err error) {
	os.Getenv("HBAR_LIBNCCL") // so that Go's test cache depends on it
	if C.nccl_open() == 0 {
		return "", 0, fmt.Errorf("cuda: several GPUs train together by NCCL, and there is none: %s; install libnccl2 from NVIDIA's packages, or have HBAR_LIBNCCL name the file libnccl.so.2",
			C.GoString(C.nccl_message()))
	}
	var v C.int
	if err := ncclError("ncclGetVersion", "", C.nccl_version(&v), nil); err != nil {
		return "", 0, err
	}
	n := int(v)
	if n < 10000 { // the numbers before 2.9
		return fmt.Sprintf("%d.%d.%d", n/1000, n/100%10, n%100), n, nil
	}
	return fmt.Sprintf("%d.%d.%d", n/10000, n/100%100, n%100), n, nil
}

// capturesFrom is the first version whose calls may be captured: 2.9.
const capturesFrom = 20900

func ncclError(call, detail string, result C.int, comm unsafe.Pointer) error {
	if result == 0 {
		return nil
	}
	e := &Error{Call: call, Detail: detail, Code: -int(result), Text: "NCCL: " + C.GoString(C.nccl_text(result))}
	if last := C.GoString(C.nccl_last_error(comm)); last != "" {
		e.Text += ": " + last
	}
	return e
}

// NewNCCLID makes what the processes of one communicator meet by, in one of them, which must be rank 0. The others get it in another way.
func NewNCCLID() ([]byte, error) {
	if _, _, err := OpenNCCL(); err != nil {
		return nil, err
	}
	id := make([]byte, NCCLIDSize)
	return id, ncclError("ncclGetUniqueId", "", C.nccl_unique_id((*C.char)(unsafe.Pointer(&id[0]))), nil)
}

// Comm is a device's place among devices of several processes that sum arrays together: an NCCL communicator with a stream of its own.
type Comm struct {
	Rank, Size int
	Captures   bool // its calls may be captured
	d          *Device
	h          unsafe.Pointer
	stream     C.CUstream
	before     *Event // of the device's stream: what an all-reduce waits for
	after      *Event // of the communicator's: what Meet waits for
	done       *Event // of the device's stream: what Wait waits for
	paces      [2]*Event
	pace       int           // which of them Pace records next
	aborted    chan struct{} // closed when the abort has returned; nil: none has begun
	broken     error         // why the communicator was aborted
}

// Meet makes the communicator of size processes, all of which call it. It returns when all have.
func (d *Device) Meet(id []byte, rank, size int) (*Comm, error) {
	_, version, err := OpenNCCL()
	if err != nil {
		return nil, err
	}
	if len(id) != NCCLIDSize {
		return nil, fmt.Errorf("cuda: an NCCL id of %d bytes; it has %d", len(id), NCCLIDSize)
	}
	c := &Comm{Rank: rank, Size: size, Captures: version >= capturesFrom, d: d}
	err = d.do(func() error {
		p := (*C.char)(C.CBytes(id))
		defer C.free(unsafe.Pointer(p))
		err := ncclError("ncclCommInitRank", fmt.Sprintf("process %d of %d on %s", rank, size, d), C.nccl_init(&c.h, C.int(size), p, C.int(rank)), nil)
		if err != nil {
			return err
		}
		return check("cuStreamCreate", d.Name, C.cuStreamCreate(&c.stream, C.CU_STREAM_NON_BLOCKING))
	})
	for _, e := range []**Event{&c.before, &c.after, &c.done, &c.paces[0], &c.paces[1]} {
		if err == nil {
			*e, err = d.NewEvent()
		}
	}
	if err != nil {
		c.Abort(err)
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Rows are those of a batch of n that this process computes: count from first on. Without a communicator they are all.
func (c *Comm) Rows(n int) (first, count int, err error) {
	if c == nil {
		return 0, n, nil
	}
	if n < c.Size {
		return 0, 0, fmt.Errorf("cuda: a batch of %d rows for %d processes; each takes at least one", n, c.Size)
	}
	first = n * c.Rank / c.Size
	return first, n*(c.Rank+1)/c.Size - first, nil
}

// AllReduce enqueues the sum of b, of float32 numbers or float64 ones, over all processes, in place. It begins when the work that is enqueued on the
// device so far is done. What is enqueued later does not wait for it: Join does. It may be captured if Captures.
func (c *Comm) AllReduce(b *Buffer, doubles bool) error {
	if c.broken != nil { // NCCL frees the communicator meanwhile
		return c.broken
	}
	size := 4
	if doubles {
		size = 8
	}
	return c.d.do(func() error {
		if err := c.before.Record(); err != nil {
			return err
		}
		if err := check("cuStreamWaitEvent", c.d.Name, C.cuStreamWaitEvent(c.stream, c.before.e, 0)); err != nil {
			return err
		}
		return ncclError("ncclAllReduce", FormatSize(int64(b.size)), C.nccl_all_reduce(pointer(b.Address()), C.size_t(b.size/size), C.int(size/8), c.h, unsafe.Pointer(c.stream)), c.h)
	})
}

// Join has what is enqueued on the device from now on wait for all sums.
func (c *Comm) Join() error {
	if c.broken != nil {
		return c.broken
	}
	return c.d.do(func() error {
		if err := check("cuEventRecord", c.d.Name, C.cuEventRecord(c.after.e, c.stream)); err != nil {
			return err
		}
		return check("cuStreamWaitEvent", c.d.Name, C.cuStreamWaitEvent(c.d.cstream(), c.after.e, 0))
	})
}

// Times of Wait: between two looks at the device after the first spin, and between two at NCCL's errors.
const (
	spin       = 100 * time.Microsecond
	deviceLook = 50 * time.Microsecond
	errorLook  = 20 * time.Millisecond
	deathLook  = 500 * time.Millisecond // between two calls of failed
	drain      = 5 * time.Second
)

// Wait waits for all work that is enqueued on the device. If another process has failed, or ended, the sums never end: then NCCL knows, or
// failed, which may be nil and is called now and then, returns an error. The communicator is aborted, and Wait returns that error, as all later calls do.
func (c *Comm) Wait(failed func() error) error {
	if c.broken != nil {
		return c.broken
	}
	if err := c.done.Record(); err != nil {
		return err
	}
	return c.await(c.done, failed)
}

// Pace marks a place in the work that is enqueued, and waits, as Wait does, for the one that the call before has marked. So what is enqueued between three
// calls is the most that the device has before it. A driver takes so much work and no more: beyond that a launch waits for the device, and would wait
// for ever for a sum with a process that has ended.
func (c *Comm) Pace(failed func() error) error {
	if c.broken != nil {
		return c.broken
	}
	if err := c.paces[c.pace].Record(); err != nil {
		return err
	}
	c.pace = 1 - c.pace
	return c.await(c.paces[c.pace], failed)
}

// await waits for an event. One that is not recorded has passed.
func (c *Comm) await(e *Event, failed func() error) error {
	began := time.Now()
	looked, asked := began, began
	for {
		ready, err := c.passed(e)
		if err != nil {
			return c.fail(err)
		}
		now := time.Now()
		if ready || now.Sub(looked) > errorLook {
			looked = now
			if err := c.check(); err != nil {
				return c.fail(err)
			}
			if ready {
				return nil
			}
		}
		if failed != nil && now.Sub(asked) > deathLook {
			asked = now
			if err := failed(); err != nil {
				return c.fail(err)
			}
		}
		if now.Sub(began) < spin {
			runtime.Gosched()
		} else {
			time.Sleep(deviceLook)
		}
	}
}

// passed says whether the device has come to an event.
func (c *Comm) passed(e *Event) (ready bool, err error) {
	err = c.d.on(func() error {
		switch r := C.cuEventQuery(e.e); r {
		case C.CUDA_SUCCESS:
			ready = true
			return nil
		case C.CUDA_ERROR_NOT_READY:
			return nil
		default:
			return check("cuEventQuery", c.d.Name, r)
		}
	})
	return ready, err
}

// check is NCCL's asynchronous error.
func (c *Comm) check() error {
	var e C.int
	const inProgress = 7
	if err := ncclError("ncclCommGetAsyncError", "", C.nccl_async_error(c.h, &e), c.h); err != nil || e == inProgress {
		return err
	}
	return ncclError("sums over all processes", fmt.Sprintf("process %d of %d on %s", c.Rank, c.Size, c.d), e, c.h)
}

// Err is the error at which the communicator was aborted, or nil. Then what the device has computed since its last Wait is worth nothing. Without a
// communicator it is nil.
func (c *Comm) Err() error {
	if c == nil {
		return nil
	}
	return c.broken
}

// Abort ends the sums at an error that the other processes may not have. All later calls return that error, and Close waits for no process.
func (c *Comm) Abort(cause error) {
	if c == nil || c.broken != nil {
		return
	}
	_ = c.fail(cause)
}

// fail aborts the communicator, which ends the sums that wait for others. The abort returns once the graphs with sums are closed, which is
// up to the caller, so it runs by itself. A device that does not come to the end of its work is given up: closing it does not wait.
func (c *Comm) fail(cause error) error {
	c.broken = cause
	if c.h == nil {
		return cause
	}
	c.aborted = make(chan struct{})
	go func(h unsafe.Pointer) {
		defer close(c.aborted)
		_ = c.d.on(func() error { C.nccl_abort(h); return nil })
	}(c.h)
	if !c.drained() {
		c.d.lost = fmt.Errorf("cuda: %s does not come to the end of its work: %w", c.d.Name, cause)
	}
	return cause
}

// drained waits for the device to come to the end of its work, and is false if that takes too long.
func (c *Comm) drained() bool {
	if c.done == nil { // Meet has failed, and nothing is enqueued
		return true
	}
	if err := c.done.Record(); err != nil {
		return false
	}
	for began := time.Now(); time.Since(began) < drain; time.Sleep(time.Millisecond) {
		if ready, err := c.passed(c.done); ready || err != nil {
			return err == nil
		}
	}
	return false
}

// Close ends the communicator. Graphs with its sums must be closed before. At an orderly end all processes close theirs, and NCCL may have each wait
// for the others; behind Abort it waits for none.
func (c *Comm) Close() error {
	if c == nil || c.d.lost != nil {
		return nil
	}
	var err error
	switch {
	case c.aborted != nil:
		select {
		case <-c.aborted:
		case <-time.After(drain): // it goes on until the end of the process, which is near
			return nil
		}
	case c.h != nil:
		err = c.d.do(func() error { return ncclError("ncclCommDestroy", "", C.nccl_destroy(c.h), nil) })
	}
	c.h = nil
	if c.stream != nil {
		err = errors.Join(err, c.d.do(func() error { return check("cuStreamDestroy", c.d.Name, C.cuStreamDestroy(c.stream)) }))
		c.stream = nil
	}
	for _, e := range []*Event{c.before, c.after, c.done, c.paces[0], c.paces[1]} {
		err = errors.Join(err, e.Close())
	}
	return err
}
