//go:build gpu && cgo

package programs

import (
	"slices"

	"hbar/cuda/driver"
	"hbar/program"
	"hbar/program/ops"
)

// groupNormWire mirrors struct GroupNorm of kernels/gpu/net_norms.cu.
type groupNormWire struct {
	X, Weight, Bias, G, Y, DWeight, DBias           uint64
	XSample, GSample                                int64
	Positions, Channels, Groups, Act                int32
	Eps                                             float64
	Blocks, Columns, Step, Lanes, Together, Vectors int32
	Halves, _                                       int32
}

const (
	normThreads = 256
	normHeld    = 8  // vectors of four numbers that a thread of a group norm holds
	normColumns = 64 // most vectors of a position that a block of a group norm has; MOST_COLUMNS in net_norms.cu
)

// vectors chooses the blocks of a group norm's kernels on vectors: once says that the threads hold all positions. It is false where only the kernels for any sizes
// will do: the channels of a group are no whole vectors, or too many, or the arrays begin elsewhere.
func (w *groupNormWire) vectors() (ok, once bool) {
	per := int(w.Channels / w.Groups)
	for _, at := range []uint64{w.X, w.Weight, w.Bias, w.G, w.Y} {
		if at%16 != 0 {
			return false, false
		}
	}
	if per%4 != 0 || per/4 > normColumns || w.XSample%4 != 0 || w.GSample%4 != 0 || w.Act > 1 {
		return false, false
	}
	places := func(together int) int {
		step := normThreads / (per / 4 * together)
		return (int(w.Positions) + step - 1) / step
	}
	// Of the numbers of groups that share a block the largest whose positions fit, but no more than give each thread half of what it can hold, in runs of 128 bytes.
	together := 1
	for m := 1; m <= int(w.Groups) && per/4*m <= normColumns; m++ {
		columns := per / 4 * m
		if int(w.Groups)%m != 0 || columns > 8 && places(together) >= normHeld/2 {
			continue
		}
		if places(m) <= normHeld || places(1) > normHeld && columns <= 8 {
			together = m
		}
	}
	columns := per / 4 * together
	w.Together, w.Vectors, w.Columns, w.Step = int32(together), int32(per/4), int32(columns), int32(normThreads/columns)
	w.Blocks = w.Groups / w.Together
	for w.Lanes = 1; 2*w.Lanes <= min(w.Step, 32); w.Lanes *= 2 {
	}
	return true, places(together) <= normHeld
}

// groupNorm binds one of the kernels of a group norm, by the beginning of its name; result says where it writes. sums is how many sums it makes of a column.
func (x *Executor) groupNorm(kernel string, sums int, op ops.GroupNorm, in program.Instr, result func(w *groupNormWire)) (run func() (whole bool), err error) {
	act, err := activation(op.Act)
	if err != nil {
		return nil, err
	}
	if err := x.checkWeights(in.In[1:3]...); err != nil {
		return nil, err
	}
	var fast [2]*driver.Kernel // one that holds what it reads, and one that reads it again
	shared := 8 * (normThreads + normColumns + normColumns) * sums
	for i, name := range []string{"", "_long"} {
		if act == 1 {
			name += "_silu"
		}
		if fast[i], err = x.kernel("norms", kernel+"_v4"+name, normThreads, shared); err != nil {
			return nil, err
		}
	}
	k, err := x.kernel("norms", kernel, normThreads, normThreads/32*8)
	return func() bool {
		w := groupNormWire{X: x.get(in.In[0]), Weight: x.get(in.In[1]), Bias: x.get(in.In[2]), XSample: int64(x.per(in.In[0])),
			Positions: int32(x.rows(in.In[0])), Channels: int32(lastDim(x.shape(in.In[0]))), Groups: int32(op.Groups), Act: int32(act), Eps: op.Eps}
		if len(in.In) == 4 {
			w.G, w.GSample = x.get(in.In[3]), int64(x.per(in.In[3]))
		}
		result(&w)
		ok, once := w.vectors()
		switch {
		case !ok:
			x.launch(k, x.n*op.Groups, driver.Pack(&driver.Args{}, w))
		case once:
			x.launch(fast[0], x.n*int(w.Blocks), driver.Pack(&driver.Args{}, w))
		default:
			x.launch(fast[1], x.n*int(w.Blocks), driver.Pack(&driver.Args{}, w))
		}
		return ok
	}, err
}

func bindGroupNorm(x *Executor, in program.Instr) (func(), error) {
	run, err := x.groupNorm("net_group_norm", 1, in.Op.(ops.GroupNorm), in, func(w *groupNormWire) { w.Y, w.Halves = x.get(in.Out[0]), x.flag(in.Out[0]) })
	return func() { run() }, err
}

