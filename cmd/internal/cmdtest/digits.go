package cmdtest

import (
	"context"
	"path/filepath"
	"testing"

	"hbar/checkpoint"
	"hbar/classify"
	"hbar/data"
	"hbar/nets"
)

// Digits is an untrained network of 8×8 images with the normalisation of the digits, and a classifier of them.
func Digits(t testing.TB) (model, classifier string) {
	t.Helper()
	dir := t.TempDir()
	c, err := nets.NewDiT([]int{8, 8, 1}, 0, nets.DiTSizes{Patch: 4, Width: 8, Depth: 1, Heads: 2})
	if err != nil {
		t.Fatal(err)
	}
	net, err := nets.New(c)
	if err != nil {
		t.Fatal(err)
	}
	net.Initialise(1)
	set, err := data.ByName("digits", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	m := &checkpoint.Model{Net: net, Schedule: "cosine", Prediction: "eps", Norm: set.Norm, Data: "digits"}
	model, classifier = filepath.Join(dir, "model.safetensors"), filepath.Join(dir, "classifier.safetensors")
	if err := m.Save(model); err != nil {
		t.Fatal(err)
	}
	k, err := classify.Train(context.Background(), set, classify.Options{Channels: []int{4}, Features: 6, Steps: 20, Batch: 20}, nil)
	if err == nil {
		err = k.Save(classifier)
	}
	if err != nil {
		t.Fatal(err)
	}
	return model, classifier
}
