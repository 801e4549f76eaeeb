package cpu

import (
	"fmt"
	"reflect"
	"slices"

	"hbar/program"
	"hbar/program/fuse"
	"hbar/program/ops"
	"hbar/program/plan"
)

// Executor runs a program on the CPU. Its methods are for one goroutine at a time.
//
// A batch passes through the program in blocks of samples, and a block through one instruction after the other, whose work
// the team shares. Results do not depend on the blocks or the team.
type Executor struct {
	prog   *program.Program
	team   *Team
	plan   *plan.Plan
	values []storage
	steps  []step
	block  int // samples of a block

	mostInLane int // samples of a block of a lane, if memory is not a limit

	layers map[program.ID]any // layers with packed weights, by their output, for the lanes to share
	lanes  []*Executor        // see lanes.go

	of       *Executor // of a lane, what it is a lane of
	computed []bool    // of a lane, the values that it does not have from there

	perSample, shared []float32
	vectors           []float32             // of samples, see plan.Vectors
	temp              []float32             // for the run of one instruction
	stats             map[string]*statistic // of group norms

	n          int  // samples of the block that runs
	accumulate bool // the block is not the first: sums over the batch are continued
	stale      bool // parameters have changed
	ended      <-chan struct{}
}

// storage is where a value is.
type storage struct {
	program.Info
	size int
	s    []float32
	wide []float64 // of scalars that are inputs, and of losses
	loss bool      // wide has the result of an op
	view *fuse.View
	own  bool      // the memory is the caller's, or of this value alone
	kept []float32 // memory for an output that the caller does not want, or that only changes with parameters

	vector bool // it is made in the stage Vectors
}

// step is an instruction bound to routines.
type step struct {
	program.Instr
	bound
	stage   plan.Stage
	skipped bool // the routine of another instruction computes it
}

// bound are the functions of an instruction. All but run may be nil.
type bound struct {
	prepare func()       // takes weights that have changed
	run     func()       // computes a block
	finish  func()       // ends sums over the batch
	bytes   func() int64 // memory of its own
}

// binder finds the routines for an instruction.
type binder func(x *Executor, in program.Instr) (bound, error)

// Options of an executor. The zero value chooses everything.
type Options struct {
	// Block is the number of samples that pass through the program at a time, in all lanes together; 0 chooses by memory.
	Block int
	// Memory is the number of bytes by which Block is chosen; 0 is 1 GiB.
	Memory int64
}

// leastBlock is the samples of a block with convolutions that all workers share: enough for products at low resolution.
const leastBlock = 16

// BlockOf is the most samples of a block that an executor with so many workers chooses, if the values of a sample have so many bytes: a
// block for each lane, within 1 GiB.
func BlockOf(sampleBytes float64, workers int) int {
	w := workersOf(workers)
	n := max(float64(max(leastBlock, laneImages*w)), float64(w)*laneBytes/max(1, sampleBytes))
	return int(max(1, min(n, defaultMemory/max(1, sampleBytes))))
}

const defaultMemory = 1 << 30

// NewExecutor binds p to the routines of this package. An operation without a routine, nor a fallback of operations that have
// one, is an error that names it.
func NewExecutor(p *program.Program, team *Team, o Options) (*Executor, error) {
	p, err := fuse.Fallbacks(p, "CPU", func(op program.Op, _ [][]int) bool { return table[reflect.TypeOf(op)] != nil })
	if err != nil {
		return nil, err
	}
	x, err := newExecutor(fused(p), team, nil)
	if err != nil {
		return nil, err
	}
	x.allocate(o)
	return x, nil
}

// fused is a program with the patterns that there are routines for.
func fused(p *program.Program) *program.Program {
	return fuse.Program(p, fuse.KeepSlopes, fuse.KeepProbabilities)
}

// newExecutor binds a program whose operations all have routines. of is nil, or what the executor is a lane of.
func newExecutor(p *program.Program, team *Team, of *Executor) (*Executor, error) {
	x := &Executor{prog: p, team: team, values: make([]storage, len(p.Values)), layers: map[program.ID]any{}, of: of, stale: of == nil}
	for i, v := range p.Values {
		x.values[i] = storage{Info: v, size: program.Size(v.Shape), own: v.Role != program.Derived}
	}
	for _, o := range p.Outputs {
		if v := &x.values[o.ID]; v.Rate != program.Sample && v.Role == program.Derived {
			v.own = true // the caller's memory
		}
	}
	views := fuse.Views(p, func(id program.ID) bool { return x.values[id].own })
	for id, v := range views {
		x.values[id].view = v
	}
	for _, in := range p.Instrs {
		x.steps = append(x.steps, step{Instr: in, skipped: len(in.Out) == 1 && views[in.Out[0]] != nil})
	}
	return x, x.bind()
}