// bindGroupNormInput binds the cotangent of x, and in the same pass those of weight and bias where the program has them with nothing that reads them between.
func bindGroupNormInput(x *Executor, in program.Instr) (func(), error) {
	op := in.Op.(ops.GroupNormInput).Of
	var params func(whole bool)
	if p := x.normParams(op, in); p != nil {
		var err error
		if params, err = x.groupNormParams(op, *p); err != nil {
			return nil, err
		}
	}
	run, err := x.groupNorm("net_group_norm_input", 8, op, in, func(w *groupNormWire) {
		w.Y = x.get(in.Out[0])
		if params != nil {
			w.DWeight, w.DBias = x.normParts(int(w.Channels))
		}
	})
	return func() {
		whole := run()
		if params != nil {
			params(whole)
		}
	}, err
}

// normParams finds the instruction that makes the cotangents of weight and bias of the norm whose cotangent of x is made by in, and has in do its work too.
func (x *Executor) normParams(op ops.GroupNorm, in program.Instr) *program.Instr {
	is := func(i int) bool { return slices.Equal(x.steps[i].Out, in.Out) }
	var mine, other *step
	from, to := -1, -1
	for i := range x.steps {
		s := &x.steps[i]
		p, ok := s.Op.(ops.GroupNormParams)
		switch {
		case is(i):
			mine, to = s, i
		case ok && p.Of == op && slices.Equal(s.In, in.In) && !s.skipped:
			other, from = s, i
		}
	}
	if other == nil {
		return nil
	}
	for i := from + 1; i < to; i++ {
		for _, id := range x.steps[i].In {
			if slices.Contains(other.Out, id) {
				return nil
			}
		}
	}
	other.skipped = true
	mine.Out = slices.Concat(mine.Out, other.Out) // so that they are known to be settled no earlier
	return &other.Instr
}

// normParts are the addresses of each sample's cotangents of weight and bias, in scratch memory.
func (x *Executor) normParts(channels int) (weight, bias uint64) {
	return x.scratch.At(0), x.scratch.At(channels)
}

// groupNormParams binds the cotangents of weight and bias: the sums over samples of what is in scratch memory, and unless it is known to be there already, that too.
func (x *Executor) groupNormParams(op ops.GroupNorm, in program.Instr) (func(there bool), error) {
	c := lastDim(x.shape(in.In[0]))
	x.reserve(2*c, 0)
	act, err := activation(op.Act)
	if err != nil {
		return nil, err
	}
	k, err := x.kernel("norms", "net_group_norm_params", normThreads, normThreads/32*8)
	if err != nil {
		return nil, err
	}
	j, err := x.joins()
	return func(there bool) {
		if !there {
			w := groupNormWire{X: x.get(in.In[0]), Weight: x.get(in.In[1]), Bias: x.get(in.In[2]), XSample: int64(x.per(in.In[0])),
				Positions: int32(x.rows(in.In[0])), Channels: int32(c), Groups: int32(op.Groups), Act: int32(act), Eps: op.Eps,
				G: x.get(in.In[3]), GSample: int64(x.per(in.In[3]))}
			w.DWeight, w.DBias = x.normParts(c)
			x.launch(k, x.n*op.Groups, driver.Pack(&driver.Args{}, w))
		}
		j.run(x, joinWire{Out: x.get(in.Out[0]), Second: x.get(in.Out[1]), Part: x.scratch.At(0), Parts: int32(x.n), Together: samplesTogether, Size: int64(2 * c), Split: int64(c)})
	}, err
}

// bindGroupNormParams has each sample's part in scratch memory, and then the sums.
func bindGroupNormParams(x *Executor, in program.Instr) (func(), error) {
	op := in.Op.(ops.GroupNormParams).Of
	if err := x.checkWeights(in.In[1:3]...); err != nil {
		return nil, err
	}
	run, err := x.groupNormParams(op, in)
	return func() { run(false) }, err
}

// rowNormWire mirrors struct RowNorm.
type rowNormWire struct {
	X, Shift, Scale, G, Y, DShift, DScale, Stats     uint64
	Rows, XSample, ShiftSample, ScaleSample, GSample int64
	Positions, Channels, Centred                     int32
	Offset                                           float32
	Halves, _                                        int32
	Eps, Share                                       float64
}

// rowNorm is what norms of rows have in common: x is the value, of which all else follows.
func (x *Executor) rowNorm(v program.ID, eps float64, centred bool) rowNormWire {
	w := rowNormWire{X: x.get(v), XSample: int64(x.per(v)), Rows: int64(x.n * x.rows(v)), Positions: int32(x.rows(v)), Channels: int32(lastDim(x.shape(v))), Eps: eps}
	w.Share = 1 / float64(w.Channels)
	if centred {
		w.Centred, w.Offset = 1, 1
	}
	return w
}

