//go:build mpi

package mpi

/*
#cgo pkg-config: ompi-c
#include <mpi.h>

// Macros of mpi.h as functions.
static MPI_Comm world(void) { return MPI_COMM_WORLD; }
static void returnErrors(void) { MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN); }
static int start(int *got) { return MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, got); }
static int sameMachine(int *rank, int *size) {
	MPI_Comm local;
	int r = MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local);
	if (r) return r;
	MPI_Comm_rank(local, rank);
	MPI_Comm_size(local, size);
	return MPI_Comm_free(&local);
}
static int gather(void *mine, int n, void *all, int *counts, int *at) {
	return MPI_Allgatherv(mine, n, MPI_BYTE, all, counts, at, MPI_BYTE, MPI_COMM_WORLD);
}
static int receive(void *p, int n, int from, MPI_Request *r) { return MPI_Irecv(p, n, MPI_BYTE, from, 1, MPI_COMM_WORLD, r); }
static int sendTo(void *p, int n, int to, MPI_Request *r) { return MPI_Isend(p, n, MPI_BYTE, to, 1, MPI_COMM_WORLD, r); }
static int waitAll(int n, MPI_Request *r) { return MPI_Waitall(n, r, MPI_STATUSES_IGNORE); }
*/
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"hbar/kernels/fit"
)

// World is all processes of the job. It is a fit.Peers. Its calls may come from any goroutine, one at a time.
type World struct {
	rank, size           int
	localRank, localSize int
	mu                   sync.Mutex
	finished             bool
}

var _ fit.Peers = (*World)(nil)

// Start starts MPI. It returns nil if there is one process only.
func Start() (*World, error) {
	runtime.LockOSThread() // some networks want the thread that started MPI to live on
	var got C.int
	if err := failure(C.start(&got)); err != nil {
		return nil, fmt.Errorf("MPI does not start: %w", err)
	}
	if got < C.MPI_THREAD_SERIALIZED {
		return nil, fmt.Errorf("this MPI takes calls from one thread only; MPI_THREAD_SERIALIZED is needed")
	}
	C.returnErrors()
	var rank, size C.int
	C.MPI_Comm_rank(C.world(), &rank)
	C.MPI_Comm_size(C.world(), &size)
	w := &World{rank: int(rank), size: int(size)}
	if size == 1 {
		w.Finish()
		return nil, nil
	}
	if err := failure(C.sameMachine(&rank, &size)); err != nil {
		return nil, fmt.Errorf("the processes of this machine: %w", err)
	}
	w.localRank, w.localSize = int(rank), int(size)
	return w, nil
}

// failure is the error of a call.
func failure(code C.int) error {
	if code == C.MPI_SUCCESS {
		return nil
	}
	text := make([]byte, C.MPI_MAX_ERROR_STRING)
	var n C.int
	C.MPI_Error_string(code, (*C.char)(unsafe.Pointer(&text[0])), &n)
	return fmt.Errorf("MPI: %s", text[:n])
}

// Rank is the number of this process, from 0.
func (w *World) Rank() int { return w.rank }

// Size is the number of processes.
func (w *World) Size() int { return w.size }

// LocalSize is the number of processes on this machine.
func (w *World) LocalSize() int { return w.localSize }

// LocalRank is the number of this process among those on this machine, from 0.
func (w *World) LocalRank() int { return w.localRank }

// most is the most bytes of a message: MPI counts in int.
const most = 1<<31 - 1

// AllGather gives every process what each process has.
func (w *World) AllGather(mine []byte, all [][]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	counts, at := make([]C.int, w.size), make([]C.int, w.size)
	total := 0
	for r, b := range all {
		if total+len(b) > most {
			return fmt.Errorf("messages of more than %d bytes together", most)
		}
		counts[r], at[r] = C.int(len(b)), C.int(total)
		total += len(b)
	}
	joined := whole(all, total)
	apart := joined == nil
	if apart {
		joined = make([]byte, max(total, 1))
	}
	err := failure(C.gather(pointer(mine), C.int(len(mine)), pointer(joined), &counts[0], &at[0]))
	if err != nil || !apart {
		return err
	}
	for _, b := range all {
		joined = joined[copy(b, joined):]
	}
	return nil
}

// whole is the memory of all parts if one follows the other in one array of n bytes, else nil.
func whole(parts [][]byte, n int) []byte {
	if n == 0 || len(parts) == 0 || cap(parts[0]) < n {
		return nil
	}
	joined := parts[0][:n]
	at := 0
	for _, p := range parts {
		if len(p) > 0 && &p[0] != &joined[at] {
			return nil
		}
		at += len(p)
	}
	return joined
}

// AllToAll exchanges a message with each process.
func (w *World) AllToAll(send, recv [][]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	// The memory must stay where it is until all have arrived.
	var pin runtime.Pinner
	defer pin.Unpin()
	requests := make([]C.MPI_Request, 0, 2*w.size)
	post := func(b []byte, call func(p unsafe.Pointer, n C.int, q *C.MPI_Request) C.int) error {
		if len(b) > most {
			return fmt.Errorf("a message of %d bytes; at most %d are sent", len(b), most)
		}
		if len(b) == 0 {
			return nil
		}
		pin.Pin(&b[0])
		requests = requests[:len(requests)+1]
		return failure(call(unsafe.Pointer(&b[0]), C.int(len(b)), &requests[len(requests)-1]))
	}
	for r := range w.size {
		if r == w.rank {
			copy(recv[r], send[r])
			continue
		}
		if err := post(recv[r], func(p unsafe.Pointer, n C.int, q *C.MPI_Request) C.int { return C.receive(p, n, C.int(r), q) }); err != nil {
			return err
		}
	}
	for r := range w.size {
		if r == w.rank {
			continue
		}
		if err := post(send[r], func(p unsafe.Pointer, n C.int, q *C.MPI_Request) C.int { return C.sendTo(p, n, C.int(r), q) }); err != nil {
			return err
		}
	}
	if len(requests) == 0 {
		return nil
	}
	return failure(C.waitAll(C.int(len(requests)), &requests[0]))
}

func pointer(b []byte) unsafe.Pointer {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Pointer(&b[0])
}

// Finish ends MPI in order, once. All processes must come to it.
func (w *World) Finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.finished {
		w.finished = true
		C.MPI_Finalize()
	}
}

// Abort ends all processes with a status, or this one alone after Finish.
func (w *World) Abort(status int) {
	if w.finished {
		os.Exit(status)
	}
	C.MPI_Abort(C.world(), C.int(status))
}
