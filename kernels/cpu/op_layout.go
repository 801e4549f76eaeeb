package cpu

import (
	"hbar/program"
	"hbar/program/ops"
)

func bindReshape(x *Executor, in program.Instr) (bound, error) {
	return bound{run: func() {
		a := x.array(in.In[0])
		out := x.get(in.Out[0])
		CopyColumns(x.team, out, a.cols, a.s, a.ld, len(out)/a.cols, a.cols)
	}}, nil
}

func bindSlice(x *Executor, in program.Instr) (bound, error) {
	op := in.Op.(ops.Slice)
	rows, w := x.rows(in.In[0]), op.Hi-op.Lo
	return bound{run: func() {
		a := x.array(in.In[0])
		CopyColumns(x.team, x.get(in.Out[0]), w, a.s[op.Lo:], a.ld, x.n*rows, w)
	}}, nil
}

func bindPlace(x *Executor, in program.Instr) (bound, error) {
	op := in.Op.(ops.Place)
	rows := x.rows(in.In[0])
	return bound{run: func() {
		a, out := x.array(in.In[0]), x.get(in.Out[0])
		flat(x.team, len(out), func(lo, hi int) { clear(out[lo:hi]) })
		CopyColumns(x.team, out[op.Lo:], op.Of, a.s, a.ld, x.n*rows, a.cols)
	}}, nil
}

func bindConcat(x *Executor, in program.Instr) (bound, error) {
	rows, of := x.rows(in.Out[0]), lastDim(x.shape(in.Out[0]))
	return bound{run: func() {
		out := x.get(in.Out[0])
		lo := 0
		for _, id := range in.In {
			a := x.eachRows(id)
			CopyColumns(x.team, out[lo:], of, a.s, a.ld, x.n*rows, a.cols)
			lo += a.cols
		}
	}}, nil
}

// image is a shape as height, width and channels: a sequence is an image of height 1.
func imageOf(s []int) (h, w, c int) {
	if len(s) == 2 {
		return 1, s[0], s[1]
	}
	return s[0], s[1], s[2]
}

func bindPatchify(x *Executor, in program.Instr) (bound, error) {
	h, w, c := imageOf(x.shape(in.In[0]))
	p := in.Op.(ops.Patchify).Patch
	return bound{run: func() {
		Patchify(x.team, x.get(in.Out[0]), x.get(in.In[0]), x.n, h, w, c, min(p, h), p)
	}}, nil
}

func bindUnpatchify(x *Executor, in program.Instr) (bound, error) {
	op := in.Op.(ops.Unpatchify)
	h, w, c := imageOf(op.Shape)
	return bound{run: func() {
		Unpatchify(x.team, x.get(in.Out[0]), x.get(in.In[0]), x.n, h, w, c, min(op.Patch, h), op.Patch)
	}}, nil
}

func bindSumPool(x *Executor, in program.Instr) (bound, error) {
	s := x.shape(in.In[0])
	return bound{run: func() {
		if s[0]%2 == 0 && s[1]%2 == 0 {
			UpsampleGrad(x.team, x.get(in.Out[0]), x.get(in.In[0]), x.n, s[0]/2, s[1]/2, s[2])
			return
		}
		out := x.get(in.Out[0])
		AvgPool(x.team, out, x.get(in.In[0]), x.n, s[0], s[1], s[2])
		Scale(x.team, out, out, 4)
	}}, nil
}

func bindUpsample(x *Executor, in program.Instr) (bound, error) {
	s, o := x.shape(in.In[0]), x.shape(in.Out[0])
	return bound{run: func() {
		if o[0]%2 == 0 && o[1]%2 == 0 {
			Upsample(x.team, x.get(in.Out[0]), x.get(in.In[0]), x.n, s[0], s[1], s[2])
			return
		}
		out := x.get(in.Out[0])
		AvgPoolGrad(x.team, out, x.get(in.In[0]), x.n, o[0], o[1], o[2])
		Scale(x.team, out, out, 4)
	}}, nil
}

// bindReference computes an op by its reference, sample by sample in float64. It serves ops that only derivatives of higher
// order have, and small ones.
func bindReference(x *Executor, in program.Instr) (bound, error) {
	_, sums := in.Op.(program.BatchSum)
	return bound{run: func() {
		if sums {
			if !x.accumulate {
				for _, id := range in.Out {
					clear(x.get(id))
				}
			}
			for i := range x.n {
				x.reference(in, i)
			}
			return
		}
		x.team.Run(x.n, func(_, i int) { x.reference(in, i) })
	}}, nil
}

func (x *Executor) reference(in program.Instr, sample int) {
	_, sums := in.Op.(program.BatchSum)
	args, outs := make([]program.Tensor, len(in.In)), make([]program.Tensor, len(in.Out))
	for k, id := range in.In {
		v := &x.values[id]
		args[k] = program.Tensor{Shape: v.Shape, Data: make([]float64, v.size)}
		if v.size == 1 && v.Role == program.Input {
			args[k].Data[0] = v.wide[rowOf(v, sample)]
			continue
		}
		for j, f := range x.get(id)[rowOf(v, sample)*v.size:][:v.size] {
			args[k].Data[j] = float64(f)
		}
	}
	for k, id := range in.Out {
		v := &x.values[id]
		outs[k] = program.Tensor{Shape: v.Shape, Data: make([]float64, v.size)}
	}
	in.Op.Reference(args, outs)
	for k, id := range in.Out {
		v := &x.values[id]
		to := x.get(id)[rowOf(v, sample)*v.size:][:v.size]
		for j, f := range outs[k].Data {
			if sums {
				to[j] += float32(f)
			} else {
				to[j] = float32(f)
			}
		}
	}
}

// rowOf is where a sample's array of a value is.
func rowOf(v *storage, sample int) int {
	if v.Rate == program.Sample {
		return sample
	}
	return 0
}
