package graph

import (
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"io"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"hbar/program"
	"hbar/program/ops"
)

// emitter emits the operations of programs as the nodes of a Gorgonia graph. It implements program.Emitter, so the rules of
// the operations serve Gorgonia's differentiation as they are.
//
// A value of rate Sample is a node whose first dimension is the batch; the others have the shape of the program. The empty
// shape is a scalar.
type emitter struct {
	graph *gorgonia.ExprGraph
	batch int
	nodes map[*gorgonia.Node]*value
	back  bool // what is emitted belongs to a derivative
}

func newEmitter(batch int) *emitter {
	return &emitter{graph: gorgonia.NewGraph(), batch: batch, nodes: map[*gorgonia.Node]*value{}}
}

// value is a node as a value of a program.
type value struct {
	node  *gorgonia.Node
	shape []int
	rate  program.Rate
	// made by this operation, as this output; nil for inputs, parameters and what Gorgonia adds
	op     *operation
	output int
}

func (v *value) Shape() []int       { return v.shape }
func (v *value) Rate() program.Rate { return v.rate }

// tensorShape is the shape of a node.
func (b *emitter) tensorShape(shape []int, rate program.Rate) tensor.Shape {
	s := tensor.Shape{}
	if rate == program.Sample {
		s = append(s, b.batch)
	}
	s = append(s, shape...)
	if len(s) == 0 {
		return tensor.ScalarShape()
	}
	return s
}

// typeOf is the type of a node. It is a new one on every call: Gorgonia recycles what Type returns.
func typeOf(s tensor.Shape) hm.Type {
	if s.IsScalar() {
		return tensor.Float32
	}
	return gorgonia.TensorType{Dims: len(s), Of: tensor.Float32}
}

// leaf adds an input or parameter.
func (b *emitter) leaf(v program.Info) *value {
	s := b.tensorShape(v.Shape, v.Rate)
	n := gorgonia.NewTensor(b.graph, tensor.Float32, len(s), gorgonia.WithShape(s...), gorgonia.WithName(v.Name))
	w := &value{node: n, shape: v.Shape, rate: v.Rate}
	b.nodes[n] = w
	return w
}

// failure is the panic of a node that Gorgonia refuses.
type failure struct{ error }

// Apply implements program.Emitter. An operation without a rule for cotangents, which gorgonia.Grad would ask it for, is written
// with plainer ones, as program/diff does.
func (b *emitter) Apply(op program.Op, in ...program.Value) []program.Value {
	if _, ok := op.(program.VJP); !ok && !b.back {
		if f, ok := op.(program.Fused); ok {
			return f.Fallback(b, in)
		}
	}
	o := &operation{b: b, op: op, back: b.back}
	shapes := make([][]int, len(in))
	nodes := make([]*gorgonia.Node, len(in))
	rates := make([]program.Rate, len(in))
	for i, v := range in {
		w := v.(*value)
		o.in = append(o.in, w)
		shapes[i], nodes[i], rates[i] = w.shape, w.node, w.rate
	}
	outs, err := op.Shapes(shapes)
	if err != nil {
		panic(&program.Error{Op: op.Name(), Shapes: shapes, Err: err})
	}
	rate := program.OutputRate(op, rates)
	for _, s := range outs {
		o.out = append(o.out, &value{shape: s, rate: rate})
	}
	if len(in) == 0 {
		panic(failure{fmt.Errorf("graph: %s has no inputs, which Gorgonia's operations need", op.Name())})
	}
	n, err := gorgonia.ApplyOp(o, nodes...)
	if err != nil {
		panic(failure{fmt.Errorf("graph: %s: %w", op.Name(), err)})
	}
	if old := b.nodes[n]; old != nil { // Gorgonia has merged it with an equal one
		return old.op.results()
	}
	o.out[0].node, o.out[0].op = n, o
	b.nodes[n] = o.out[0]
	for i, v := range o.out[1:] {
		p, err := gorgonia.ApplyOp(&pick{o, i + 1}, n)
		if err != nil {
			panic(failure{fmt.Errorf("graph: output %d of %s: %w", i+1, op.Name(), err)})
		}
		v.node, v.op, v.output = p, o, i+1
		b.nodes[p] = v
	}
	return o.results()
}

