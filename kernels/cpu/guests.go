package cpu

// A team of one goroutine can take in guests: goroutines that have nothing else to do, and that share its tasks until it closes to guests. So workers that are done with
// their samples help those that are not (lanes.go).

// open lets guests in. The goroutine that the team belongs to calls it while there are none.
func (t *Team) open() {
	t.guests.Store(0)
	t.quit.Store(false)
}

// admit makes workers of the guests that have joined. The goroutine that the team belongs to calls it between two jobs.
func (t *Team) admit() {
	n := 1 + int(t.guests.Load())
	for len(t.scratch) < n {
		t.scratch = append(t.scratch, nil)
	}
	t.workers = max(t.workers, n)
}

// shut sends the guests away. The team may open again when all of them have returned from join.
func (t *Team) shut() {
	t.workers = 1
	t.quit.Store(true)
	t.rouse()
}

// join shares the team's tasks, from the job after the next call of admit on, and returns when the team is shut.
func (t *Team) join() { t.help(int(t.guests.Add(1))) }
