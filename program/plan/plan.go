// Package plan decides where the values of a program are kept: in what order the instructions run, how long each value lives,
// and where in two blocks of memory it is, of which one grows with the number of samples and the other does not.
package plan

import (
	"slices"

	"hbar/program"
)

// Stage says when an instruction runs.
type Stage uint8

const (
	// Constants depend on parameters alone. They run when parameters change.
	Constants Stage = iota
	// Steps run once for a batch.
	Steps
	// Vectors run for many samples at a time, before the blocks that these are cut into: they make single rows, such as embeddings of times and labels, from inputs
	// that are numbers. Their weights are then read less often.
	Vectors
	// Samples run for each block of samples.
	Samples
	// Sums run after the last block: they depend on sums over the batch.
	Sums
)

// Plan is the plan of a program. Offsets and sizes count elements.
type Plan struct {
	Stage []Stage // of each instruction
	// Offset is where a derived value is: in the block for one sample, which holds value v of a block of n samples from
	// n·Offset to n·(Offset + size), or in the shared block, or, if an instruction of Vectors makes it, in a block like the first. Values with memory of their own
	// have −1.
	Offset []int
	// PerSample, Shared and Vectors are the sizes of the blocks.
	PerSample, Shared, Vectors int
}

// align is what sizes are rounded up to, so that values begin at cache lines if the block does.
const align = 16

// Options say what the executor knows of its instructions.
type Options struct {
	// Own reports values that need no memory of the plan: those of the caller, and views of others.
	Own func(id program.ID) bool
	// Views returns the value whose memory a value is a view of, or None.
	View func(id program.ID) program.ID
	// Size is the memory of a value of one sample, in elements. nil: as many as its shape has.
	Size func(id program.ID) int
	// Vector reports the operations that may run in the stage Vectors: all that they leave for others is in their results, so that a block can take its part of it. nil: there
	// is no such stage.
	Vector func(op program.Op) bool
}

// New plans p. Values of outputs live to the end.
func New(p *program.Program, o Options) *Plan {
	elements := o.Size
	if elements == nil {
		elements = func(id program.ID) int { return program.Size(p.Values[id].Shape) }
	}
	pl := &Plan{Stage: stages(p), Offset: make([]int, len(p.Values))}
	if o.Vector != nil {
		pl.vectors(p, o.Vector)
	}
	last := pl.lastUses(p, o)
	var free heap
	for i := range pl.Offset {
		pl.Offset[i] = -1
	}
	expiring := map[int][]program.ID{}
	for i, in := range p.Instrs {
		for _, id := range in.Out {
			if o.Own(id) {
				continue
			}
			size := rounded(elements(id))
			if p.Values[id].Rate != program.Sample {
				pl.Offset[id] = pl.Shared
				pl.Shared += size
				continue
			}
			if pl.Stage[i] == Vectors {
				pl.Offset[id] = pl.Vectors
				pl.Vectors += size
				continue
			}
			pl.Offset[id] = free.take(size)
			expiring[last[id]] = append(expiring[last[id]], id)
		}
		for _, id := range expiring[i] {
			free.give(pl.Offset[id], rounded(elements(id)))
		}
	}
	pl.PerSample = free.top
	return pl
}

func rounded(n int) int { return (n + align - 1) &^ (align - 1) }

// stages assigns the instructions to stages.
func stages(p *program.Program) []Stage {
	s := make([]Stage, len(p.Instrs))
	summed := make([]bool, len(p.Values)) // depends on a sum over the batch
	for i, in := range p.Instrs {
		rate := p.InstrRate(in)
		switch rate {
		case program.Constant:
			s[i] = Constants
		case program.Step:
			s[i] = Steps
		default:
			s[i] = Samples
		}
		_, sums := in.Op.(program.BatchSum)
		after := sums && rate == program.Sample
		for _, id := range in.In {
			if summed[id] {
				s[i], after = Sums, true
			}
		}
		for _, id := range in.Out {
			summed[id] = after
		}
	}
	return s
}

// vectors finds the instructions of Vectors among those of Samples.
func (pl *Plan) vectors(p *program.Program, may func(op program.Op) bool) {
	early := make([]bool, len(p.Values))
	for _, id := range p.With(program.Input) {
		early[id] = program.Size(p.Values[id].Shape) == 1
	}
	for i, in := range p.Instrs {
		_, sums := in.Op.(program.BatchSum)
		if pl.Stage[i] != Samples || sums || !may(in.Op) || !slices.ContainsFunc(in.Out, func(id program.ID) bool { return p.Values[id].Rate == program.Sample }) {
			continue
		}
		vector := !slices.ContainsFunc(in.In, func(id program.ID) bool { return p.Values[id].Rate == program.Sample && !early[id] })
		for _, id := range in.Out {
			shape := p.Values[id].Shape
			vector = vector && (len(shape) == 0 || program.Size(shape) == shape[len(shape)-1])
		}
		if vector {
			pl.Stage[i] = Vectors
			for _, id := range in.Out {
				early[id] = true
			}
		}
	}
}

// lastUses is the last instruction that needs each value, itself or through a view.
func (pl *Plan) lastUses(p *program.Program, o Options) []int {
	last := make([]int, len(p.Values))
	root := func(id program.ID) program.ID {
		for o.View(id) != program.None {
			id = o.View(id)
		}
		return id
	}
	for i, in := range p.Instrs {
		for _, id := range slices.Concat(in.In, in.Out) {
			last[root(id)] = i
		}
	}
	for _, out := range p.Outputs {
		last[root(out.ID)] = len(p.Instrs)
	}
	return last
}

// heap allocates ranges of a growing block, the smallest free one that is large enough.
type heap struct {
	free []span
	top  int
}

type span struct{ at, size int }

func (h *heap) take(size int) int {
	best := -1
	for i, s := range h.free {
		if s.size >= size && (best < 0 || s.size < h.free[best].size) {
			best = i
		}
	}
	if best >= 0 {
		at := h.free[best].at
		h.free[best].at += size
		h.free[best].size -= size
		if h.free[best].size == 0 {
			h.free = slices.Delete(h.free, best, best+1)
		}
		return at
	}
	// A free range at the end grows.
	if n := len(h.free); n > 0 && h.free[n-1].at+h.free[n-1].size == h.top {
		at := h.free[n-1].at
		h.free = h.free[:n-1]
		h.top = at + size
		return at
	}
	at := h.top
	h.top += size
	return at
}

func (h *heap) give(at, size int) {
	i, _ := slices.BinarySearchFunc(h.free, at, func(s span, at int) int { return s.at - at })
	h.free = slices.Insert(h.free, i, span{at, size})
	if i+1 < len(h.free) && h.free[i].at+h.free[i].size == h.free[i+1].at {
		h.free[i].size += h.free[i+1].size
		h.free = slices.Delete(h.free, i+1, i+2)
	}
	if i > 0 && h.free[i-1].at+h.free[i-1].size == h.free[i].at {
		h.free[i-1].size += h.free[i].size
		h.free = slices.Delete(h.free, i, i+1)
	}
}