// bind finds routines for the instructions that are left after fusing.
func (x *Executor) bind() error {
	for i := range x.steps {
		s := &x.steps[i]
		if s.skipped || s.run != nil {
			continue
		}
		b, err := table[reflect.TypeOf(s.Op)](x, s.Instr)
		if err != nil {
			return fmt.Errorf("cpu: %s: %w", s.Op.Name(), err)
		}
		s.bound = b
	}
	return nil
}

// allocate plans the memory of values and allocates it.
func (x *Executor) allocate(o Options) {
	po := plan.Options{
		Own: func(id program.ID) bool { return x.values[id].own || x.values[id].view != nil },
		View: func(id program.ID) program.ID {
			if v := x.values[id].view; v != nil {
				return v.Of
			}
			return program.None
		},
	}
	if !x.sums() { // a sum over the batch adds up what all samples have at the same time
		po.Vector = sliceable
	}
	x.plan = plan.New(x.prog, po)
	for i := range x.steps {
		s := &x.steps[i]
		s.stage = x.plan.Stage[i]
		for _, id := range s.Out {
			x.values[id].vector = s.stage == plan.Vectors
		}
	}
	x.mostInLane = x.laneSamples()
	x.block = o.Block
	if x.block <= 0 {
		memory := o.Memory
		if memory == 0 {
			memory = defaultMemory
		}
		x.block = int(max(1, min(int64(x.defaultBlock()), memory/int64(4*max(1, x.plan.PerSample)))))
	}
	x.shared = aligned(x.plan.Shared)
	for id := range x.values {
		v := &x.values[id]
		if at := x.plan.Offset[id]; at >= 0 && v.Rate != program.Sample {
			v.s = x.shared[at : at+v.size]
		}
	}
}

// sliceable reports whether what an operation leaves behind for a chunk of samples is in its values, so that blocks can take parts of it.
func sliceable(op program.Op) bool {
	if l, ok := op.(fuse.Layer); ok {
		op = l.Op
	}
	switch op.(type) {
	case ops.SquaredError, ops.GroupNorm, ops.GroupNormInput: // losses in float64, and statistics
		return false
	}
	return true
}

// defaultBlock is the number of samples of a block if memory is not a limit: enough for all lanes.
func (x *Executor) defaultBlock() int {
	n := x.mostInLane * x.team.Workers()
	if x.convolves() {
		n = max(n, leastBlock)
	}
	return n
}

// convolves reports whether there are convolutions.
func (x *Executor) convolves() bool {
	return slices.ContainsFunc(x.steps, func(s step) bool {
		op := s.Op
		if l, ok := op.(fuse.Layer); ok {
			op = l.Op
		}
		switch op.(type) {
		case ops.Conv, ops.ConvInput, ops.ConvWeight:
			return true
		}
		return false
	})
}

// Block is the number of samples that pass through the program at a time, in all lanes together.
func (x *Executor) Block() int { return x.block }

// Bytes is the memory of values, for a batch of n samples, and of packed weights.
func (x *Executor) Bytes(n int) int64 {
	b := int64(4) * (int64(x.plan.PerSample)*int64(min(n, x.block)) + int64(x.plan.Vectors)*int64(min(n, x.team.Workers()*x.chunk(x.block))) + int64(x.plan.Shared))
	for _, s := range x.steps {
		if s.bytes == nil || s.skipped {
			continue
		}
		times := 1
		if _, ok := s.Op.(program.BatchSum); ok {
			times = min(x.Lanes(), LanesOf(n, x.team.Workers(), x.block)) // each has sums of its own
		}
		b += int64(times) * s.bytes()
	}
	return b
}

// Program is the program that runs: the one given, with fallbacks in place of ops that have no routine, and with layers
// fused.
func (x *Executor) Program() *program.Program { return x.prog }

// SetParams binds the parameters, in their layouts in the program. The slices are read by each run; call it again, or
// Changed, when their contents have changed.
func (x *Executor) SetParams(params map[string][]float32) error {
	for id := range x.values {
		v := &x.values[id]
		if v.Role != program.Param {
			continue
		}
		d, ok := params[v.Name]
		if !ok {
			return fmt.Errorf("cpu: parameter %s is missing", v.Name)
		}
		if len(d) != v.size {
			return fmt.Errorf("cpu: parameter %s has %d numbers; want %d for %v", v.Name, len(d), v.size, v.Shape)
		}
		v.s = d
	}
	x.stale = true
	return nil
}

// Changed says that the contents of parameters have changed.
func (x *Executor) Changed() { x.stale = true }
