package cpu

import (
	"fmt"
	"slices"

	"hbar/kernels/simd"
	"hbar/program"
	"hbar/program/ops"
)

// activation is the routines' name of a function.
func activation(f ops.Fn) (simd.Act, error) {
	switch f {
	case "":
		return simd.Identity, nil
	case ops.SiLU:
		return simd.SiLU, nil
	case ops.GELU:
		return simd.GELU, nil
	case ops.GELUTanh:
		return simd.GELUTanh, nil
	case ops.Tanh:
		return simd.Tanh, nil
	}
	return 0, fmt.Errorf("the activation %q has no routine", f)
}

// groupNorm is the routine for a group norm of n samples with inputs x, weight, bias.
func (x *Executor) groupNorm(op ops.GroupNorm, in program.Instr) (*GroupNorm, error) {
	act, err := activation(op.Act)
	s := x.shape(in.In[0])
	return &GroupNorm{P: x.rows(in.In[0]), C: lastDim(s), Groups: op.Groups, Eps: op.Eps, Act: act}, err
}

// load sets the fields that depend on the block.
func (x *Executor) load(g *GroupNorm, in program.Instr) {
	g.N, g.Weight, g.Bias = x.n, x.get(in.In[1]), x.get(in.In[2])
}

// statistics of a group norm, which its instruction leaves for those of the gradients.
type statistic struct {
	s     []float32
	given bool // a group norm of the program computes them
}

// statistics finds those that instructions share: those of equal first three inputs and attributes.
func (x *Executor) statistics(op ops.GroupNorm, in program.Instr) *statistic {
	key := fmt.Sprint(in.In[:3], op)
	if x.stats == nil {
		x.stats = map[string]*statistic{}
	}
	if x.stats[key] == nil {
		x.stats[key] = new(statistic)
	}
	return x.stats[key]
}

// room returns memory for the statistics of a block.
func (s *statistic) room(g *GroupNorm) []float32 {
	if cap(s.s) < g.StatsLen() {
		s.s = make([]float32, g.StatsLen())
	}
	s.s = s.s[:g.StatsLen()]
	return s.s
}

func bindGroupNorm(x *Executor, in program.Instr) (bound, error) {
	op := in.Op.(ops.GroupNorm)
	g, err := x.groupNorm(op, in)
	stats := x.statistics(op, in)
	stats.given = true
	return bound{run: func() {
		x.load(g, in)
		g.Forward(x.team, x.get(in.Out[0]), x.each(in.In[0]), stats.room(g))
	}}, err
}

func bindGroupNormInput(x *Executor, in program.Instr) (bound, error) {
	op := in.Op.(ops.GroupNormInput).Of
	g, err := x.groupNorm(op, in)
	stats := x.statistics(op, in)
	var params *program.Instr // the gradients of weight and bias, from the same pass
	for i := range x.steps {
		s := &x.steps[i]
		if p, ok := s.Op.(ops.GroupNormParams); ok && p.Of == op && slices.Equal(s.In, in.In) {
			params, s.skipped = &s.Instr, true
		}
	}
	return bound{run: func() {
		x.load(g, in)
		v, dy := x.each(in.In[0]), x.each(in.In[3])
		x.fresh(g, stats, v)
		o := GroupNormGrad{DX: x.get(in.Out[0]), Accumulate: x.accumulate}
		if params != nil {
			o.DWeight, o.DBias = x.get(params.Out[0]), x.get(params.Out[1])
		}
		g.Backward(x.team, o, dy, v, stats.s)
	}}, err
}

// fresh computes the statistics if no group norm of the program does.
func (x *Executor) fresh(g *GroupNorm, stats *statistic, v []float32) {
	if !stats.given {
		g.Forward(x.team, x.scratch(len(v)), v, stats.room(g))
	}
}

// scratch is memory for the run of one instruction.
func (x *Executor) scratch(n int) []float32 {
	if len(x.temp) < n {
		x.temp = aligned(n)
	}
	return x.temp[:n]
}

