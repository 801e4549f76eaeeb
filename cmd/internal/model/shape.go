package model

import (
	"hbar/checkpoint"
	"hbar/data"
)

// SampleShape is the shape of a sample, from the checkpoint, or of the built-in set that it was trained on.
func SampleShape(m *checkpoint.Model) []int {
	shape := m.SampleShape()
	if len(shape) == 1 && data.IsBuiltin(m.Data) {
		if set, err := data.Load(m.Data, 0, 1, 0); err == nil && set.D == shape[0] {
			return set.Shape
		}
	}
	return shape
}
