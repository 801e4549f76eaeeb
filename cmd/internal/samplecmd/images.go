package samplecmd

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"hbar/checkpoint"
	"hbar/cmd/internal/model"
	"hbar/data"
	"hbar/samples"
)

// isArray reports whether an output is a .npy file, or a device that takes one.
func isArray(path string) bool {
	return !slices.ContainsFunc(samples.Endings(), func(ending string) bool { return strings.HasSuffix(strings.ToLower(path), ending) })
}

// describe says what the samples are, for the files and the contact sheet that show them.
func (o options) describe(m *checkpoint.Model, dtype data.DType) (samples.Options, error) {
	s := samples.Options{N: o.n, Shape: model.SampleShape(m), DType: dtype, SampleRate: o.rate, Alphabet: m.Alphabet}
	if low, high, ok := samples.FromNormalisation(m.Norm); ok {
		s.Low, s.High = low, high
	}
	if bytes := o.sheet != "" || o.show != "" || samples.IsFolder(o.out) || strings.EqualFold(filepath.Ext(o.out), ".npz"); bytes && s.IsImage() && len(m.Norm.Scale) > 1 {
		return s, fmt.Errorf("the images of %s were scaled pixel by pixel, so no value is known to be black or white; write them as .npy, and without --sheet and --show", o.Checkpoint)
	}
	return s, nil
}

// kind is what the samples are written as.
func (o options) kind(what samples.Options) string {
	switch {
	case !isCSV(o.out) && !isArray(o.out) && what.IsImage():
		return "bytes"
	case strings.EqualFold(filepath.Ext(o.out), ".txt"):
		return "characters"
	case samples.IsFolder(o.out), strings.EqualFold(filepath.Ext(o.out), ".wav"):
		return "16-bit PCM"
	case what.DType == data.Float64:
		return "float64, because float32 has too few digits for these data"
	}
	return "float32"
}
