package main

import (
	"context"
	"fmt"

	"hbar/classify"
	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/data/npz"
	"hbar/metrics"
)

func runFeatures(ctx context.Context, args []string, io ui.Streams) error {
	var (
		classifier, from string
		images           flags.Images
		n, workers       int
		out              = "features.npz"
	)
	s := flags.New("classify features", "Writes the activations of a classifier's last hidden layer on data, with their mean and covariance.")
	g := s.Group("Classifier")
	g.String(&classifier, "classifier", "FILE", "what classify train wrote (required)")
	g = s.Group("Data")
	g.String(&from, "data", "NAME|FILE", "as cmd/train takes it (required)")
	images.Define(g)
	g.Int(&n, "n", "COUNT", flags.Between(0, 1<<30), "the first so many; 0 means all")
	g = s.Group("Run")
	g.Int(&workers, "workers", "N", flags.Between(0, 4096), "goroutines that compute; 0 means all cores")
	g = s.Group("Output")
	g.String(&out, "out", "FILE.npz", "arrays features [n, F], mu [F], sigma [F, F] (the covariance with n − 1) and n")
	s.Example("go run ./cmd/classify features --classifier digits.safetensors --data datasets/mnist/t10k-images-idx3-ubyte.gz --out features.npz", "")
	if err := s.Parse(args, io.Out); err != nil {
		return err
	}
	if classifier == "" || from == "" {
		return ui.Usagef("--classifier FILE and --data FILE are needed: what classify train wrote, and what is to be described")
	}
	if err := flags.CheckOutputs([]flags.File{{Name: "out", Path: out, Endings: []string{".npz"}}}, []flags.File{{Name: "classifier", Path: classifier}, {Name: "data", Path: from}}); err != nil {
		return err
	}
	m, err := classify.Load(classifier)
	if err != nil {
		return err
	}
	set, err := data.LoadWith(from, images.AddTo(data.Options{N: n}))
	if err != nil {
		return err
	}
	introduce(io, set)
	j, err := judge(ctx, io, m, set, workers)
	if err != nil {
		return err
	}
	f := m.Config.Features
	mu, sigma, err := metrics.Moments(j.Features, f)
	if err != nil {
		return err
	}
	err = npz.Write(out, map[string]*npz.Array{
		"features": {Shape: []int{j.N, f}, X: j.Features, Single: true},
		"mu":       {Shape: []int{f}, X: mu},
		"sigma":    {Shape: []int{f, f}, X: sigma},
		"n":        {X: []float64{float64(j.N)}},
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "written   %s: %d features of %s samples of %s\n", out, f, ui.Count(int64(j.N)), set.Name)
	return nil
}
