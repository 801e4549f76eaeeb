package cpu

import (
	"math"

	"hbar/program"
	"hbar/program/ops"
)

func bindSinusoid(x *Executor, in program.Instr) (bound, error) {
	op := in.Op.(ops.Sinusoid)
	s := Sinusoid{Dim: op.Dim, CosFirst: op.CosFirst, Shift: op.Shift, Period: op.MaxPeriod}
	return bound{run: func() { s.Features(x.get(in.Out[0]), x.wide(in.In[0]), op.Order) }}, nil
}

// ids are the rows of a table that the samples name.
func (x *Executor) ids(id program.ID) []int32 {
	r := make([]int32, x.n)
	for i, v := range x.wide(id) {
		r[i] = int32(math.Round(v))
	}
	return r
}

func bindEmbedding(x *Executor, in program.Instr) (bound, error) {
	w := x.shape(in.In[0])[1]
	return bound{run: func() {
		Embedding(x.team, x.get(in.Out[0]), x.get(in.In[0]), x.ids(in.In[1]), w)
	}}, nil
}

func bindEmbeddingTable(x *Executor, in program.Instr) (bound, error) {
	rows, w := in.Op.(ops.EmbeddingTable).Rows, x.shape(in.In[1])[0]
	return bound{run: func() {
		EmbeddingGrad(x.team, x.get(in.Out[0]), x.each(in.In[1]), x.ids(in.In[0]), rows, w, x.accumulate)
	}}, nil
}

func bindDropoutMask(x *Executor, in program.Instr) (bound, error) {
	op := in.Op.(ops.DropoutMask)
	size := program.Size(op.Shape)
	seed, stream, drop, keep := op.Draw()
	d := Dropout{Seed: seed, Stream: stream, Drop: drop, Keep: float32(keep)}
	return bound{run: func() { d.Mask(x.team, x.get(in.Out[0]), x.wide(in.In[0])[:x.n], size) }}, nil
}

func bindSquaredError(x *Executor, in program.Instr) (bound, error) {
	size := x.values[in.In[0]].size
	x.values[in.Out[0]].loss = true
	return bound{run: func() {
		v := &x.values[in.Out[0]]
		if len(v.wide) < x.n {
			v.wide = make([]float64, x.n)
		}
		SquaredError(x.team, v.wide[:x.n], nil, x.each(in.In[0]), x.each(in.In[1]), x.wide(in.In[2]), 1, x.n, size)
		y := x.get(in.Out[0])
		for i, l := range v.wide[:x.n] {
			y[i] = float32(l)
		}
	}}, nil
}

func bindSquaredErrorInput(x *Executor, in program.Instr) (bound, error) {
	size := x.values[in.In[0]].size
	return bound{run: func() {
		w := append([]float64(nil), x.wide(in.In[2])...)
		for i, g := range x.wide(in.In[3]) {
			w[i] *= g
		}
		loss := make([]float64, x.n)
		SquaredError(x.team, loss, x.get(in.Out[0]), x.each(in.In[0]), x.each(in.In[1]), w, 1, x.n, size)
	}}, nil
}
