package program

import "fmt"

// Op is an operation. Its dynamic type is a struct of its attributes, which identify it: two ops of equal Key compute the
// same.
type Op interface {
	// Name is the name of the operation without attributes: "conv2d".
	Name() string
	// Shapes is the shape rule: the shapes of the outputs for those of the inputs, or an error that says what would fit.
	Shapes(in [][]int) ([][]int, error)
	// Reference computes one sample in float64. It defines the result of the op. Outputs are zero when it is called. An op
	// that sums over the batch (BatchSum) is called for each sample and adds to its outputs.
	Reference(in, out []Tensor)
	// Cost is what one sample costs.
	Cost(in, out [][]int) Cost
}

// JVP is an op with a rule for tangents. Ops with this rule have one output.
type JVP interface {
	Op
	// JVP emits the tangent of the output for tangents din of the inputs, of which nil ones are zero and at least one is
	// not. A nil result is zero.
	JVP(e Emitter, in []Value, out Value, din []Value) Value
}

// VJP is an op with a rule for cotangents. Ops with this rule have one output.
type VJP interface {
	Op
	// VJP emits the cotangents of the inputs that are wanted for the cotangent g of the output. Entries that are not wanted,
	// or zero, are nil. The result for an input may have a higher rate than the input: the caller sums it over the batch.
	VJP(e Emitter, in []Value, out, g Value, want []bool) []Value
}

// Fused is an op that can also be written with simpler ones. Where it lacks a rule of its own, the derivatives are those of
// the fallback, and a back end without a kernel for it runs the fallback.
type Fused interface {
	Op
	Fallback(e Emitter, in []Value) []Value
}

// BatchSum is an op whose outputs are sums over the samples of a batch.
type BatchSum interface {
	Op
	SumsBatch()
}

// Reshaper is an op whose output has the elements of its input in the same order, so that a back end may share the memory.
type Reshaper interface {
	Op
	SharesMemory()
}

// Tensor is one sample's array in the reference, row-major.
type Tensor struct {
	Shape []int
	Data  []float64
}

// Cost is the work of an op for one sample.
type Cost struct {
	// MulAdds is the number of multiply-adds of matrix products and convolutions, counted directly.
	MulAdds float64
	// Elements is the number of elements read and written.
	Elements float64
}

// Key identifies an op with its attributes.
func Key(op Op) string { return fmt.Sprintf("%T%+v", op, op) }

// OutputRate is the rate of an op's outputs for the rates of its inputs.
func OutputRate(op Op, in []Rate) Rate {
	r := Constant
	for _, x := range in {
		r = max(r, x)
	}
	if _, ok := op.(BatchSum); ok && r == Sample {
		return Step
	}
	return r
}
