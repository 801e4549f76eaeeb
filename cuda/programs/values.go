//go:build gpu && cgo

package programs

import (
	"hbar/program"
)

// array is a value of the block that runs: rows of its last dimension, ld numbers apart, and samples `sample` numbers apart, or 0 if
// all share it.
type array struct {
	at     uint64
	sample int
	ld     int
	half   bool // bf16 or f16 in memory
}

// offset is the address of number i of an array.
func (a array) offset(i int) uint64 {
	if a.half {
		return a.at + 2*uint64(i)
	}
	return a.at + 4*uint64(i)
}

func lastDim(shape []int) int {
	if len(shape) == 0 {
		return 1
	}
	return shape[len(shape)-1]
}

// array returns a value, which may be a view.
func (x *Executor) array(id program.ID) array {
	v := &x.values[id]
	if v.view == nil {
		a := array{at: v.at, ld: lastDim(v.Shape), half: v.half}
		if v.Rate == program.Sample {
			a.sample = v.size
		}
		return a
	}
	of := x.array(v.view.Of)
	if v.view.Ld == 0 { // another shape
		of.ld = lastDim(v.Shape)
		return of
	}
	of.at = of.offset(v.view.Lo)
	return of
}

// get is the address of a value that is no view of columns.
func (x *Executor) get(id program.ID) uint64 { return x.array(id).at }

// per is the distance of the samples of a value, 0 if all share it.
func (x *Executor) per(id program.ID) int { return x.array(id).sample }

// rows of the last dimension in one sample of a value.
func (x *Executor) rows(id program.ID) int {
	v := &x.values[id]
	return v.size / max(1, lastDim(v.Shape))
}

func (x *Executor) shape(id program.ID) []int { return x.values[id].Shape }

// scalarWire mirrors struct Scalar of kernels/gpu/net_inputs.cu.
type scalarWire struct {
	Wide, Narrow uint64
	Step, _      int32
}

// scalar is a number for each sample.
func (x *Executor) scalar(id program.ID) scalarWire {
	v := &x.values[id]
	s := scalarWire{Step: int32(x.per(id))}
	if v.Role == program.Input {
		s.Wide = v.wideAt
	} else {
		s.Narrow = x.get(id)
	}
	return s
}
