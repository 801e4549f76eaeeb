package cpu

import (
	"context"
	"slices"
	"sync/atomic"

	"hbar/kernels/fit"
	"hbar/program"
	"hbar/program/plan"
)

// A lane is an executor of the same program with a team of one. Each worker has one, in which it takes samples of its own through the
// whole program: it waits for nobody between two instructions, and its values stay in the caches of its core. Lanes share the packed
// weights, and whatever does not depend on samples, with the executor that they are lanes of. They give the same bits as it does.
//
// A worker for whom there are no more samples joins the team of a lane that is still at work: cores are not equally fast, and samples not always a multiple of workers.

// Samples of a block of a lane. Fewer cost more where weights are read for each block, and more leave the caches. Convolutions at low
// resolution read large weights for few pixels. Tokens are enough rows for a product with few samples. Sums over the batch are read and
// written for each block.
const (
	laneTokens = 4
	laneImages = 8
	laneRows   = 192     // of the products of a block of tokens
	laneBytes  = 4 << 20 // of the values of a block of more samples than laneTokens
)

// laneSamples is the number of samples of a block of a lane, if memory is not a limit.
func (x *Executor) laneSamples() int {
	if x.convolves() {
		return laneImages
	}
	rows := 1
	for _, s := range x.steps {
		if s.stage == plan.Samples && x.values[s.Out[0]].Rate == program.Sample && x.prog.InstrCost(s.Instr).MulAdds > 0 {
			rows = max(rows, x.rows(s.Out[0]))
		}
	}
	n := (laneRows + rows - 1) / rows
	if x.sums() {
		n = max(laneTokens, (laneTokens*laneRows+rows-1)/rows)
	}
	return min(n, max(laneTokens, laneBytes/(4*max(1, x.plan.PerSample))))
}

// lane is the number of samples of a block of a lane: a worker's share of a block. 0: there is no memory for lanes.
func (x *Executor) lane() int { return min(x.mostInLane, x.block/x.team.Workers()) }

// pieces is the number of samples of each piece of a batch of n in lanes, each of some blocks, from the least to the most, or nil where all workers share
// each instruction: where the program has sums over the batch, which have an order, and where lanes would leave workers idle for more
// than a quarter of the time: n samples on w workers take ⌈n/w⌉ rounds, of which n/w are work.
func (x *Executor) pieces(n int) []int {
	w, most := x.team.Workers(), x.lane()
	if w == 1 || most == 0 || 4*n < 3*w*((n+w-1)/w) || x.sums() {
		return nil
	}
	most = x.chunk(most)
	rounds := (n + w*most - 1) / (w * most)
	pieces := make([]int, rounds*w)
	for i := range pieces {
		pieces[i] = (n + i) / len(pieces)
	}
	return pieces
}

// sums reports whether there are sums over the batch.
func (x *Executor) sums() bool {
	return slices.ContainsFunc(x.steps, func(s step) bool {
		_, ok := s.Op.(program.BatchSum)
		return ok
	})
}

// spread computes the samples of a batch in lanes.
func (x *Executor) spread(ctx context.Context, b *Batch, pieces []int) error {
	block := min(pieces[len(pieces)-1], x.lane())
	if err := x.openLanes(block); err != nil {
		return err
	}
	first := make([]int, len(pieces))
	for i := range pieces[1:] {
		first[i+1] = first[i] + pieces[i]
	}
	x.inLanes(len(pieces), func(l *Executor, i int) {
		l.block = block
		l.samples(ctx, b, first[i], first[i]+pieces[i]) // its error is that of ctx
	})
	return ctx.Err()
}

// inLanes calls f for pieces 0 to n-1, each with a lane, as many at the same time as there are lanes.
func (x *Executor) inLanes(n int, f func(l *Executor, i int)) {
	var next atomic.Int64 // piece that no lane has taken
	working := make([]atomic.Bool, len(x.lanes))
	for _, l := range x.lanes {
		l.team.open()
	}
	x.team.Run(len(x.lanes), func(_, lane int) {
		l := x.lanes[lane]
		func() {
			working[lane].Store(true)
			defer l.team.shut() // also after a panic
			defer working[lane].Store(false)
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				f(l, int(i))
			}
		}()
		for x.assist(working) {
		}
	})
}

// assist helps a lane that works, with fewer guests than others, until it has no more work. It reports whether there was one.
func (x *Executor) assist(working []atomic.Bool) bool {
	var team *Team
	for i, l := range x.lanes {
		if working[i].Load() && (team == nil || l.team.guests.Load() < team.guests.Load()) {
			team = l.team
		}
	}
	if team == nil {
		return false
	}
	team.join()
	return true
}

// mostParts is the most parts that a batch has.
const mostParts = 16

// LanesOf is the most lanes in which a trainer with so many workers computes batches of up to n rows. Its blocks are of block samples, 0 if it
// chooses.
func LanesOf(n, workers, block int) int {
	workers = workersOf(workers)
	parts := max(fit.Parts(n, partRows(n)), min(mostParts, n/leastPart))
	if parts < workers || block > 0 && block < workers {
		return 1
	}
	return workers
}

// Lanes is the number of batches that RunEach computes at the same time.
func (x *Executor) Lanes() int {
	if x.lane() == 0 {
		return 1
	}
	return x.team.Workers()
}

// RunEach computes each of some batches as RunContext does: as many as Lanes says at the same time, each in a lane, and those that are
// left over one after another. Inputs that all samples of a batch share must be the same in all batches.
func (x *Executor) RunEach(ctx context.Context, batches []*Batch) error {
	for n := x.Lanes(); n > 1 && len(batches) >= n; batches = batches[n:] {
		for _, b := range batches[:n] {
			if err := x.checkBatch(b); err != nil {
				return err
			}
		}
		x.begin(batches[0])
		most := 0
		for _, b := range batches[:n] {
			most = max(most, b.N)
		}
		block := min(most, x.lane())
		if err := x.openLanes(block); err != nil {
			return err
		}
		x.inLanes(n, func(l *Executor, i int) {
			b := batches[i]
			l.block = block
			l.own(b)
			if l.samples(ctx, b, 0, b.N) == nil { // else its error is that of ctx
				l.end(b)
			}
		})
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	for _, b := range batches {
		if err := x.RunContext(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// openLanes makes the lanes if there are none, and gives them what the executor has computed for all samples and memory for blocks of n, in
// place of a block of its own.
func (x *Executor) openLanes(n int) error {
	for len(x.lanes) < x.team.Workers() {
		l, err := x.newLane()
		if err != nil {
			return err
		}
		x.lanes = append(x.lanes, l)
	}
	for _, l := range x.lanes {
		l.perSample = nil
	}
	x.reserve(n * len(x.lanes))
	for i, l := range x.lanes {
		l.team.Impl = x.team.Impl
		l.perSample = x.perSample[i*n*x.plan.PerSample : (i+1)*n*x.plan.PerSample]
		for id := range l.values {
			if !l.computes(program.ID(id)) {
				l.values[id].s, l.values[id].wide = x.values[id].s, x.values[id].wide
			}
		}
	}
	return nil
}

func (x *Executor) newLane() (*Executor, error) {
	l, err := newExecutor(x.prog, NewTeam(1), x)
	if err != nil {
		return nil, err
	}
	l.plan, l.computed = x.plan, make([]bool, len(x.values))
	for id, v := range x.values {
		l.computed[id] = v.Rate == program.Sample
	}
	for i := range l.steps {
		s := &l.steps[i]
		s.stage = x.steps[i].stage
		if s.stage == plan.Constants || s.stage == plan.Steps {
			continue
		}
		for _, id := range s.Out {
			l.computed[id] = true
			l.values[id].vector = s.stage == plan.Vectors
			if v := &l.values[id]; v.Rate != program.Sample && x.plan.Offset[id] >= 0 {
				v.s = aligned(v.size)[:v.size]
			}
		}
	}
	return l, nil
}

// computes reports whether a value is computed here, and not by what this is a lane of.
func (x *Executor) computes(id program.ID) bool { return x.of == nil || x.computed[id] }
