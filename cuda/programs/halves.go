//go:build gpu && cgo

package programs

import (
	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/program"
	"hbar/program/fuse"
	"hbar/program/ops"
)

// Values that are halves in memory: bf16 in BF16, f16 in F16. In these some kernels round an operand as they read it. Where all that read a value do, it is rounded by the kernel that writes it
// instead: the results are the same in all bits, with half of the memory's traffic, and products copy such operands as they are.

// warpgroups reports whether products run on warpgroups.
func warpgroups(d *driver.Device, p exec.Precision) bool {
	return p.Halves() && d.Major == 9 && d.Minor == 0 && d.SharedPerBlock >= max(warpgroupShared, halvesShared)
}

// chooseHalves finds the values that are halves in memory.
func (x *Executor) chooseHalves() {
	if !warpgroups(x.d, x.precision) {
		return
	}
	root := func(id program.ID) program.ID {
		for x.values[id].view != nil {
			id = x.values[id].view.Of
		}
		return id
	}
	keep := make([]bool, len(x.values)) // in float32
	for _, o := range x.prog.Outputs {
		keep[root(o.ID)] = true
	}
	for _, s := range x.steps {
		if s.skipped {
			continue // a view is read where its own readers read it
		}
		for k, id := range s.In {
			if !keep[root(id)] {
				keep[root(id)] = !x.readsHalves(s.Instr, k)
			}
		}
	}
	for _, s := range x.steps {
		if s.skipped {
			continue
		}
		v := &x.values[s.Out[0]]
		v.half = !keep[s.Out[0]] && !v.own && v.Rate == program.Sample && lastDim(v.Shape)%8 == 0 && x.writesHalves(s.Instr)
	}
}

// half reports whether a value is halves in memory.
func (x *Executor) half(id program.ID) bool { return x.array(id).half }

// flag is half as kernels are told; it mirrors an enum of kernels/gpu/net_halves.cuh.
func (x *Executor) flag(id program.ID) int32 {
	switch {
	case !x.half(id):
		return 0
	case x.precision == exec.BF16:
		return 1
	}
	return 2
}

// readsHalves reports whether an instruction rounds its operand k to halves and can read it so. Addresses are not known yet; those of values are multiples of 64 bytes.
func (x *Executor) readsHalves(in program.Instr, k int) bool {
	switch op := in.Op.(type) {
	case ops.Dense, ops.Conv:
		return k == 0 && x.runsPacked(op, in) && lastDim(x.shape(in.In[0]))%8 == 0
	case fuse.Layer:
		return k == 0 && x.runsPacked(op.Op, in) && lastDim(x.shape(in.In[0]))%8 == 0
	case ops.DenseWeight, ops.ConvWeight:
		return k == 1 && x.weightsOnWarpgroups(in)
	case ops.Attention, ops.AttentionInput, fuse.JoinedAttention:
		return x.byStrips(in)
	}
	return false
}

// runsPacked reports whether a dense layer or convolution runs on warpgroups.
func (x *Executor) runsPacked(op program.Op, in program.Instr) bool {
	w := x.shape(in.In[1])
	if x.values[in.In[1]].Rate == program.Sample {
		return false
	}
	if _, ok := op.(ops.Conv); ok {
		y := x.shape(in.Out[0])
		return x.packs("conv", y[0]*y[1], convWeights(in.In[1], w))
	}
	return x.packs(alongProduct, x.rows(in.In[0]), denseWeights(in.In[1], w))
}

// writesHalves reports whether an instruction can write its first result in halves.
func (x *Executor) writesHalves(in program.Instr) bool {
	switch op := in.Op.(type) {
	case ops.Dense, ops.Conv:
		return x.runsPacked(op, in)
	case fuse.Layer:
		return x.runsPacked(op.Op, in)
	case ops.LayerNorm, ops.RMSNorm:
		w := rowNormWire{Channels: int32(lastDim(x.shape(in.Out[0])))}
		return w.held()
	case ops.GroupNorm:
		act, err := activation(op.Act)
		w := groupNormWire{Positions: int32(x.rows(in.In[0])), Channels: int32(lastDim(x.shape(in.In[0]))), Groups: int32(op.Groups), Act: int32(act)}
		ok, _ := w.vectors()
		return err == nil && ok
	case ops.Attention:
		return x.byStrips(in)
	case ops.Mul, ops.Add, ops.Upsample: // dropout is a product with its mask
		return true
	}
	return false
}

// byStrips reports whether an attention, or its cotangents, run by the kernels by strips, which read and write both.
func (x *Executor) byStrips(in program.Instr) bool {
	names, lo := []string{"_queries", "_keys"}, []int{0, 0, 0}
	var of ops.Attention
	switch op := in.Op.(type) {
	case ops.Attention:
		of, names = op, []string{""}
	case ops.AttentionInput:
		of = op.Of
	case fuse.JoinedAttention:
		of, lo = op.Of, op.Lo[:]
	}
	a := x.attention(of, in.In[0], in.In[1])
	for _, name := range names {
		if s, err := a.strips(name, x.precision); s == nil || err != nil {
			return false
		}
	}
	for _, id := range in.In {
		if !a.quads(a.heads(id)) {
			return false
		}
	}
	for i := range lo {
		if !a.quads(a.result(in.Out[min(i, len(in.Out)-1)], lo[i])) {
			return false
		}
	}
	return true
}

// numbers is the memory of a value of one sample, in float32 numbers.
func (x *Executor) numbers(id program.ID) int {
	if v := &x.values[id]; !v.half {
		return v.size
	}
	return (x.values[id].size + 1) / 2
}
