// Package fuse finds patterns that back ends run as one kernel: a product with the bias, activation, residual and gate after it, a
// cotangent through an activation, the three cotangents of an attention. And it has what the backward pass needs again stored by the forward pass, and replaces
// operations that a back end has no kernel for by their fallbacks.
package fuse

import (
	"slices"

	"hbar/program"
	"hbar/program/ops"
)

// Layer is a dense layer or convolution with what an Epilogue can do after it. Inputs: x, weights, then those of bias, vector
// and residual that it has, and gate. Outputs: y = f(z) + residual, or gate·f(z) + residual, with z = W x + bias + vector, and
// z if Pre, or f′(z) if Slope.
type Layer struct {
	Op               program.Op // ops.Dense or ops.Conv
	Bias             bool
	Vector, Residual bool
	Gated            bool // with a residual, after a dense layer
	Act              ops.Fn
	Pre              bool
	Slope            bool // of a dense layer with an activation and nothing after it; only with KeepSlopes
}

func (Layer) Name() string { return "layer" }

// Inner is the number of inputs of Op.
func (l Layer) Inner() int {
	if l.Bias {
		return 3
	}
	return 2
}

func (l Layer) Shapes(in [][]int) ([][]int, error) {
	s, err := l.Op.Shapes(in[:l.Inner()])
	if l.Pre || l.Slope {
		s = append(s, s...)
	}
	return s, err
}

func (l Layer) Cost(in, out [][]int) program.Cost {
	return l.Op.Cost(in[:l.Inner()], out[:1])
}

func (l Layer) Reference(in, out []program.Tensor) {
	y := out[0]
	l.Op.Reference(in[:l.Inner()], []program.Tensor{y})
	k := l.Inner()
	if l.Vector {
		for i := range y.Data {
			y.Data[i] += in[k].Data[i%len(in[k].Data)]
		}
		k++
	}
	if l.Pre {
		copy(out[1].Data, y.Data)
	}
	if l.Slope {
		for i, z := range y.Data {
			out[1].Data[i] = ops.Unary{Fn: l.Act, Order: 1}.Eval(z)
		}
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

// Program returns p with layers in place of dense layers and convolutions with what follows them, where that is used nowhere
// else.
func Program(p *program.Program, with ...Pattern) *program.Program {
	b := program.NewBuilder()
	n := len(p.Values)
	f := &fusion{
		p: p, b: b, env: make([]program.Value, n), readers: make([][]int, n), maker: make([]int, n),
		output: make([]bool, n), waiting: map[program.ID]*waiting{}, done: make([]bool, len(p.Instrs)),
		keepSlopes: slices.Contains(with, KeepSlopes), backward: map[int][]int{}, probabilities: map[int]program.Value{},
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
	if slices.Contains(with, KeepProbabilities) {
		f.keepProbabilities()
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

	keepSlopes    bool
	backward      map[int][]int         // of an attention whose probabilities are kept, its backward passes
	probabilities map[int]program.Value // what is kept, by backward pass
}

// waiting is a layer that is not emitted yet because its only reader may join it.
type waiting struct {
	Layer
	in []program.ID // x, weights, bias, vector
}

// value returns a value, and emits the layer that it is the result of.
func (f *fusion) value(id program.ID) program.Value {
	if w := f.waiting[id]; w != nil {
		delete(f.waiting, id)
		if !w.Vector && !w.Residual && w.Act == "" {
			f.env[id] = f.b.Apply(w.Op, f.values(w.in)...)[0]
		} else {
			f.env[id] = f.b.Apply(w.Layer, f.values(w.in)...)[0]
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
	case ops.Attention:
		if f.keeps(i, in) {
			return
		}
	case ops.AttentionInput:
		if f.attentionInput(i, in) {
			return
		}
	case ops.DenseInput:
		if f.timesSlope(in) {
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
	l := Layer{Op: in.Op, Bias: len(in.In) == 3}
	for _, r := range f.readers[z] {
		u, ok := f.p.Instrs[r].Op.(ops.Unary)
		if !ok || u.Order != 0 {
			continue
		}
		if !activation(u.Fn) {
			continue
		}
		slope := f.keptSlope(in, u.Fn)
		l.Act, l.Slope, l.Pre = u.Fn, slope >= 0, slope < 0 && !f.only(z)
		out := f.b.Apply(l, f.values(in.In)...)
		f.env[f.p.Instrs[r].Out[0]] = out[0]
		switch {
		case l.Slope:
			f.env[f.p.Instrs[slope].Out[0]] = out[1]
			f.done[slope] = true
		case l.Pre:
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
		if !program.SameShape(f.p.Values[id].Shape, want.Shape) {
			continue // the layer's result is broadcast to the other term, which a layer does not do
		}
		switch {
		case program.SameShape(have.Shape, want.Shape) && have.Rate == program.Sample:
			w.Residual = true
		case len(have.Shape) == 1 && have.Shape[0] == last(want.Shape) && len(want.Shape) > 1 && have.Rate > program.Constant && !w.Vector:
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
	f.env[in.Out[0]] = f.b.Apply(w.Layer, f.values(w.in)...)[0]
	return true
}

// activation reports whether a function may follow a product.
func activation(f ops.Fn) bool {
	return f == ops.SiLU || f == ops.GELU || f == ops.GELUTanh || f == ops.Tanh
}

func last(shape []int) int {
	if len(shape) == 0 {
		return 1
	}
	return shape[len(shape)-1]
}
