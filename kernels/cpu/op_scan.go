package cpu

import (
	"hbar/program"
	"hbar/program/ops"
)

// scan is the routine for a recurrence with the inputs λ and u.
func (x *Executor) scan(op ops.Scan, in program.Instr) *Scan {
	s := x.shape(in.In[1])
	return &Scan{T: s[0], Modes: s[1] / 2, Adjoint: op.Adjoint, EachLambda: x.values[in.In[0]].Rate == program.Sample}
}

func bindScan(x *Executor, in program.Instr) (bound, error) {
	s := x.scan(in.Op.(ops.Scan), in)
	return bound{run: func() {
		s.N = x.n
		s.Forward(x.team, x.get(in.Out[0]), x.get(in.In[0]), x.each(in.In[1]))
	}}, nil
}

func bindScanInput(x *Executor, in program.Instr) (bound, error) {
	s := x.scan(in.Op.(ops.ScanInput).Of, in)
	return bound{run: func() {
		s.N = x.n
		s.Backward(x.team, x.get(in.Out[0]), x.get(in.Out[1]), x.get(in.In[0]), x.each(in.In[1]), x.each(in.In[2]))
	}}, nil
}