// operation is an operation of a program as a gorgonia.Op. Its node is its first output; the others are pick nodes.
type operation struct {
	b       *emitter
	op      program.Op
	in, out []*value
	back    bool
	data    [][]float32 // results of Do, and the tensors over them
	values  []gorgonia.Value
}

var _ gorgonia.SDOp = (*operation)(nil)

func (o *operation) results() []program.Value {
	vs := make([]program.Value, len(o.out))
	for i, v := range o.out {
		vs[i] = v
	}
	return vs
}

func (o *operation) Arity() int           { return len(o.in) }
func (o *operation) ReturnsPtr() bool     { return true }
func (o *operation) CallsExtern() bool    { return false }
func (o *operation) OverwritesInput() int { return -1 }
func (o *operation) String() string       { return o.op.Name() }

func (o *operation) Type() hm.Type {
	ts := make([]hm.Type, 0, len(o.in)+1)
	for _, v := range o.in {
		ts = append(ts, typeOf(o.b.tensorShape(v.shape, v.rate)))
	}
	return hm.NewFnType(append(ts, typeOf(o.shape(0)))...)
}

func (o *operation) shape(output int) tensor.Shape {
	return o.b.tensorShape(o.out[output].shape, o.out[output].rate)
}

func (o *operation) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) { return o.shape(0), nil }

// WriteHash writes everything in which operations can differ: Gorgonia merges nodes of equal hash and inputs.
func (o *operation) WriteHash(h hash.Hash) { o.writeHash(h, 0) }

func (o *operation) writeHash(h io.Writer, output int) {
	fmt.Fprintf(h, "hbar %s %d", program.Key(o.op), output)
	for _, v := range o.in {
		fmt.Fprintf(h, " %v %d", v.shape, v.rate)
	}
}

func (o *operation) Hashcode() uint32 { return hashcode(o) }

func hashcode(o gorgonia.Op) uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

// DiffWRT implements SDOp. Operations of a derivative have none themselves: higher ones are transforms of programs.
func (o *operation) DiffWRT(n int) []bool {
	d := make([]bool, n)
	_, vjp := o.op.(program.VJP)
	for i := range d {
		d[i] = !o.back && vjp
	}
	return d
}

// SymDiff emits the rule of the operation. What a rule leaves out is zero; a cotangent that the samples have each is summed
// over the batch for an input that they share.
func (o *operation) SymDiff(_ gorgonia.Nodes, _, grad *gorgonia.Node) (nodes gorgonia.Nodes, err error) {
	if o.back {
		return nil, fmt.Errorf("graph: %s is part of a derivative and has none itself", o.op.Name())
	}
	rule, ok := o.op.(program.VJP)
	if !ok {
		return nil, fmt.Errorf("graph: %s has no rule for its gradient", o.op.Name())
	}
	defer recovered(&err)
	o.b.back = true
	in := make([]program.Value, len(o.in))
	want := make([]bool, len(o.in))
	for i, v := range o.in {
		in[i], want[i] = v, true
	}
	g := o.b.cotangent(grad, o.out[0])
	for i, d := range rule.VJP(o.b, in, o.out[0], g, want) {
		nodes = append(nodes, o.b.fitted(d, o.in[i]).node)
	}
	return nodes, nil
}

// recovered turns the panics of building into errors.
func recovered(err *error) {
	switch r := recover().(type) {
	case nil:
	case *program.Error:
		*err = r
	case failure:
		*err = r.error
	default:
		panic(r)
	}
}

// cotangent is a node that Gorgonia made as a value: it has the shape of the value whose cotangent it is.
func (b *emitter) cotangent(n *gorgonia.Node, of *value) *value {
	if v := b.nodes[n]; v != nil {
		return v
	}
	v := &value{node: n, shape: of.shape, rate: max(of.rate, program.Step)}
	b.nodes[n] = v
	return v
}

// fitted gives a cotangent the rate of the value; nil is zero.
func (b *emitter) fitted(d program.Value, of *value) *value {
	zero := func() program.Value { return ops.Affine(b, 0, 0, of) }
	switch {
	case d == nil:
		d = zero()
	case d.Rate() == program.Sample && of.rate < program.Sample:
		d = b.Apply(ops.SumBatch{}, d)[0]
	case d.Rate() < program.Sample && of.rate == program.Sample:
		d = ops.Sum(b, zero(), d)
	}
	return d.(*value)
}

