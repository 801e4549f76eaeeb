package cpu

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// TestTeam: each task runs once, whatever the numbers of tasks and workers, also after pauses in which workers sleep.
func TestTeam(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 8} {
		team := NewTeam(workers)
		for round := range 300 {
			tasks := round % 17
			ran := make([]atomic.Int32, tasks)
			team.Run(tasks, func(worker, task int) {
				if worker < 0 || worker >= workers {
					t.Errorf("worker %d of %d", worker, workers)
				}
				ran[task].Add(1)
			})
			for i := range ran {
				if n := ran[i].Load(); n != 1 {
					t.Fatalf("workers=%d tasks=%d: task %d ran %d times", workers, tasks, i, n)
				}
			}
			if round%100 == 99 {
				time.Sleep(2 * time.Millisecond)
			}
		}
		team.Close()
		team.Close()
	}
}

// TestTeamPanic: a panic in any worker's task reaches the caller of Run, and the team goes on working.
func TestTeamPanic(t *testing.T) {
	team := NewTeam(3)
	defer team.Close()
	for bad := range 20 {
		func() {
			defer func() {
				if e := recover(); e != fmt.Sprint("task ", bad) {
					t.Errorf("recovered %v, want task %d", e, bad)
				}
			}()
			team.Run(20, func(_, task int) {
				if task == bad {
					panic(fmt.Sprint("task ", bad))
				}
			})
			t.Errorf("Run returned although task %d panicked", bad)
		}()
	}
	var n atomic.Int32
	team.Run(9, func(_, _ int) { n.Add(1) })
	if n.Load() != 9 {
		t.Errorf("%d of 9 tasks ran after panics", n.Load())
	}
}

func TestTeamScratch(t *testing.T) {
	team := NewTeam(2)
	defer team.Close()
	a := team.Scratch(0, 100)
	b := team.Scratch(0, 40)
	if len(a) != 100 || len(b) != 40 || &a[0] != &b[0] {
		t.Errorf("lengths %d and %d of one buffer, want 100 and 40", len(a), len(b))
	}
	for _, n := range []int{1, 101, 1000} {
		s := team.Scratch(1, n)
		if at := uintptr(unsafe.Pointer(&s[0])); len(s) != n || at%64 != 0 {
			t.Errorf("%d elements at address %#x, want %d on a cache line", len(s), at, n)
		}
	}
	if team.ScratchBytes() != 4*1100 {
		t.Errorf("ScratchBytes is %d, want 4400", team.ScratchBytes())
	}
}

func BenchmarkTeamRun(b *testing.B) {
	team := NewTeam(0)
	defer team.Close()
	for b.Loop() {
		team.Run(team.Workers(), func(_, _ int) {})
	}
}
