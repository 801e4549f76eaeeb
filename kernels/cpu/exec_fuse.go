package cpu

import (
	"hbar/program"
	"hbar/program/ops"
)

// layer is a dense layer or convolution with what an Epilogue can do after it. Inputs: x, weights, then those of bias, vector
// and residual that it has, and gate. Outputs: y = f(z) + residual, or gate·f(z) + residual, with z = W x + bias + vector, and
// z if Pre.
type layer struct {
	Op               program.Op // ops.Dense or ops.Conv
	Bias             bool
	Vector, Residual bool
	Gated            bool // with a residual, after a dense layer
	Act              ops.Fn
	Pre              bool
}

func (layer) Name() string { return "layer" }

func (l layer) inner() int {
	if l.Bias {
		return 3
	}
	return 2
}

func (l layer) Shapes(in [][]int) ([][]int, error) {
	s, err := l.Op.Shapes(in[:l.inner()])
	if l.Pre {
		s = append(s, s...)
	}
	return s, err
}

func (l layer) Cost(in, out [][]int) program.Cost {
	return l.Op.Cost(in[:l.inner()], out[:1])
}

func (l layer) Reference(in, out []program.Tensor) {
	y := out[0]
	l.Op.Reference(in[:l.inner()], []program.Tensor{y})
	k := l.inner()
	if l.Vector {
		for i := range y.Data {
			y.Data[i] += in[k].Data[i%len(in[k].Data)]
		}
		k++
	}
	if l.Pre {
		copy(out[1].Data, y.Data)
	}
	for i := range y.Data {
		if l.Act != "" {
			y.Data[i] = ops.Unary{Fn: l.Act}.Eval(y.Data[i])
		}
		if l.Gated {
			y.Data[i] *= in[k+1].Data[i%len(in[k+1].Data)]
		}
		if l.Residual {
			y.Data[i] += in[k].Data[i]
		}
	}
}

// slope is dx = g f′(x): inputs g, x.
type slope struct{ Fn ops.Fn }

func (slope) Name() string                       { return "slope" }
func (slope) Shapes(in [][]int) ([][]int, error) { return in[:1], nil }
func (slope) Cost(in, out [][]int) program.Cost  { return ops.Mul{}.Cost(in, out) }
func (s slope) Reference(in, out []program.Tensor) {
	for i, g := range in[0].Data {
		out[0].Data[i] = g * ops.Unary{Fn: s.Fn, Order: 1}.Eval(in[1].Data[i])
	}
}

// fuse returns p with layers in place of dense layers and convolutions with what follows them, where that is used nowhere
// else.
func fuse(p *program.Program) *program.Program {
	b := program.NewBuilder()
	n := len(p.Values)
	f := &fusion{
		p: p, b: b, env: make([]program.Value, n), readers: make([][]int, n), maker: make([]int, n),
		output: make([]bool, n), waiting: map[program.ID]*waiting{}, done: make([]bool, len(p.Instrs)),
	}
	leaf := b.Leaves()
	for i, v := range p.Values {
		f.maker[i] = -1
		if v.Role != program.Derived {
			f.env[i] = leaf(program.ID(i), v)
		}
	}
	for i, in := range p.Instrs {
		for _, id := range in.In {
			f.readers[id] = append(f.readers[id], i)
		}
		for _, id := range in.Out {
			f.maker[id] = i
		}
	}
	for _, o := range p.Outputs {
		f.output[o.ID] = true
	}
	for i := range p.Instrs {
		if !f.done[i] {
			f.instr(i)
		}
	}
	for _, o := range p.Outputs {
		b.Output(o.Name, f.value(o.ID))
	}
	return b.Program()
}

type fusion struct {
	p       *program.Program
	b       *program.Builder
	env     []program.Value
	readers [][]int // instructions, by value
	maker   []int   // the instruction that writes a value, or −1
	output  []bool
	waiting map[program.ID]*waiting
	done    []bool
}

// waiting is a layer that is not emitted yet because its only reader may join it.
type waiting struct {
	layer
	in []program.ID // x, weights, bias, vector
}

// value returns a value, and emits the layer that it is the result of.
func (f *fusion) value(id program.ID) program.Value {
	if w := f.waiting[id]; w != nil {
		delete(f.waiting, id)
		if !w.Vector && !w.Residual && w.Act == "" {
			f.env[id] = f.b.Apply(w.Op, f.values(w.in)...)[0]
		} else {
			f.env[id] = f.b.Apply(w.layer, f.values(w.in)...)[0]
		}
	}
	return f.env[id]
}

func (f *fusion) values(ids []program.ID) []program.Value {
	vs := make([]program.Value, len(ids))
	for i, id := range ids {
		vs[i] = f.value(id)
	}
	return vs
}

// only reports whether a value has one reader and is no output.
func (f *fusion) only(id program.ID) bool { return len(f.readers[id]) == 1 && !f.output[id] }

