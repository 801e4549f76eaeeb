package safetensors

import (
	"encoding/binary"
	"math"

	"hbar/internal/float16"
)

// codec is how one dtype is read.
type codec struct {
	size int // bytes of an element
	// get appends the elements in b to t.
	get func(t *Tensor, b []byte)
}

var le = binary.LittleEndian

var codecs = map[string]codec{
	"F32": {4, func(t *Tensor, b []byte) {
		for ; len(b) >= 4; b = b[4:] {
			t.F32 = append(t.F32, math.Float32frombits(le.Uint32(b)))
		}
	}},
	"F64": {8, func(t *Tensor, b []byte) {
		for ; len(b) >= 8; b = b[8:] {
			t.F64 = append(t.F64, math.Float64frombits(le.Uint64(b)))
		}
	}},
	"I64": {8, func(t *Tensor, b []byte) {
		for ; len(b) >= 8; b = b[8:] {
			t.F64 = append(t.F64, float64(int64(le.Uint64(b))))
		}
	}},
	"F16": {2, func(t *Tensor, b []byte) {
		for ; len(b) >= 2; b = b[2:] {
			t.F32 = append(t.F32, float16.Float32(le.Uint16(b)))
		}
	}},
	"BF16": {2, func(t *Tensor, b []byte) {
		for ; len(b) >= 2; b = b[2:] {
			t.F32 = append(t.F32, math.Float32frombits(uint32(le.Uint16(b))<<16))
		}
	}},
}

// empty makes the slice that a dtype fills, so that a tensor without elements keeps its type.
func (e *entry) empty() Tensor {
	t := Tensor{Name: e.name, Shape: make([]int, len(e.shape))}
	for i, v := range e.shape {
		t.Shape[i] = int(v)
	}
	n, _ := count(e.shape) // checked before
	const first = 1 << 20  // more is taken as data arrive
	n = min(n, first)
	if e.dtype == "F64" || e.dtype == "I64" {
		t.F64 = make([]float64, 0, n)
	} else {
		t.F32 = make([]float32, 0, n)
	}
	return t
}
