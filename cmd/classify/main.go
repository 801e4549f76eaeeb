// Command classify trains a small classifier on labelled data, and judges samples by it.
//
//	go run ./cmd/classify train --data datasets/mnist/train-images-idx3-ubyte.gz --test datasets/mnist/t10k-images-idx3-ubyte.gz --out digits.safetensors
//	go run ./cmd/classify score --classifier digits.safetensors --samples samples.npz
//	go run ./cmd/classify distance --classifier digits.safetensors --samples samples.npz --reference datasets/mnist/t10k-images-idx3-ubyte.gz
//	go run ./cmd/classify features --classifier digits.safetensors --data datasets/mnist/t10k-images-idx3-ubyte.gz --out features.npz
//
// Each verb has a --help with its options.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"hbar/classify"
	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/ui"
	"hbar/data"
)

func main() { ui.Main("classify", run) }

func run(ctx context.Context, args []string, io ui.Streams) error {
	if len(args) == 0 {
		return ui.Usagef("say what to do: train, score, distance, features")
	}
	switch args[0] {
	case "train":
		return runTrain(ctx, args[1:], io)
	case "score":
		return runScore(ctx, args[1:], io)
	case "distance":
		return runDistance(ctx, args[1:], io)
	case "features":
		return runFeatures(ctx, args[1:], io)
	case "--version":
		return flags.Version("classify", io.Out)
	case "--help", "-h", "help":
		fmt.Fprint(io.Out, "Trains a small classifier on labelled data, and judges samples by it.\n\nUsage: classify VERB [options]\n\n"+
			"  train     fits a classifier, and says how many of the test data it recognises\n"+
			"  score     how many samples are of the class they were drawn for, and how they spread over the classes\n"+
			"  distance  Fréchet and kernel distance of samples to data, with errors\n"+
			"  features  activations of the last hidden layer with their mean and covariance, for sweep --metric fd:FILE\n\nclassify VERB --help lists the options of each, classify --version the version.\n")
		return pflag.ErrHelp
	}
	return ui.Usagef("%q is none of train, score, distance, features", args[0])
}

func interrupted(err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w; nothing is written", ui.ErrInterrupted)
	}
	return err
}

// judge runs a classifier with progress.
func judge(ctx context.Context, io ui.Streams, m *classify.Model, set *data.Dataset, workers int) (*classify.Judged, error) {
	if err := m.CheckUnits(set); err != nil {
		return nil, err
	}
	p := ui.NewProgress(io.Err, "samples", 0, int64(set.N()), nil)
	j, err := m.Judge(ctx, set, workers, func(done int) { p.Report(int64(done)) })
	p.Done()
	return j, interrupted(err)
}

// introduce prints how data were read.
func introduce(io ui.Streams, set *data.Dataset) {
	for _, n := range set.Notes {
		fmt.Fprintf(io.Out, "%-9s %s\n", n.Label, n.Text)
	}
}
