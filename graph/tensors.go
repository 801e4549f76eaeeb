package graph

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

var float32s = tensor.Float32

// data is the float32s of a value, without the allocation of Data.
func data(v gorgonia.Value) []float32 { return v.(*tensor.Dense).Float32s() }
