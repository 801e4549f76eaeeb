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
	return x.attentionInput(op.Of, in, func(a *Attention) []Heads {
		y := x.get(in.Out[0])
		var d []Heads
		for _, lo := range op.Lo {
			d = append(d, Heads{S: y[lo:], Row: op.Channels, Sample: a.TQ * op.Channels})
		}
		return d
	}), nil
}

func bindDenseInputTimes(x *Executor, in program.Instr) (bound, error) {
	return x.denseInput(in, func() []float32 { return x.each(in.In[2]) }), nil
}
