package graph

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// op is what all operations of this package share. Gorgonia merges nodes whose operations hash alike and have the same
// inputs, so the name holds every attribute.
type op struct {
	name  string
	arity int
	out   *tensor.Dense // result of Do, kept for the next call
}

func (o *op) Arity() int            { return o.arity }
func (o *op) ReturnsPtr() bool      { return true }
func (o *op) CallsExtern() bool     { return false }
func (o *op) OverwritesInput() int  { return -1 }
func (o *op) WriteHash(h hash.Hash) { fmt.Fprintf(h, "hbar.%s", o.name) }
func (o *op) String() string        { return o.name }
func (o *op) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

// backward marks an operation that only appears in gradients. It is differentiable in name, as a second Grad in one
// graph requires, and in none of its inputs: higher derivatives are made in kernels/infer.
type backward struct{ op }

func (o *backward) DiffWRT(n int) []bool { return make([]bool, n) }
func (o *backward) SymDiff(gorgonia.Nodes, *gorgonia.Node, *gorgonia.Node) (gorgonia.Nodes, error) {
	return nil, fmt.Errorf("graph: %s is a derivative and has none itself", o.name)
}

var float32s = tensor.Float32

func matrix() hm.Type { return gorgonia.TensorType{Dims: 2, Of: float32s} }
func vector() hm.Type { return gorgonia.TensorType{Dims: 1, Of: float32s} }

// function is a new type on every call: Gorgonia recycles what Type returns.
func function(ts ...hm.Type) hm.Type { return hm.NewFnType(ts...) }

// shapes are the inputs' shapes, checked to be n of the given dimensions.
func shapes(name string, in []gorgonia.DimSizer, dims ...int) ([]tensor.Shape, error) {
	s, err := gorgonia.DimSizersToShapes(in)
	if err != nil {
		return nil, err
	}
	if len(s) != len(dims) {
		return nil, fmt.Errorf("graph: %s has %d inputs; it takes %d", name, len(s), len(dims))
	}
	for i, d := range dims {
		if len(s[i]) != d {
			return nil, fmt.Errorf("graph: input %d of %s has shape %v; it must have %d dimensions", i, name, s[i], d)
		}
	}
	return s, nil
}

func mismatch(name string, s []tensor.Shape) error {
	return fmt.Errorf("graph: shapes %v do not fit %s", s, name)
}

// dst is the operation's result of the given shape.
func (o *op) dst(shape ...int) (*tensor.Dense, []float32) {
	if o.out == nil || !o.out.Shape().Eq(tensor.Shape(shape)) {
		o.out = tensor.New(tensor.WithShape(shape...), tensor.Of(float32s))
	}
	return o.out, o.out.Float32s()
}

// data is the float32s of a value, without the allocation of Data.
func data(v gorgonia.Value) []float32 { return v.(*tensor.Dense).Float32s() }

// builder applies operations and keeps the first error.
type builder struct{ err error }

func (b *builder) apply(o gorgonia.Op, in ...*gorgonia.Node) *gorgonia.Node {
	if b.err != nil {
		return nil
	}
	n, err := gorgonia.ApplyOp(o, in...)
	b.err = err
	return n
}
