package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"hbar/kernels/simd"
)

// teamSpins is how often a waiting goroutine checks before it blocks. That takes some tens of microseconds, about the time between two
// layers of a network.
const teamSpins = 30000

// Team is a set of goroutines that share the tasks of one layer after another. The goroutine that calls Run is one of
// them. One Run at a time: a Team belongs to one goroutine. Others may join it for a while; see guests.go.
type Team struct {
	// Impl holds the inner loops that kernels run; NewTeam sets it to simd.Best.
	Impl *simd.Impl

	f     func(worker, task int)
	tasks int64
	next  atomic.Int64 // first task that nobody has taken

	// state is 2·job + closed in the upper 48 bits and the number of helpers inside the job in the lower 16. A helper
	// joins only a job that is open, so that Run need not wait for one that wakes late.
	state atomic.Uint64
	quit  atomic.Bool

	mu       sync.Mutex
	wake     sync.Cond    // a job has opened, or the last helper has left one
	sleepers atomic.Int32 // goroutines that wait on wake or are about to

	failed  atomic.Bool
	failure any // what a task panicked with, written once under failed

	workers int          // that take tasks, the caller of Run included
	guests  atomic.Int32 // goroutines that have joined since the team opened

	scratch [][]float32
	shared  []float32
	done    sync.WaitGroup
	closed  bool
}

const (
	teamHelpers = 1<<16 - 1 // mask of the helpers inside a job
	teamStep    = 1 << 16   // opens or closes a job; odd multiples are open
)

// NewTeam starts a team of the given number of workers, the caller included; 0 means GOMAXPROCS. Close ends it.
func NewTeam(workers int) *Team {
	workers = workersOf(workers)
	t := &Team{Impl: simd.Best(), workers: workers, scratch: make([][]float32, workers)}
	t.wake.L = &t.mu
	for w := 1; w < workers; w++ {
		t.done.Go(func() { t.help(w) })
	}
	return t
}

// workersOf is the number of workers that a number stands for.
func workersOf(n int) int {
	if n <= 0 {
		return runtime.GOMAXPROCS(0)
	}
	return n
}

// Workers is the number of goroutines, the caller of Run included.
func (t *Team) Workers() int { return t.workers }

// Run calls f for tasks 0 to tasks-1 and returns when all are done. Workers, numbered from 0, take tasks in ascending
// order as they become free. One task, or a team of one, runs in the calling goroutine. If a task panics, tasks that
// have not started are dropped and Run panics with the same value. f must not call Run of the same team.
func (t *Team) Run(tasks int, f func(worker, task int)) {
	if tasks <= 1 || t.workers == 1 {
		for i := range tasks {
			f(0, i)
		}
		return
	}
	if t.closed {
		panic("cpu: Run of a closed Team")
	}
	t.f, t.tasks = f, int64(tasks)
	t.next.Store(0)
	t.state.Add(teamStep)
	t.rouse()
	t.drain(0)
	t.state.Add(teamStep)
	t.await(func() bool { return t.state.Load()&teamHelpers == 0 })
	t.f = nil
	if t.failed.Load() {
		e := t.failure
		t.failure = nil
		t.failed.Store(false)
		panic(e)
	}
}

// drain runs tasks until none is left.
func (t *Team) drain(worker int) {
	defer func() {
		if e := recover(); e != nil {
			t.next.Store(t.tasks)
			if t.failed.CompareAndSwap(false, true) {
				t.failure = e
			}
		}
	}()
	for {
		i := t.next.Add(1) - 1
		if i >= t.tasks {
			return
		}
		t.f(worker, int(i))
	}
}

// help is the loop of a worker other than the caller of Run.
func (t *Team) help(worker int) {
	seen := uint64(0) // the job this worker was in last
	for {
		var state uint64
		t.await(func() bool {
			state = t.state.Load()
			job := state / teamStep
			return t.quit.Load() || job%2 == 1 && job != seen
		})
		if t.quit.Load() {
			return
		}
		if !t.state.CompareAndSwap(state, state+1) {
			continue
		}
		seen = state / teamStep
		if worker < t.workers { // else it is a guest that has come during this job
			t.drain(worker)
		}
		if s := t.state.Add(^uint64(0)); s&teamHelpers == 0 && s/teamStep%2 == 0 {
			t.rouse()
		}
	}
}

// await returns when ready returns true. It checks for a while, and then sleeps until rouse wakes it to check again.
func (t *Team) await(ready func() bool) {
	for range teamSpins {
		if ready() {
			return
		}
	}
	t.mu.Lock()
	t.sleepers.Add(1)
	for !ready() {
		t.wake.Wait()
	}
	t.sleepers.Add(-1)
	t.mu.Unlock()
}

// rouse wakes all that sleep in await.
func (t *Team) rouse() {
	if t.sleepers.Load() > 0 {
		t.mu.Lock() // a goroutine that is about to sleep is inside Wait now
		t.wake.Broadcast()
		t.mu.Unlock()
	}
}

// Scratch returns floats elements of memory that belongs to a worker, aligned to 64 bytes. It holds arbitrary values
// and stays valid until the worker's next call of Scratch, also after the task. It grows to the largest request.
func (t *Team) Scratch(worker, floats int) []float32 {
	if len(t.scratch[worker]) < floats {
		t.scratch[worker] = aligned(floats)
	}
	return t.scratch[worker][:floats:floats]
}

// Shared returns floats elements of memory that belongs to the caller of Run and that all workers may use, aligned to
// 64 bytes. It holds arbitrary values and stays valid until the next call of Shared. It grows to the largest request.
func (t *Team) Shared(floats int) []float32 {
	if len(t.shared) < floats {
		t.shared = aligned(floats)
	}
	return t.shared[:floats:floats]
}

// ScratchBytes is the memory that Scratch and Shared occupy now.
func (t *Team) ScratchBytes() int {
	n := 4 * len(t.shared)
	for _, s := range t.scratch {
		n += 4 * len(s)
	}
	return n
}

// Close ends the team's goroutines. A closed team's Run panics, unless one goroutine suffices. Further calls do nothing.
func (t *Team) Close() {
	if t.closed {
		return
	}
	t.closed = true
	t.quit.Store(true)
	t.rouse()
	t.done.Wait()
}

// aligned is a new slice of zeros that starts on a cache line.
func aligned(floats int) []float32 {
	s := make([]float32, floats+15)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(s))) % 64 / 4)
	return s[skip : skip+floats : skip+floats]
}
