package cpu

import (
	"testing"
	"time"

	"hbar/program"
	"hbar/program/ops"
)

// TestLanesPanic: a panic in one lane ends the batch for all workers, whether they work, help or have not begun.
func TestLanesPanic(t *testing.T) {
	p, err := program.Build(func(b *program.Builder) {
		x := b.Input("x", program.Sample, 8, 8)
		b.Output("y", b.Apply(ops.Scale{A: 2}, x)[0])
	})
	if err != nil {
		t.Fatal(err)
	}
	team := NewTeam(3)
	defer team.Close()
	x, err := NewExecutor(p, team, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.openLanes(1); err != nil {
		t.Fatal(err)
	}
	for bad := range 3 {
		for range 50 {
			done := make(chan any)
			go func() {
				defer func() { done <- recover() }()
				x.inLanes(3, func(_ *Executor, i int) {
					if i == bad {
						panic("bad")
					}
					time.Sleep(time.Duration(i) * 10 * time.Microsecond)
				})
			}()
			select {
			case e := <-done:
				if e != "bad" {
					t.Fatalf("recovered %v", e)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("workers wait for a lane that does not work")
			}
		}
	}
	ran := make([]bool, 7)
	x.inLanes(len(ran), func(_ *Executor, i int) { ran[i] = true })
	for i, r := range ran {
		if !r {
			t.Errorf("piece %d has not run after panics", i)
		}
	}
}