// Do computes the operation by its reference, in float64, for Gorgonia's own machines.
func (o *operation) Do(vs ...gorgonia.Value) (gorgonia.Value, error) {
	if o.values == nil {
		for i, v := range o.out {
			o.data = append(o.data, make([]float32, o.b.rows(v)*program.Size(v.shape)))
			if !o.shape(i).IsScalar() {
				o.values = append(o.values, tensor.New(tensor.WithShape(o.shape(i)...), tensor.WithBacking(o.data[i])))
			} else {
				o.values = append(o.values, new(gorgonia.F32))
			}
		}
	}
	sums := make([][]float64, len(o.out))
	for i, v := range o.out {
		sums[i] = make([]float64, o.b.rows(v)*program.Size(v.shape))
	}
	_, batchSum := o.op.(program.BatchSum)
	for s := range o.samples() {
		in := make([]program.Tensor, len(o.in))
		for i, v := range o.in {
			in[i] = program.Tensor{Shape: v.shape, Data: widened(floats(vs[i]), o.b.row(v, s), program.Size(v.shape))}
		}
		out := make([]program.Tensor, len(o.out))
		for i, v := range o.out {
			n := program.Size(v.shape)
			at := o.b.row(v, s) * n
			out[i] = program.Tensor{Shape: v.shape, Data: sums[i][at : at+n]}
			if !batchSum {
				clear(out[i].Data)
			}
		}
		o.op.Reference(in, out)
	}
	for i, sum := range sums {
		for j, v := range sum {
			o.data[i][j] = float32(v)
		}
		if f, ok := o.values[i].(*gorgonia.F32); ok {
			*f = gorgonia.F32(o.data[i][0])
		}
	}
	return o.values[0], nil
}

func (o *operation) samples() int {
	n := 1
	for _, v := range o.in {
		n = max(n, o.b.rows(v))
	}
	return n
}

func (b *emitter) rows(v *value) int {
	if v.rate == program.Sample {
		return b.batch
	}
	return 1
}

// row is where the array of a sample is.
func (b *emitter) row(v *value, sample int) int {
	if v.rate == program.Sample {
		return sample
	}
	return 0
}

func floats(v gorgonia.Value) []float32 {
	switch v := v.(type) {
	case *tensor.Dense:
		if s, ok := v.Data().(float32); ok {
			return []float32{s}
		}
		return v.Float32s()
	case *gorgonia.F32:
		return []float32{float32(*v)}
	}
	panic(fmt.Sprintf("graph: a value of type %T", v))
}

func widened(s []float32, row, n int) []float64 {
	w := make([]float64, n)
	for i, f := range s[row*n : (row+1)*n] {
		w[i] = float64(f)
	}
	return w
}

// pick is a further output of an operation; its input is the operation's node.
type pick struct {
	of     *operation
	output int
}

var _ gorgonia.SDOp = (*pick)(nil)

func (p *pick) Arity() int           { return 1 }
func (p *pick) ReturnsPtr() bool     { return true }
func (p *pick) CallsExtern() bool    { return false }
func (p *pick) OverwritesInput() int { return -1 }
func (p *pick) String() string       { return fmt.Sprintf("%s output %d", p.of.op.Name(), p.output) }
func (p *pick) Hashcode() uint32     { return hashcode(p) }

func (p *pick) WriteHash(h hash.Hash) { p.of.writeHash(h, p.output) }

func (p *pick) Type() hm.Type {
	return hm.NewFnType(typeOf(p.of.shape(0)), typeOf(p.of.shape(p.output)))
}

func (p *pick) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) {
	return p.of.shape(p.output), nil
}

func (p *pick) Do(...gorgonia.Value) (gorgonia.Value, error) { return p.of.values[p.output], nil }
func (p *pick) DiffWRT(n int) []bool                         { return make([]bool, n) }

func (p *pick) SymDiff(gorgonia.Nodes, *gorgonia.Node, *gorgonia.Node) (gorgonia.Nodes, error) {
	return nil, errors.New("graph: an output of a derivative has no gradient")
}
