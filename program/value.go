package program

import (
	"fmt"
	"slices"
)

// Rate says how often a value changes.
type Rate uint8

const (
	// Constant values are parameters and what depends on nothing else.
	Constant Rate = iota
	// Step values are one for all samples of a batch: what depends on a common time, and sums over the batch.
	Step
	// Sample values are one for each sample of a batch.
	Sample
)

func (r Rate) String() string {
	switch r {
	case Constant:
		return "constant"
	case Step:
		return "step"
	case Sample:
		return "sample"
	}
	return fmt.Sprintf("Rate(%d)", uint8(r))
}

// Role says where a value comes from.
type Role uint8

const (
	Derived Role = iota // written by an instruction
	Input               // given with each batch
	Param               // a parameter of the network
)

func (r Role) String() string { return [...]string{"derived", "input", "parameter"}[r] }

// Value is a value while a program or graph is built. An Emitter accepts only values that it made itself.
type Value interface {
	// Shape is the shape for one sample. It must not be changed.
	Shape() []int
	Rate() Rate
}

// Emitter applies an op to values and returns its outputs. It panics with *Error where the op refuses the inputs.
type Emitter interface {
	Apply(op Op, in ...Value) []Value
}

// Size is the number of elements of a shape. The empty shape is a scalar and has one.
func Size(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// SameShape reports whether two shapes are equal.
func SameShape(a, b []int) bool { return slices.Equal(a, b) }

// Strides are the row-major strides of a shape, in elements.
func Strides(shape []int) []int {
	s := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = n
		n *= shape[i]
	}
	return s
}

// BroadcastStrides are the strides of an array of a shape within one of the shape to, which it broadcasts to: 0 where it is repeated.
func BroadcastStrides(shape, to []int) []int {
	s, st := make([]int, len(to)), Strides(shape)
	for i := range to {
		if j := i - (len(to) - len(shape)); j >= 0 && shape[j] > 1 {
			s[i] = st[j]
		}
	}
	return s
}

// Error is the reason why a program cannot be built: an op and what is wrong with its inputs.
type Error struct {
	Op     string
	Shapes [][]int // of the inputs
	Err    error
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s of %v: %v", e.Op, e.Shapes, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }
