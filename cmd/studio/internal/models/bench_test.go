package models_test

import (
	"testing"

	"hbar/cmd/studio/internal/models"
	"hbar/cmd/studio/internal/runs"
	"hbar/data"
	"hbar/train"
)

// BenchmarkDial is one change of h: 2000 samples of a network of the default size in 100 steps, the last state alone and with
// those on the way. A page should wait for less than 150 ms on two cores.
func BenchmarkDial(b *testing.B) {
	dir := b.TempDir()
	set, err := data.ByName("swissroll", 500, 0)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := train.Fit(b.Context(), set, train.Options{Steps: 1, Prediction: "edm", Dir: dir}, nil); err != nil {
		b.Fatal(err)
	}
	s, err := runs.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	c := models.NewCache(s, 2)
	defer c.Close()
	m, err := c.Get(b.Context(), ".", train.ModelFile)
	if err != nil {
		b.Fatal(err)
	}
	defer m.Release()
	for _, frames := range []int{1, 33} {
		b.Run(map[int]string{1: "last", 33: "frames"}[frames], func(b *testing.B) {
			o := plain
			o.N, o.Steps, o.Frames = 2000, 100, frames
			for b.Loop() {
				if _, err := m.Sample(b.Context(), o, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
