package cpu

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestTeamGuests: guests of a team of one become its workers, each task runs once, and all guests return when the team is shut; then it is a team of one that
// can open again. A panic in the task of a guest reaches the caller of Run.
func TestTeamGuests(t *testing.T) {
	team := NewTeam(1)
	defer team.Close()
	for round := range 20 {
		guests := 1 + round%3
		team.open()
		var back sync.WaitGroup
		for range guests {
			back.Go(team.join)
		}
		var helped atomic.Bool
		deadline := time.Now().Add(30 * time.Second)
		for !helped.Load() || team.Workers() < 1+guests {
			if time.Now().After(deadline) {
				t.Fatalf("round %d: %d guests: %d workers, a guest has run a task: %v", round, guests, team.Workers(), helped.Load())
			}
			team.admit()
			workers, ran := team.Workers(), make([]atomic.Int32, 50)
			team.Run(len(ran), func(worker, task int) {
				if worker < 0 || worker >= workers {
					t.Errorf("worker %d of %d", worker, workers)
				}
				if worker > 0 {
					helped.Store(true)
				}
				team.Scratch(worker, 10)[0] = 1
				ran[task].Add(1)
				time.Sleep(10 * time.Microsecond)
			})
			for i := range ran {
				if n := ran[i].Load(); n != 1 {
					t.Fatalf("%d guests: task %d ran %d times", guests, i, n)
				}
			}
		}
		func() {
			defer func() {
				if e := recover(); e != fmt.Sprint("worker ", round) {
					t.Errorf("recovered %v", e)
				}
			}()
			var others sync.WaitGroup // a guest has a task while the caller has one
			others.Add(2)
			team.Run(2, func(worker, _ int) {
				others.Done()
				others.Wait()
				if worker > 0 {
					panic(fmt.Sprint("worker ", round))
				}
			})
			t.Error("Run returned although a guest panicked")
		}()
		team.shut()
		back.Wait()
		if n := team.Workers(); n != 1 {
			t.Errorf("%d workers after the guests have left", n)
		}
		team.Run(3, func(worker, _ int) {
			if worker != 0 {
				t.Errorf("worker %d without guests", worker)
			}
		})
	}
}
