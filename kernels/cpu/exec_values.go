package cpu

import (
	"errors"
	"reflect"

	"hbar/program"
	"hbar/program/ops"
)

// array is a value of the block that runs, as rows of its last dimension.
type array struct {
	s    []float32
	cols int
	ld   int // from one row to the next
}

// array returns a value, which may be a view.
func (x *Executor) array(id program.ID) array {
	v := &x.values[id]
	cols := lastDim(v.Shape)
	if v.view == nil {
		return array{v.s, cols, cols}
	}
	of := x.array(v.view.of)
	if v.view.ld == 0 { // another shape
		return array{of.s, cols, cols}
	}
	return array{of.s[v.view.lo:], cols, of.ld}
}

// get returns a value that is no view of columns, for n samples or one for all.
func (x *Executor) get(id program.ID) []float32 {
	a := x.array(id)
	if a.ld != a.cols {
		panic("cpu: a view is used as an array")
	}
	return a.s
}

// each returns a value with one array for each of the block's samples: that of all samples is copied.
func (x *Executor) each(id program.ID) []float32 {
	s := x.get(id)
	if v := &x.values[id]; v.Rate == program.Sample || x.n == 1 {
		return s
	}
	size := x.values[id].size
	c := make([]float32, 0, x.n*size)
	for range x.n {
		c = append(c, s[:size]...)
	}
	return c
}

// wide returns a scalar for each of the block's samples in float64.
func (x *Executor) wide(id program.ID) []float64 {
	v := &x.values[id]
	if v.Role == program.Input {
		if v.Rate == program.Sample || x.n == 1 {
			return v.wide[:x.n]
		}
		w := make([]float64, x.n)
		for i := range w {
			w[i] = v.wide[0]
		}
		return w
	}
	w := make([]float64, x.n)
	for i, f := range x.each(id)[:x.n] {
		w[i] = float64(f)
	}
	return w
}

func lastDim(shape []int) int {
	if len(shape) == 0 {
		return 1
	}
	return shape[len(shape)-1]
}

// rows of the last dimension in one sample of a value.
func (x *Executor) rows(id program.ID) int {
	v := &x.values[id]
	return v.size / max(1, lastDim(v.Shape))
}

func (x *Executor) shape(id program.ID) []int { return x.values[id].Shape }

// constant reports whether a value changes only when parameters do.
func (x *Executor) constant(id program.ID) bool { return x.values[id].Rate == program.Constant }

// findViews finds the values that need no memory of their own: other shapes of a value, and channels that only readers of
// strided rows use.
func (x *Executor) findViews() {
	readers := map[program.ID][]program.Instr{}
	for _, in := range x.prog.Instrs {
		for _, id := range in.In {
			readers[id] = append(readers[id], in)
		}
	}
	output := map[program.ID]bool{}
	for _, o := range x.prog.Outputs {
		output[o.ID] = true
	}
	for i := range x.steps {
		s := &x.steps[i]
		if len(s.In) == 0 || len(s.Out) != 1 {
			continue
		}
		in, out := s.In[0], s.Out[0]
		if x.values[in].Rate != x.values[out].Rate || x.values[out].own {
			continue
		}
		switch op := s.Op.(type) {
		case program.Reshaper:
			if v := x.values[in].view; v != nil && v.ld != 0 {
				continue
			}
			x.values[out].view = &view{of: in}
			s.skipped = true
		case ops.Slice:
			if output[out] || !x.strided(readers[out], out) {
				continue
			}
			x.values[out].view = &view{in, op.Lo, lastDim(x.shape(in))}
			s.skipped = true
		}
	}
}

// strided reports whether all readers of a value take rows with a stride.
func (x *Executor) strided(readers []program.Instr, id program.ID) bool {
	for _, in := range readers {
		switch in.Op.(type) {
		case ops.Attention, ops.AttentionInput, ops.AttentionTangent:
		default:
			return false
		}
	}
	return len(readers) > 0
}

// supported returns p with ops that have no routine replaced by their fallbacks.
func supported(p *program.Program) (*program.Program, error) {
	all := true
	for _, in := range p.Instrs {
		if _, ok := table[reflect.TypeOf(in.Op)]; !ok {
			all = false
		}
	}
	if all {
		return p, nil
	}
	return program.Build(func(b *program.Builder) {
		env := program.Inline(replacer{b}, p, b.Leaves())
		for _, o := range p.Outputs {
			b.Output(o.Name, env[o.ID])
		}
	})
}

// replacer emits fallbacks in place of ops without a routine.
type replacer struct{ *program.Builder }

func (r replacer) Apply(op program.Op, in ...program.Value) []program.Value {
	if _, ok := table[reflect.TypeOf(op)]; ok {
		return r.Builder.Apply(op, in...)
	}
	f, ok := op.(program.Fused)
	if !ok {
		panic(&program.Error{Op: op.Name(), Err: errors.New("the CPU has no routine for it")})
	}
	return f.Fallback(r, in)
}
