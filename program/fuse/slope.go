package fuse

import (
	"hbar/program"
	"hbar/program/ops"
)

// Slope is dx = g f′(x): inputs g, x.
type Slope struct{ Fn ops.Fn }

func (Slope) Name() string                       { return "slope" }
func (Slope) Shapes(in [][]int) ([][]int, error) { return in[:1], nil }
func (Slope) Cost(in, out [][]int) program.Cost  { return ops.Mul{}.Cost(in, out) }
func (s Slope) Reference(in, out []program.Tensor) {
	for i, g := range in[0].Data {
		out[0].Data[i] = g * ops.Unary{Fn: s.Fn, Order: 1}.Eval(in[1].Data[i])
	}
}

// DenseInputTimes is dx = d∘(g W), the cotangent of a dense layer's input times the derivative d of the activation that
// made this input: inputs g, W, d.
type DenseInputTimes struct{}

func (DenseInputTimes) Name() string { return "dense_input_times" }
func (DenseInputTimes) Shapes(in [][]int) ([][]int, error) {
	return ops.DenseInput{}.Shapes(in[:2])
}
func (DenseInputTimes) Cost(in, out [][]int) program.Cost { return ops.DenseInput{}.Cost(in[:2], out) }
func (DenseInputTimes) Reference(in, out []program.Tensor) {
	ops.DenseInput{}.Reference(in[:2], out)
	for i, d := range in[2].Data {
		out[0].Data[i] *= d
	}
}

// slopeOnly reports whether the derivative of an activation is read by one product with an array of its shape only.
func (f *fusion) slopeOnly(in program.Instr) bool {
	d := in.Out[0]
	if !activation(in.Op.(ops.Unary).Fn) || !f.only(d) {
		return false
	}
	r := f.p.Instrs[f.readers[d][0]]
	_, ok := r.Op.(ops.Mul)
	if ok && r.In[1] == d && f.maker[r.In[0]] >= 0 { // of two derivatives the product computes the first
		other := f.p.Instrs[f.maker[r.In[0]]]
		if u, is := other.Op.(ops.Unary); is && u.Order == 1 && r.In[0] != d && f.slopeOnly(other) {
			return false
		}
	}
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
		if !ok || u.Order != 1 || !f.slopeOnly(d) || f.done[f.maker[id]] {
			continue
		}
		f.env[in.Out[0]] = f.b.Apply(Slope{u.Fn}, f.value(in.In[1-k]), f.value(d.In[0]))[0]
		return true
	}
	return false
}

// keptSlope is the instruction that computes the derivative of the activation fn of a dense layer's result z, if z has no
// other readers than it and the activation, or −1. The layer then stores the derivative, which shares most of its
// arithmetic with the activation, in place of z.
func (f *fusion) keptSlope(in program.Instr, fn ops.Fn) int {
	z := in.Out[0]
	if _, ok := in.Op.(ops.Dense); !f.keepSlopes || !ok || f.output[z] || len(f.readers[z]) != 2 {
		return -1
	}
	for _, r := range f.readers[z] {
		d := f.p.Instrs[r]
		if u, ok := d.Op.(ops.Unary); ok && u.Fn == fn && u.Order == 1 && f.slopeOnly(d) {
			return r
		}
	}
	return -1
}

// timesSlope emits the cotangent of a dense layer's input together with its product with a derivative that is there
// already, if nothing else reads the cotangent.
func (f *fusion) timesSlope(in program.Instr) bool {
	r := f.reader(in.Out[0])
	if r < 0 || f.p.Values[in.In[0]].Rate != program.Sample || f.p.Values[in.In[1]].Rate == program.Sample {
		return false
	}
	mul := f.p.Instrs[r]
	if _, ok := mul.Op.(ops.Mul); !ok {
		return false
	}
	for k, id := range mul.In {
		other := mul.In[1-k]
		if id != in.Out[0] || f.maker[other] < 0 || !f.done[f.maker[other]] {
			continue
		}
		d := f.p.Instrs[f.maker[other]]
		if u, ok := d.Op.(ops.Unary); !ok || u.Order != 1 || f.env[other] == nil {
			continue
		}
		f.env[mul.Out[0]] = f.b.Apply(DenseInputTimes{}, append(f.values(in.In), f.env[other])...)[0]
		f.done[r] = true
		return true
	}
	return false
}
