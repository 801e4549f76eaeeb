//go:build gpu && cgo

package programs

import (
	"fmt"

	"hbar/cuda/driver"
	"hbar/program"
	"hbar/program/fuse"
	"hbar/program/ops"
)

// activation is the kernels' number of a function; see net.cuh.
func activation(f ops.Fn) (int, error) {
	switch f {
	case "":
		return 0, nil
	case ops.SiLU:
		return 1, nil
	case ops.GELU:
		return 2, nil
	case ops.Tanh:
		return 3, nil
	case ops.GELUTanh:
		return 4, nil
	case ops.Exp:
		return 5, nil
	}
	return 0, fmt.Errorf("the activation %q has no kernel", f)
}

// over are the dimensions of a loop over the result of an instruction with operands that broadcast to it.
func (x *Executor) over(out program.ID, in []program.ID) []dim {
	v := x.shape(out)
	dims := make([]dim, len(v)+1)
	dims[0] = dim{n: x.n, to: x.values[out].size}
	st := program.Strides(v)
	for i, n := range v {
		dims[i+1] = dim{n: n, to: st[i]}
	}
	for k, id := range in {
		dims[0].from[k] = x.per(id)
		for i, s := range program.BroadcastStrides(x.shape(id), v) {
			dims[i+1].from[k] = s
		}
	}
	return dims
}

// broadcasting binds a function of net_elements of operands that broadcast to the result.
func (x *Executor) broadcasting(in program.Instr, op int, set func(e *elementwise)) (func(), error) {
	e, err := x.elementwise(op)
	if err != nil {
		return nil, err
	}
	e.halves = x.flag(in.Out[0])
	if set != nil {
		set(e)
	}
	return func() {
		at := make([]uint64, len(in.In))
		for i, id := range in.In {
			at[i] = x.get(id)
		}
		e.run(x, x.over(in.Out[0], in.In), x.get(in.Out[0]), at...)
	}, nil
}

func bindAdd(x *Executor, in program.Instr) (func(), error) { return x.broadcasting(in, elAdd, nil) }
func bindMul(x *Executor, in program.Instr) (func(), error) { return x.broadcasting(in, elMul, nil) }
func bindExpandTo(x *Executor, in program.Instr) (func(), error) {
	return x.broadcasting(in, elCopy, nil)
}
func bindGatedAdd(x *Executor, in program.Instr) (func(), error) {
	return x.broadcasting(in, elGated, nil)
}
func bindScale(x *Executor, in program.Instr) (func(), error) {
	op := in.Op.(ops.Scale)
	return x.broadcasting(in, elAffine, func(e *elementwise) { e.a, e.b = op.A, op.B })
}
func bindPower(x *Executor, in program.Instr) (func(), error) {
	return x.broadcasting(in, elPower, func(e *elementwise) { e.a = in.Op.(ops.Power).P })
}
func bindFill(x *Executor, in program.Instr) (func(), error) {
	return x.broadcasting(in, elFill, func(e *elementwise) { e.a = in.Op.(ops.Fill).Value })
}
func bindSquaredErrorInput(x *Executor, in program.Instr) (func(), error) {
	return x.broadcasting(in, elError, nil)
}

func bindSlope(x *Executor, in program.Instr) (func(), error) {
	act, err := activation(in.Op.(fuse.Slope).Fn)
	if err != nil {
		return nil, err
	}
	return x.broadcasting(in, elSlope, func(e *elementwise) { e.act = act })
}

