//go:build gpu && cgo

package programs

import (
	"errors"
	"fmt"
	"math"
	"reflect"

	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/kernels/general"
	"hbar/program"
	"hbar/program/fuse"
	"hbar/program/plan"
)

// Executor runs a program on a device. Its methods are for one goroutine at a time, and no other may use the device meanwhile.
type Executor struct {
	d         *driver.Device
	k         *Kernels
	precision exec.Precision
	prog      *program.Program
	plan      *plan.Plan
	values    []storage
	labels    map[program.ID]int // rows of the tables in which these inputs choose one
	steps     []step
	packings  []*packing
	most      int // most samples of a block
	block     int // the same, or fewer where the device had no memory for so many

	params    *driver.Buffer // parameters, if they are the executor's own
	shared    *driver.Buffer // values that all samples share
	perSample *driver.Buffer // values of a block of `room` samples
	scratch   *driver.Buffer // for one instruction
	room      int
	moved     int // how often the memory of a block has been allocated: addresses in captured graphs are of one such time
	sizes     sizes

	copies []copied // outputs that are to be where their values are not
	copy   *elementwise

	n          int  // samples of the block that runs
	accumulate bool // it is not the first: sums over the batch go on
	stale      bool // parameters have changed
	err        error
	graphs     graphs

	// reached, if it is not nil, is called after each instruction of a pass that runs to the sums, with its position.
	reached   func(position int) error
	uncapture bool // such passes cannot be captured
}

// sizes of memory, in float32 numbers.
type sizes struct {
	perSample, shared, scratchSample, scratchShared int
}

// storage is where a value is.
type storage struct {
	program.Info
	size   int
	offset int    // in its block of memory; −1: it has an address of its own
	wide   int    // offset of its float64 numbers: scalars that are inputs, and losses; −1: none
	at     uint64 // address, once memory is there
	wideAt uint64
	loss   bool
	view   *fuse.View
	own    bool // memory of a caller's, or of an input
	half   bool // bf16 or f16 in memory; halves.go
}

// copied is a value that all samples share and an address where it is wanted too.
type copied struct {
	id program.ID
	at uint64
}

// step is an instruction bound to kernels.
type step struct {
	program.Instr
	run     func() // enqueues the work for a block
	stage   plan.Stage
	skipped bool // another instruction does its work
}

// binder finds the kernels for an instruction.
type binder func(x *Executor, in program.Instr) (run func(), err error)

// Options of an executor.
type Options struct {
	Precision exec.Precision // of products; all else, and all sums, are float32 or float64
	// Block is the most samples that pass through the program together; 0 chooses by memory.
	Block int
	// Memory is what Block is chosen for, in bytes; 0 is half of what is free on the device.
	Memory int64
	// Outputs are addresses for outputs that all samples share; others are in the executor's memory.
	Outputs map[string]uint64
	// Comm is the communicator of processes whose trainers share each batch. The trainer closes it.
	Comm *driver.Comm
	// Failed is an error once another of these processes is known to have ended.
	Failed func() error
	// Bucket is the least size in bytes of what is summed over them at a time; 0 chooses.
	Bucket int

	float32 bool // all values are float32 in memory, for tests
}

// DefaultBlock is the most samples of a block that an executor chooses.
const DefaultBlock = 512

// NewExecutor binds p to kernels. An operation without one, nor a fallback of operations that have one, is an error that names it.
// Memory for samples is taken when a batch comes.
func NewExecutor(d *driver.Device, k *Kernels, p *program.Program, o Options) (*Executor, error) {
	p, err := prepared(p)
	if err != nil {
		return nil, err
	}
	x := &Executor{d: d, k: k, precision: o.Precision, prog: p, values: make([]storage, len(p.Values)), labels: general.LabelRows(p), stale: true}
	for i, v := range p.Values {
		x.values[i] = storage{Info: v, size: program.Size(v.Shape), own: v.Role != program.Derived, offset: -1, wide: -1}
	}
	for _, out := range p.Outputs {
		at, ok := o.Outputs[out.Name]
		switch v := &x.values[out.ID]; {
		case !ok:
		case v.own: // two outputs are one value
			x.copies = append(x.copies, copied{out.ID, at})
		default:
			v.own, v.at = true, at
		}
	}
	views := fuse.Views(p, func(id program.ID) bool { return x.values[id].own })
	for id, v := range views {
		x.values[id].view = v
	}
	for _, in := range p.Instrs {
		x.steps = append(x.steps, step{Instr: in, skipped: len(in.Out) == 1 && views[in.Out[0]] != nil})
	}
	if !o.float32 {
		x.chooseHalves()
	}
	if err := x.bind(); err != nil {
		return nil, err
	}
	if err := x.place(o); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

func (x *Executor) bind() error {
	for i := range x.steps {
		s := &x.steps[i]
		if s.skipped {
			continue
		}
		run, err := table[reflect.TypeOf(s.Op)](x, s.Instr)
		if err != nil {
			return fmt.Errorf("cuda: %s: %w", s.Op.Name(), err)
		}
		s.run = run
	}
	var err error
	x.copy, err = x.elementwise(elCopy)
	return err
}

func rounded(n int) int { return (n + 15) &^ 15 }

// place makes the plan of memory, and takes that of shared values.
func (x *Executor) place(o Options) error {
	x.plan = plan.New(x.prog, plan.Options{
		Size: x.numbers,
		Own:  func(id program.ID) bool { return x.values[id].own || x.values[id].view != nil },
		View: func(id program.ID) program.ID {
			if v := x.values[id].view; v != nil {
				return v.Of
			}
			return program.None
		},
	})
	for i := range x.steps {
		x.steps[i].stage = x.plan.Stage[i]
	}
	z := &x.sizes
	z.perSample, z.shared = x.plan.PerSample, x.plan.Shared
	largest := z.scratchSample
	for id := range x.values {
		v := &x.values[id]
		v.offset = x.plan.Offset[id]
		total := &z.shared
		if v.Rate == program.Sample {
			total = &z.perSample
			largest = max(largest, v.size)
		}
		take := func(n int) int {
			at := *total
			*total += rounded(n)
			return at
		}
		if v.Role == program.Input {
			v.offset = take(v.size)
		}
		if v.Role == program.Input && v.size == 1 || v.loss {
			v.wide = take(2)
		}
	}
	for _, p := range x.packings {
		p.offset = z.shared
		z.shared += 4 * p.chunks
	}
	if err := x.chooseBlock(o, largest); err != nil {
		return err
	}
	var err error
	if x.shared, err = x.d.Alloc(4 * max(z.shared, 16)); err != nil {
		return err
	}
	return x.shared.Zero()
}

// chooseBlock finds how many samples fit.
func (x *Executor) chooseBlock(o Options, largest int) error {
	z := x.sizes
	x.block = o.Block
	if x.block <= 0 {
		memory := o.Memory
		if memory == 0 {
			u, err := x.d.Usage()
			if err != nil {
				return err
			}
			memory = u.Free / 2
		}
		memory -= 4 * int64(z.shared+z.scratchShared)
		x.block = int(max(1, min(DefaultBlock, memory/int64(4*max(1, z.perSample+z.scratchSample)))))
	}
	x.block = max(1, min(x.block, (math.MaxInt32-1)/max(1, largest))) // indices are 32 bits
	if x.block > samplesTogether && x.block != o.Block {
		x.block -= x.block % samplesTogether // sums over samples are then the same for any block
	}
	x.most = x.block
	return nil
}

// Block is the most samples that pass through the program together.
func (x *Executor) Block() int { return x.block }

// Bytes is the memory of values, for a batch of n samples.
func (x *Executor) Bytes(n int) int64 {
	z := x.sizes
	return 4 * (int64(z.perSample+z.scratchSample)*int64(min(n, x.block)) + int64(z.shared+z.scratchShared))
}

// reserve asks for scratch memory of an instruction, in numbers for each sample and for all.
func (x *Executor) reserve(perSample, shared int) {
	x.sizes.scratchSample = max(x.sizes.scratchSample, rounded(perSample))
	x.sizes.scratchShared = max(x.sizes.scratchShared, rounded(shared))
}

// grow takes memory for blocks of n samples.
func (x *Executor) grow(n int) error {
	if n <= x.room {
		return nil
	}
	if err := x.graphs.drop(); err != nil {
		return err
	}
	if err := errors.Join(x.perSample.Free(), x.scratch.Free()); err != nil {
		return err
	}
	x.room = 0
	for {
		err := x.take(n)
		var full *driver.Error
		if err == nil || n == 1 || !errors.As(err, &full) || !full.OutOfMemory() {
			return err
		}
		n = less(n) // another has taken what was free
		x.block = n
	}
}

// less is about half of a block of n samples. It is a multiple of 16 unless it is less: sums over samples are then the same.
func less(n int) int {
	if n > 16 {
		return max(16, n/2&^15)
	}
	return (n + 1) / 2
}

// restore chooses large blocks again for a batch of n samples, if grow had to take smaller ones and there is memory by now.
func (x *Executor) restore(n int) error {
	if n = min(n, x.most); n <= x.block {
		return nil
	}
	u, err := x.d.Usage()
	if err != nil {
		return err
	}
	z := x.sizes
	need := 4 * (int64(z.perSample+z.scratchSample)*int64(n) + int64(z.scratchShared))
	if x.room > 0 {
		need -= int64(x.perSample.Size() + x.scratch.Size()) // which grow frees
	}
	if need <= u.Free {
		x.block = x.most
	}
	return nil
}

// take allocates the memory of a block of n samples.
func (x *Executor) take(n int) error {
	z := x.sizes
	var err error
	if x.perSample, err = x.d.Alloc(4 * max(16, n*z.perSample)); err != nil {
		return err
	}
	if x.scratch, err = x.d.Alloc(4 * max(16, n*z.scratchSample+z.scratchShared)); err != nil {
		return errors.Join(err, x.perSample.Free())
	}
	x.room = n
	x.moved++
	x.addresses()
	return nil
}

// addresses finds where values are.
func (x *Executor) addresses() {
	for id := range x.values {
		v := &x.values[id]
		place := func(offset int) uint64 {
			if v.Rate == program.Sample {
				return x.perSample.At(offset * x.room)
			}
			return x.shared.At(offset)
		}
		if v.offset >= 0 {
			v.at = place(v.offset)
		}
		if v.wide >= 0 {
			v.wideAt = place(v.wide)
		}
	}
}

// SetParams uploads the parameters, in their layouts in the program.
func (x *Executor) SetParams(params map[string][]float32) error {
	total := 0
	for _, v := range x.values {
		if v.Role != program.Param {
			continue
		}
		d, ok := params[v.Name]
		if !ok {
			return fmt.Errorf("cuda: parameter %s is missing", v.Name)
		}
		if len(d) != v.size {
			return fmt.Errorf("cuda: parameter %s has %d numbers; want %d for %v", v.Name, len(d), v.size, v.Shape)
		}
		total += rounded(v.size)
	}
	if x.params == nil {
		var err error
		if x.params, err = x.d.Alloc(4 * max(16, total)); err != nil {
			return err
		}
	}
	at := 0
	for id := range x.values {
		v := &x.values[id]
		if v.Role != program.Param {
			continue
		}
		if err := driver.Upload(x.params.View(4*at, 4*v.size), params[v.Name]); err != nil {
			return err
		}
		v.at = x.params.At(at)
		at += rounded(v.size)
	}
	x.Changed()
	return nil
}

// BindParams has the parameters read from addresses by name, and never copied.
func (x *Executor) BindParams(at map[string]uint64) {
	for id := range x.values {
		if v := &x.values[id]; v.Role == program.Param {
			v.at = at[v.Name]
		}
	}
	x.Changed()
}

// Changed says that the contents of parameters have changed.
func (x *Executor) Changed() { x.stale = true }

// Close frees the executor's memory on the device.
func (x *Executor) Close() error {
	err := x.graphs.drop()
	for _, b := range []*driver.Buffer{x.params, x.shared, x.perSample, x.scratch} {
		err = errors.Join(err, b.Free())
	}
	return err
}
