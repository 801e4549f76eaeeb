package safetensors

import (
	"fmt"
	"math"
)

// Tensor is a named array, row-major. One of the two slices is in use.
type Tensor struct {
	Name  string
	Shape []int
	F32   []float32 // dtype F32; on reading also F16 and BF16, which widen exactly
	F64   []float64 // dtype F64; on reading also I64, which is exact below 2⁵³
}

// File is the contents of a .safetensors file.
type File struct {
	Metadata map[string]string
	Tensors  []Tensor // in the order of their data
}

// Len is the number of elements.
func (t *Tensor) Len() int { return max(len(t.F32), len(t.F64)) }

// DType is the type as written: F32 or F64.
func (t *Tensor) DType() string {
	if t.F64 != nil {
		return "F64"
	}
	return "F32"
}

// Finite reports the first NaN or Inf as an error that names the tensor and the place.
func (t *Tensor) Finite() error {
	for i, v := range t.F32 {
		if v-v != 0 { // true of NaN and ±Inf only
			return t.notFinite(i, float64(v))
		}
	}
	for i, v := range t.F64 {
		if v-v != 0 {
			return t.notFinite(i, v)
		}
	}
	return nil
}

func (t *Tensor) notFinite(i int, v float64) error {
	index := make([]int, len(t.Shape))
	rest := i
	for k := len(t.Shape) - 1; k >= 0; k-- {
		index[k] = rest % t.Shape[k]
		rest /= t.Shape[k]
	}
	return fmt.Errorf("tensor %q holds %g at index %v; weights must be finite", t.Name, v, index)
}

// Float32 returns the elements as float32; F64 values are rounded, and one beyond float32's range is an error.
func (t *Tensor) Float32() ([]float32, error) {
	if t.F64 == nil {
		return t.F32, nil
	}
	out := make([]float32, len(t.F64))
	for i, v := range t.F64 {
		if math.Abs(v) > math.MaxFloat32 && !math.IsInf(v, 0) {
			return nil, t.notFinite(i, v)
		}
		out[i] = float32(v)
	}
	return out, nil
}

// validate checks that shape and data agree.
func (t *Tensor) validate() error {
	if t.F32 != nil && t.F64 != nil {
		return fmt.Errorf("tensor %q has float32 and float64 data; want one", t.Name)
	}
	if t.Name == "" || t.Name == metadataKey {
		return fmt.Errorf("a tensor cannot be named %q", t.Name)
	}
	shape := make([]int64, len(t.Shape))
	for i, v := range t.Shape {
		shape[i] = int64(v)
	}
	n, err := count(shape)
	if err == nil && n != int64(t.Len()) {
		err = fmt.Errorf("holds %d elements", t.Len())
	}
	if err != nil {
		return fmt.Errorf("tensor %q of shape %v: %w", t.Name, t.Shape, err)
	}
	return nil
}