// rowKernels are those of a norm of rows for any rows, and for rows of whole vectors that a warp holds.
type rowKernels struct{ loop, held *driver.Kernel }

const rowChannels = 32 * 8 * 4 // that a warp holds: ROW_QUADS in net_norms.cu

func (x *Executor) rowKernels(name string) (k rowKernels, err error) {
	if k.loop, err = x.kernel("norms", name, normThreads, 0); err == nil {
		k.held, err = x.kernel("norms", name+"_held", normThreads, 0)
	}
	return k, err
}

func (x *Executor) normRows(ks rowKernels, w rowNormWire) {
	k := ks.loop
	if w.held() {
		k = ks.held
	}
	x.each(k, 32*int(w.Rows), driver.Pack(&driver.Args{}, w))
}

// held reports whether rows are of whole vectors that a warp holds.
func (w *rowNormWire) held() bool {
	return w.Channels%4 == 0 && w.Channels <= rowChannels && (w.XSample|w.ShiftSample|w.ScaleSample|w.GSample)%4 == 0 && (w.X|w.Shift|w.Scale|w.G|w.Y)%16 == 0
}

func bindLayerNorm(x *Executor, in program.Instr) (func(), error) {
	k, err := x.rowKernels("net_row_norm")
	return func() {
		w := x.rowNorm(in.In[0], in.Op.(ops.LayerNorm).Eps, true)
		w.Y, w.Halves = x.get(in.Out[0]), x.flag(in.Out[0])
		if len(in.In) == 3 {
			w.Shift, w.ShiftSample = x.get(in.In[1]), int64(x.per(in.In[1]))
			w.Scale, w.ScaleSample = x.get(in.In[2]), int64(x.per(in.In[2]))
		}
		x.normRows(k, w)
	}, err
}

func bindRMSNorm(x *Executor, in program.Instr) (func(), error) {
	k, err := x.rowKernels("net_row_norm")
	return func() {
		w := x.rowNorm(in.In[0], in.Op.(ops.RMSNorm).Eps, false)
		w.Y, w.Halves = x.get(in.Out[0]), x.flag(in.Out[0])
		w.Scale, w.ScaleSample = x.get(in.In[1]), int64(x.per(in.In[1]))
		x.normRows(k, w)
	}, err
}

func bindLayerNormInput(x *Executor, in program.Instr) (func(), error) {
	return x.rowNormInput(in, in.Op.(ops.LayerNormInput).Eps, true)
}

func bindRMSNormInput(x *Executor, in program.Instr) (func(), error) {
	return x.rowNormInput(in, in.Op.(ops.RMSNormInput).Of.Eps, false)
}

// rowNormInput binds the cotangents of a norm of rows: of x alone, or of x, shift and scale, or of x and scale.
func (x *Executor) rowNormInput(in program.Instr, eps float64, centred bool) (func(), error) {
	k, err := x.rowKernels("net_row_norm_input")
	if err != nil {
		return nil, err
	}
	p, err := x.kernel("norms", "net_row_norm_params", 256, 2*256*8)
	if len(in.In) == 3 {
		x.reserve(4*x.rows(in.In[0]), 0)
	}
	g := in.In[len(in.In)-1]
	return func() {
		w := x.rowNorm(in.In[0], eps, centred)
		w.Y, w.G, w.GSample = x.get(in.Out[0]), x.get(g), int64(x.per(g))
		if len(in.In) == 2 {
			x.normRows(k, w)
			return
		}
		w.Scale, w.ScaleSample, w.Stats = x.get(in.In[1]), int64(x.per(in.In[1])), x.scratch.Address()
		x.normRows(k, w)
		if centred {
			w.DShift = x.get(in.Out[1])
		}
		w.DScale = x.get(in.Out[len(in.Out)-1])
		x.launch(p, x.n*((int(w.Channels)+31)/32), driver.Pack(&driver.Args{}, w))
	}, err
}

func bindSoftmax(x *Executor, in program.Instr) (func(), error) { return x.overRows("net_softmax", in) }

func bindLogSumExp(x *Executor, in program.Instr) (func(), error) {
	return x.overRows("net_log_sum_exp", in)
}

// overRows binds a function of the rows of the last dimension.
func (x *Executor) overRows(kernel string, in program.Instr) (func(), error) {
	k, err := x.kernel("norms", kernel, normThreads, 0)
	c, per := lastDim(x.shape(in.In[0])), x.rows(in.In[0])
	return func() {
		rows := x.n * per
		a := driver.Pack((&driver.Args{}).U64(x.get(in.Out[0])).U64(x.get(in.In[0])), int64(rows))
		x.each(k, 32*rows, a.I32(c))
	}, err
}