func (f *fusion) instr(i int) {
	in := f.p.Instrs[i]
	switch op := in.Op.(type) {
	case ops.Dense, ops.Conv:
		if f.p.Values[in.Out[0]].Rate == program.Sample && f.layer(in) {
			return
		}
	case ops.Add:
		if f.add(in) {
			return
		}
	case ops.GatedAdd:
		if f.gated(in) {
			return
		}
	case ops.Mul:
		if f.mul(in) {
			return
		}
	case ops.AttentionInput:
		if f.joined(in) {
			return
		}
	case ops.Unary:
		if op.Order == 1 && f.slopeOnly(in) {
			return // the product with the cotangent computes it
		}
	}
	for k, v := range f.b.Apply(in.Op, f.values(in.In)...) {
		f.env[in.Out[k]] = v
	}
}

// layer takes up a dense layer or convolution.
func (f *fusion) layer(in program.Instr) bool {
	z := in.Out[0]
	if f.p.Values[in.In[0]].Rate != program.Sample || f.p.Values[in.In[1]].Rate == program.Sample {
		return false
	}
	l := layer{Op: in.Op, Bias: len(in.In) == 3}
	for _, r := range f.readers[z] {
		u, ok := f.p.Instrs[r].Op.(ops.Unary)
		if !ok || u.Order != 0 {
			continue
		}
		if _, err := activation(u.Fn); err != nil {
			continue
		}
		l.Act, l.Pre = u.Fn, !f.only(z)
		out := f.b.Apply(l, f.values(in.In)...)
		f.env[f.p.Instrs[r].Out[0]] = out[0]
		if l.Pre {
			f.env[z] = out[1]
		}
		f.done[r] = true
		return true
	}
	if !f.only(z) {
		return false
	}
	f.waiting[z] = &waiting{l, in.In}
	return true
}

// add lets a layer that waits take the other term.
func (f *fusion) add(in program.Instr) bool {
	for k, id := range in.In {
		w := f.waiting[id]
		if w == nil || w.Residual || in.In[0] == in.In[1] {
			continue
		}
		other := in.In[1-k]
		have, want := f.p.Values[other], f.p.Values[in.Out[0]]
		switch {
		case program.SameShape(have.Shape, want.Shape) && have.Rate == program.Sample:
			w.Residual = true
		case len(have.Shape) == 1 && have.Shape[0] == lastDim(want.Shape) && len(want.Shape) > 1 && have.Rate > program.Constant && !w.Vector:
			w.Vector = true
		default:
			continue
		}
		f.value(other)
		delete(f.waiting, id)
		w.in = append(append([]program.ID(nil), w.in...), other)
		f.waiting[in.Out[0]] = w
		if !f.only(in.Out[0]) {
			f.value(in.Out[0])
		}
		return true
	}
	return false
}

// gated lets a dense layer that waits take a gate and the residual.
func (f *fusion) gated(in program.Instr) bool {
	x, gate, z := in.In[0], in.In[1], in.In[2]
	w := f.waiting[z]
	if w == nil || w.Residual || x == z || f.p.Values[x].Rate != program.Sample {
		return false
	}
	if _, ok := w.Op.(ops.Dense); !ok {
		return false
	}
	f.values(in.In[:2])
	delete(f.waiting, z)
	w.Residual, w.Gated = true, true
	w.in = append(append([]program.ID(nil), w.in...), x, gate)
	f.env[in.Out[0]] = f.b.Apply(w.layer, f.values(w.in)...)[0]
	return true
}

// slopeOnly reports whether the derivative of an activation is read by one product with an array of its shape only.
func (f *fusion) slopeOnly(in program.Instr) bool {
	d := in.Out[0]
	if _, err := activation(in.Op.(ops.Unary).Fn); err != nil || !f.only(d) {
		return false
	}
	r := f.p.Instrs[f.readers[d][0]]
	_, ok := r.Op.(ops.Mul)
	return ok && r.In[0] != r.In[1] && program.SameShape(f.p.Values[r.In[0]].Shape, f.p.Values[r.In[1]].Shape)
}

// mul emits a product with the derivative of an activation.
func (f *fusion) mul(in program.Instr) bool {
	for k, id := range in.In {
		if f.maker[id] < 0 {
			continue
		}
		d := f.p.Instrs[f.maker[id]]
		u, ok := d.Op.(ops.Unary)
		if !ok || u.Order != 1 || !f.slopeOnly(d) {
			continue
		}
		f.env[in.Out[0]] = f.b.Apply(slope{u.Fn}, f.value(in.In[1-k]), f.value(d.In[0]))[0]
		return true
	}
	return false
}

func bindLayer(x *Executor, in program.Instr) (bound, error) {
	l := in.Op.(layer)
	inner := program.Instr{Op: l.Op, In: in.In[:l.inner()], Out: in.Out[:1]}
	act, err := activation(l.Act)
	if err != nil {
		return bound{}, err
	}
	cols, rows := lastDim(x.shape(in.Out[0])), x.rows(in.Out[0])
	more := func(e *Epilogue) {
		e.Act = act
		k := l.inner()
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
	}
	if _, ok := l.Op.(ops.Conv); ok {
		return x.conv(inner, more)
	}
	return x.dense(inner, more), nil
}

func bindSlope(x *Executor, in program.Instr) (bound, error) {
	act, err := activation(in.Op.(slope).Fn)
	return bound{run: func() {
		ActivateGrad(x.team, act, x.get(in.Out[0]), x.each(in.In[0]), x.each(in.In[1]))
	}}, err
}
