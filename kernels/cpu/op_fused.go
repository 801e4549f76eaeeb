package cpu

import (
	"hbar/program"
	"hbar/program/fuse"
	"hbar/program/ops"
)

func bindLayer(x *Executor, in program.Instr) (bound, error) {
	l := in.Op.(fuse.Layer)
	inner := program.Instr{Op: l.Op, In: in.In[:l.Inner()], Out: in.Out[:1]}
	act, err := activation(l.Act)
	if err != nil {
		return bound{}, err
	}
	cols, rows := lastDim(x.shape(in.Out[0])), x.rows(in.Out[0])
	more := func(e *Epilogue) {
		e.Act = act
		k := l.Inner()
		if l.Vector {
			e.SampleBias, e.SampleLd, e.SampleRows = x.each(in.In[k]), cols, rows
			k++
		}
		if l.Residual {
			e.Residual, e.ResidualLd = x.each(in.In[k]), cols
			k++
		}
		if l.Gated {
			e.Gate, e.GateLd, e.SampleRows = x.each(in.In[k]), cols, rows
		}
		if l.Pre {
			e.Pre, e.PreLd = x.get(in.Out[1]), cols
		}
		if l.Slope {
			e.Slope = x.get(in.Out[1])
		}
	}
	if _, ok := l.Op.(ops.Conv); ok {
		return x.conv(inner, more)
	}
	return x.dense(inner, more), nil
}

func bindSlope(x *Executor, in program.Instr) (bound, error) {
	act, err := activation(in.Op.(fuse.Slope).Fn)
	return bound{run: func() {
		ActivateGrad(x.team, act, x.get(in.Out[0]), x.each(in.In[0]), x.each(in.In[1]))
	}}, err
}

func bindJoinedAttention(x *Executor, in program.Instr) (bound, error) {
	op := in.Op.(fuse.JoinedAttention)
	a := x.attention(op.Of, in.In[0], in.In[1])
	return bound{run: func() {
		a.N = x.n
		h := x.allHeads(in.In[:4])
		y := x.get(in.Out[0])
		var d [3]Heads
		for i, lo := range op.Lo {
			d[i] = Heads{S: y[lo:], Row: op.Channels, Sample: a.TQ * op.Channels}
		}
		if op.Kept {
			a.BackwardKept(x.team, d[0], d[1], d[2], h[3], h[0], h[1], h[2], x.get(in.In[4]))
			return
		}
		a.Backward(x.team, d[0], d[1], d[2], h[3], h[0], h[1], h[2])
	}}, nil
}

func bindDenseInputTimes(x *Executor, in program.Instr) (bound, error) {
	return x.denseInput(in, func() []float32 { return x.each(in.In[2]) }), nil
}
