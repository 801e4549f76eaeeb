package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"hbar/checkpoint"
	"hbar/data"
	"hbar/samples"
)

// isArray reports whether an output is a .npy file, or a device that takes one.
func isArray(path string) bool {
	return !slices.ContainsFunc(samples.Endings(), func(ending string) bool { return strings.HasSuffix(strings.ToLower(path), ending) })
}

// describe says what the samples are, for the files and the contact sheet that show them.
func (o options) describe(m *checkpoint.Model, dtype data.DType) (samples.Options, error) {
	s := samples.Options{N: o.n, Shape: sampleShape(m), DType: dtype, SampleRate: o.rate}
	if low, high, ok := samples.FromNormalisation(m.Norm); ok {
		s.Low, s.High = low, high
	}
	if bytes := o.sheet != "" || samples.IsFolder(o.out) || strings.EqualFold(filepath.Ext(o.out), ".npz"); bytes && s.IsImage() && len(m.Norm.Scale) > 1 {
		return s, fmt.Errorf("the images of %s were scaled pixel by pixel, so no value is known to be black or white; write them as .npy", o.Checkpoint)
	}
	return s, nil
}

// kind is what the samples are written as.
func (o options) kind(what samples.Options) string {
	switch {
	case !isCSV(o.out) && !isArray(o.out) && what.IsImage():
		return "bytes"
	case samples.IsFolder(o.out), strings.EqualFold(filepath.Ext(o.out), ".wav"):
		return "16-bit PCM"
	case what.DType == data.Float64:
		return "float64, because float32 has too few digits for these data"
	}
	return "float32"
}

// sampleShape is the shape of a sample, from the checkpoint, or of the built-in set that it was trained on.
func sampleShape(m *checkpoint.Model) []int {
	shape := m.SampleShape()
	if len(shape) == 1 && data.IsBuiltin(m.Data) {
		if set, err := data.Load(m.Data, 0, 1, 0); err == nil && set.D == shape[0] {
			return set.Shape
		}
	}
	return shape
}