func bindUnary(x *Executor, in program.Instr) (func(), error) {
	op := in.Op.(ops.Unary)
	act, err := activation(op.Fn)
	if err != nil {
		return nil, err
	}
	if op.Order == 0 {
		return x.broadcasting(in, elAct, func(e *elementwise) { e.act = act })
	}
	if op.Order == 1 {
		k, err := x.kernel("elements", "net_slopes", 256, 0)
		return func() {
			n := x.n * x.values[in.Out[0]].size
			x.each(k, n, driver.Pack((&driver.Args{}).U64(x.get(in.Out[0])).U64(x.get(in.In[0])).I32(act), int64(n)))
		}, err
	}
	k, err := x.kernel("elements", "net_derivative", 128, 0)
	return func() {
		n := x.n * x.values[in.Out[0]].size
		x.each(k, n, driver.Pack((&driver.Args{}).U64(x.get(in.Out[0])).U64(x.get(in.In[0])).I32(act).I32(op.Order), int64(n)))
	}, err
}

// copying binds a copy between layouts: dims are those of the loop over one sample, with the distances in both arrays; to and from are where
// it begins in them.
func (x *Executor) copying(in program.Instr, dims []dim, to, from int) (func(), error) {
	e, err := x.elementwise(elCopy)
	if err != nil {
		return nil, err
	}
	e.halves = x.flag(in.Out[0])
	return func() {
		all := append([]dim{{n: x.n, to: x.values[in.Out[0]].size, from: [maxOperands]int{x.per(in.In[0])}}}, dims...)
		e.run(x, all, x.array(in.Out[0]).offset(to), x.get(in.In[0])+4*uint64(from))
	}, nil
}

// cleared binds zeros, and then more.
func (x *Executor) cleared(out program.ID, more func()) (func(), error) {
	e, err := x.elementwise(elFill)
	if err != nil {
		return nil, err
	}
	e.halves = x.flag(out)
	return func() {
		e.run(x, x.over(out, nil), x.get(out))
		more()
	}, nil
}

func bindReshape(x *Executor, in program.Instr) (func(), error) {
	size := x.values[in.Out[0]].size
	return x.copying(in, []dim{{n: size, to: 1, from: [maxOperands]int{1}}}, 0, 0)
}

func bindTranspose(x *Executor, in program.Instr) (func(), error) {
	perm := in.Op.(ops.Transpose).Perm
	from, to := program.Strides(x.shape(in.In[0])), program.Strides(x.shape(in.Out[0]))
	dims := make([]dim, len(perm))
	for d, p := range perm {
		dims[d] = dim{n: x.shape(in.Out[0])[d], to: to[d], from: [maxOperands]int{from[p]}}
	}
	return x.copying(in, dims, 0, 0)
}

// columns are the dimensions of a copy of cols columns between rows of ld numbers.
func columns(rows, cols, to, from int) []dim {
	return []dim{{n: rows, to: to, from: [maxOperands]int{from}}, {n: cols, to: 1, from: [maxOperands]int{1}}}
}

func bindSlice(x *Executor, in program.Instr) (func(), error) {
	op := in.Op.(ops.Slice)
	return x.copying(in, columns(x.rows(in.In[0]), op.Hi-op.Lo, op.Hi-op.Lo, lastDim(x.shape(in.In[0]))), 0, op.Lo)
}

func bindPlace(x *Executor, in program.Instr) (func(), error) {
	op := in.Op.(ops.Place)
	c := lastDim(x.shape(in.In[0]))
	put, err := x.copying(in, columns(x.rows(in.In[0]), c, op.Of, c), op.Lo, 0)
	if err != nil || c == op.Of {
		return put, err
	}
	return x.cleared(in.Out[0], put)
}

func bindConcat(x *Executor, in program.Instr) (func(), error) {
	of, lo := lastDim(x.shape(in.Out[0])), 0
	var all []func()
	for _, id := range in.In {
		c := lastDim(x.shape(id))
		put, err := x.copying(program.Instr{In: []program.ID{id}, Out: in.Out}, columns(x.rows(id), c, of, c), lo, 0)
		if err != nil {
			return nil, err
		}
		all = append(all, put)
		lo += c
	}
	return func() {
		for _, put := range all {
			put()
		}
	}, nil
}

// patches are the dimensions of a copy between an image and its patches of p positions, with the distances in the image first.
func patches(image []int, p int) (dims []dim) {
	c := image[len(image)-1]
	if len(image) == 2 {
		return []dim{{n: image[0] * c, to: 1, from: [maxOperands]int{1}}}
	}
	w := image[1]
	for _, d := range [][3]int{{image[0] / p, p * w * c, w / p * p * p * c}, {p, w * c, p * c}, {w / p, p * c, p * p * c}, {p * c, 1, 1}} {
		dims = append(dims, dim{n: d[0], to: d[1], from: [maxOperands]int{d[2]}})
	}
	return dims
}

func bindUnpatchify(x *Executor, in program.Instr) (func(), error) {
	return x.copying(in, patches(x.shape(in.Out[0]), in.Op.(ops.Unpatchify).Patch), 0, 0)
}

func bindPatchify(x *Executor, in program.Instr) (func(), error) {
	dims := patches(x.shape(in.In[0]), in.Op.(ops.Patchify).Patch)
	for i := range dims {
		dims[i].to, dims[i].from[0] = dims[i].from[0], dims[i].to
	}
	return x.copying(in, dims, 0, 0)
}

func bindUpsample(x *Executor, in program.Instr) (func(), error) {
	s, o := x.shape(in.In[0]), x.shape(in.Out[0])
	h, w, c := s[0], s[1], s[2]
	var dims []dim
	for _, d := range [][3]int{{h, 2 * o[1] * c, w * c}, {2, o[1] * c, 0}, {w, 2 * c, c}, {2, c, 0}, {c, 1, 1}} {
		dims = append(dims, dim{n: d[0], to: d[1], from: [maxOperands]int{d[2]}})
	}
	put, err := x.copying(in, dims, 0, 0)
	if err != nil || o[0] == 2*h && o[1] == 2*w {
		return put, err
	}
	return x.cleared(in.Out[0], put)
}

// sums binds sums of one sample's elements.
func (x *Executor) sums(in program.Instr, kept, over []dim) (func(), error) {
	s, err := x.summing()
	return func() {
		all := append([]dim{{n: x.n, from: [maxOperands]int{x.per(in.In[0])}}}, kept...)
		s.run(x, x.get(in.Out[0]), x.get(in.In[0]), all, over)
	}, err
}

func bindSumPool(x *Executor, in program.Instr) (func(), error) {
	o, w, c := x.shape(in.Out[0]), x.shape(in.In[0])[1], lastDim(x.shape(in.In[0]))
	from := func(n, d int) dim { return dim{n: n, from: [maxOperands]int{d}} }
	return x.sums(in, []dim{from(o[0], 2*w*c), from(o[1], 2*c), from(c, 1)}, []dim{from(2, w*c), from(2, c)})
}

func bindSumTo(x *Executor, in program.Instr) (func(), error) {
	s, to := x.shape(in.In[0]), x.shape(in.Out[0])
	st := program.Strides(s)
	var kept, over []dim
	for i, n := range s {
		d := dim{n: n, from: [maxOperands]int{st[i]}}
		if j := i - (len(s) - len(to)); j >= 0 && to[j] == n {
			kept = append(kept, d)
		} else {
			over = append(over, d)
		}
	}
	return x.sums(in, kept, over)
}

// columnsWire mirrors struct ColumnSums of kernels/gpu/net_elements.cu.
type columnsWire struct {
	Part, In      uint64
	Rows, Per     int64
	Columns, Wide int32
}

// columnKernels are net_columns for columns one by one and four by four.
type columnKernels struct{ one, four *driver.Kernel }

func (x *Executor) columnKernels() (k columnKernels, err error) {
	if k.one, err = x.kernel("elements", "net_columns", 256, 256*8); err == nil {
		k.four, err = x.kernel("elements", "net_columns_v4", 256, 4*256*8)
	}
	return k, err
}