func bindGroupNormParams(x *Executor, in program.Instr) (bound, error) {
	op := in.Op.(ops.GroupNormParams).Of
	g, err := x.groupNorm(op, in)
	stats := x.statistics(op, in)
	return bound{run: func() {
		x.load(g, in)
		v, dy := x.each(in.In[0]), x.each(in.In[3])
		x.fresh(g, stats, v)
		dx := x.scratch(len(v))
		g.Backward(x.team, GroupNormGrad{DX: dx, DWeight: x.get(in.Out[0]), DBias: x.get(in.Out[1]), Accumulate: x.accumulate}, dy, v, stats.s)
	}}, err
}

func bindLayerNorm(x *Executor, in program.Instr) (bound, error) {
	l := x.layerNorm(in.Op.(ops.LayerNorm).Eps, in)
	return bound{run: func() {
		l.N = x.n
		if len(in.In) == 3 {
			l.Shift, l.Scale = x.each(in.In[1]), x.each(in.In[2])
		}
		l.Forward(x.team, x.get(in.Out[0]), x.each(in.In[0]))
	}}, nil
}

func (x *Executor) layerNorm(eps float64, in program.Instr) *LayerNorm {
	return &LayerNorm{P: x.rows(in.In[0]), C: lastDim(x.shape(in.In[0])), Eps: eps}
}

func bindLayerNormInput(x *Executor, in program.Instr) (bound, error) {
	l := x.layerNorm(in.Op.(ops.LayerNormInput).Eps, in)
	sums := len(in.In) == 3 && (x.read(in.Out[1]) || x.read(in.Out[2]))
	return bound{run: func() {
		l.N = x.n
		o := LayerNormGrad{DX: x.get(in.Out[0])}
		if len(in.In) == 3 {
			l.Scale = x.each(in.In[1])
			l.Shift = l.Scale // the gradients do not depend on it
			if sums {
				o.DShift, o.DScale = x.get(in.Out[1]), x.get(in.Out[2])
			}
		}
		l.Backward(x.team, o, x.each(in.In[len(in.In)-1]), x.each(in.In[0]))
	}}, nil
}

func (x *Executor) rmsNorm(op ops.RMSNorm, in program.Instr) *RMSNorm {
	return &RMSNorm{P: x.rows(in.In[0]), C: lastDim(x.shape(in.In[0])), Eps: op.Eps}
}

func bindRMSNorm(x *Executor, in program.Instr) (bound, error) {
	l := x.rmsNorm(in.Op.(ops.RMSNorm), in)
	return bound{run: func() {
		l.N, l.Weight = x.n, x.each(in.In[1])
		l.Forward(x.team, x.get(in.Out[0]), x.each(in.In[0]))
	}}, nil
}

func bindRMSNormInput(x *Executor, in program.Instr) (bound, error) {
	l := x.rmsNorm(in.Op.(ops.RMSNormInput).Of, in)
	return bound{run: func() {
		l.N, l.Weight = x.n, x.each(in.In[1])
		l.Backward(x.team, x.get(in.Out[0]), x.get(in.Out[1]), x.each(in.In[2]), x.each(in.In[0]))
	}}, nil
}

func bindSoftmax(x *Executor, in program.Instr) (bound, error) {
	rows, c := x.rows(in.In[0]), lastDim(x.shape(in.In[0]))
	return bound{run: func() { Softmax(x.team, x.get(in.Out[0]), x.get(in.In[0]), x.n*rows, c) }}, nil
}

func bindLogSumExp(x *Executor, in program.Instr) (bound, error) {
	rows, c := x.rows(in.In[0]), lastDim(x.shape(in.In[0]))
	return bound{run: func() { LogSumExp(x.team, x.get(in.Out[0]), x.get(in.In[0]), x.n*rows, c) }}, nil
}