// run enqueues the sums of columns over each `per` of the rows.
func (ks columnKernels) run(x *Executor, part, in uint64, rows, columns, per int) {
	k, v := ks.one, 1
	if columns%4 == 0 && in%16 == 0 {
		k, v = ks.four, 4
	}
	w := columnsWire{Part: part, In: in, Rows: int64(rows), Per: int64(per), Columns: int32(columns), Wide: 1}
	for int(w.Wide)*v < columns && w.Wide < 32 {
		w.Wide *= 2
	}
	run := v * int(w.Wide)
	x.launch(k, (rows+per-1)/per*((columns+run-1)/run), driver.Pack(&driver.Args{}, w))
}

// columnSums binds the sums of columns over all rows of a block's samples.
func (x *Executor) columnSums(in program.Instr, rows, cols int) (func(), error) {
	j, err := x.joiningOf(cols, rows, 256)
	if err != nil {
		return nil, err
	}
	k, err := x.columnKernels()
	return func() {
		x.joined(j, x.get(in.Out[0]), func(part uint64, parts int) {
			k.run(x, part, x.get(in.In[0]), x.n*rows, cols, j.group*rows)
		})
	}, err
}

func bindBiasSum(x *Executor, in program.Instr) (func(), error) {
	return x.columnSums(in, x.rows(in.In[0]), lastDim(x.shape(in.In[0])))
}

func bindSumBatch(x *Executor, in program.Instr) (func(), error) {
	return x.columnSums(in, 1, x.values[in.In[0]].size)
}

// join is a sum over samples: parts of `group` samples each, added up in their order.
type join struct {
	kernels     joinKernels
	size, group int
	behind      int // what else is in scratch memory before the parts, for each sample
}

// samplesTogether is how many samples' parts a sum over samples adds up before it adds them to the rest: a block of multiples of so many gives the same bits as any other.
const samplesTogether = 16

// joinWire mirrors struct Join of kernels/gpu/net_elements.cu.
type joinWire struct {
	Out, Second, Part uint64
	Parts, Together   int32
	Size, Split       int64
	More, _           int32
}

// joinKernels are net_join: a thread for each number or for four, or for few numbers one for each of their parts' groups.
type joinKernels struct{ one, four, groups *driver.Kernel }

func (x *Executor) joins() (k joinKernels, err error) {
	if k.one, err = x.kernel("elements", "net_join", 256, 0); err == nil {
		k.four, err = x.kernel("elements", "net_join_v4", 256, 0)
	}
	if err == nil {
		k.groups, err = x.kernel("elements", "net_join_groups", 256, 256*4)
	}
	return k, err
}

func (ks joinKernels) run(x *Executor, w joinWire) {
	if x.accumulate {
		w.More = 1
	}
	a := driver.Pack(&driver.Args{}, w)
	switch {
	case w.Size <= 32<<10 && w.Parts > w.Together:
		x.launch(ks.groups, (int(w.Size)+31)/32, a)
	case w.Size%4 == 0 && w.Split%4 == 0 && (w.Out|w.Second|w.Part)%16 == 0:
		x.each(ks.four, int(w.Size)/4, a)
	default:
		x.each(ks.one, int(w.Size), a)
	}
}

// joiningOf binds a sum over samples of arrays of size numbers, each the sum of the given number of rows, in parts of at least so many rows, if 16 samples have them.
func (x *Executor) joiningOf(size, rows, least int) (join, error) {
	g := 1
	for g < samplesTogether && g*max(1, rows) < least {
		g *= 2
	}
	k, err := x.joins()
	x.reserve((size+g-1)/g, size)
	return join{kernels: k, size: size, group: g}, err
}

// joined enqueues the parts by f and adds them to out.
func (x *Executor) joined(j join, out uint64, f func(part uint64, parts int)) {
	parts := (x.n + j.group - 1) / j.group
	if parts == 1 && !x.accumulate {
		f(out, 1)
		return
	}
	part := x.scratch.At(j.behind * x.room)
	f(part, parts)
	j.kernels.run(x, joinWire{Out: out, Part: part, Parts: int32(parts), Together: int32(samplesTogether / j.group), Size: int64(j.size), Split: int64(j.size)})
}
